import fc from 'fast-check'
import t from 'tap'
import type { Random, RlsOptions } from '../../src/core/index.js'
import { createRandom, normal, RlsModel } from '../../src/core/index.js'

const LINE: RlsOptions = { prior: [0, 0.1], priorDeviation: [40, 0.5], minimum: [0, 1e-5], noiseFloor: 5, noiseRatio: 0.1 }

/** Feeds `count` observations of `base + slope · u` with relative noise. */
function feed(model: RlsModel, random: Random, count: number, base: number, slope: number, noise: number, startMs = 0): void {
  for (let i = 0; i < count; i++) {
    const u = 100 + random.next() * 4000
    model.update(Math.max(0, (base + slope * u) * (1 + normal(random, 0, noise))), startMs + i, 1, u)
  }
}

t.test('least squares: learns a line through noise, whatever the prior', async (t) => {
  for (const [base, slope] of [[10, 0.1], [30, 0.02], [5, 1.2], [0, 0.25]] as const) {
    const model = new RlsModel(LINE)
    feed(model, createRandom(1), 100, base, slope, 0.1)
    for (const u of [500, 1500, 4000]) {
      const truth = base + slope * u
      t.ok(Math.abs(model.predict(1, u) / truth - 1) < 0.08, `${base} + ${slope} u at ${u}: ${model.predict(1, u)} is about ${truth}`)
    }
  }
})

t.test('least squares: an estimate says samples, age and an interval that holds', async (t) => {
  const random = createRandom(2)
  const model = new RlsModel(LINE)
  t.same(model.estimate(0.9, 0, 1, 1000), { value: 100, lower: 0, upper: Infinity, samples: 0, ageMs: undefined }, 'the prior promises nothing')
  feed(model, random, 200, 20, 0.1, 0.15)
  const estimate = model.estimate(0.9, 1199, 1, 1000)
  t.equal(estimate.samples, 200)
  t.equal(estimate.ageMs, 1000)
  let inside = 0
  for (let i = 0; i < 1000; i++) {
    const u = 100 + random.next() * 4000
    const { lower, upper } = model.estimate(0.9, 0, 1, u)
    const y = (20 + 0.1 * u) * (1 + normal(random, 0, 0.15))
    if (y >= lower && y <= upper) inside++
  }
  t.ok(inside > 820 && inside < 970, `about 90 % inside: ${inside / 10} %`)
})

t.test('least squares: outliers pull little, a real change is believed', async (t) => {
  const random = createRandom(3)
  const model = new RlsModel(LINE)
  feed(model, random, 150, 20, 0.1, 0.05)
  const before = model.predict(1, 1000)
  for (let i = 0; i < 3; i++) model.update(60_000, 200, 1, 1000)
  t.ok(Math.abs(model.predict(1, 1000) / before - 1) < 0.35, `three pauses of a minute: ${before} → ${model.predict(1, 1000)}`)
  feed(model, random, 40, 40, 0.2, 0.05, 300)
  t.ok(Math.abs(model.predict(1, 1000) / 240 - 1) < 0.15, `at half speed: ${model.predict(1, 1000)} is about 240`)
})

t.test('least squares: no slope falls below its minimum, and the rest makes up for it', async (t) => {
  const model = new RlsModel(LINE)
  const random = createRandom(4)
  for (let i = 0; i < 300; i++) {
    const u = 100 + random.next() * 1000
    model.update(200 - 0.1 * u, i, 1, u)
  }
  t.ok(model.weight(1) >= 1e-5)
  t.ok(Math.abs(model.predict(1, 600) - 140) < 15, `a falling line becomes its level: ${model.predict(1, 600)}`)
})

t.test('least squares: a feature that never moves is not forgotten into nonsense', async (t) => {
  const model = new RlsModel(LINE)
  feed(model, createRandom(5), 100, 20, 0.1, 0.05)
  for (let i = 0; i < 20_000; i++) model.update(120, 200 + i, 1, 1000)
  t.ok(Math.abs(model.predict(1, 3000) / 320 - 1) < 0.5, `far from what was seen for long: ${model.predict(1, 3000)}`)
  feed(model, createRandom(6), 60, 20, 0.1, 0.05, 30_000)
  t.ok(Math.abs(model.predict(1, 3000) / 320 - 1) < 0.1, 'and right again when it moves')
})

t.test('least squares: errors of measurement are refused; what is distrusted stays a guess', async (t) => {
  const model = new RlsModel(LINE)
  for (const y of [NaN, -1, Infinity]) t.notOk(model.update(y, 0, 1, 100))
  t.notOk(model.update(10, 0, 1, NaN))
  t.equal(model.samples, 0)
  feed(model, createRandom(7), 50, 50, 1, 0.1)
  model.distrust()
  t.ok(Math.abs(model.predict(1, 1000) / 1050 - 1) < 0.05, 'the weights stay')
  t.same([model.samples, model.ageMs(9), model.errorRatio(100)], [0, undefined, undefined])
  feed(model, createRandom(8), 20, 50, 2, 0.1)
  t.ok(Math.abs(model.predict(1, 1000) / 2050 - 1) < 0.05, 'and are replaced as fast as the first were')
  t.throws(() => new RlsModel({ ...LINE, minimum: [0] }), /one length/)
})

t.test('least squares: finite and above the minimum on any input', async () => {
  const observation = fc.tuple(fc.double({ min: 0, max: 1e7, noNaN: true }), fc.double({ min: 0, max: 1e6, noNaN: true }), fc.double({ min: 0, max: 1e6, noNaN: true }))
  fc.assert(fc.property(fc.array(observation, { maxLength: 200 }), (observations) => {
    const model = new RlsModel({ prior: [13, 0.05, 0.09], priorDeviation: [20, 0.5, 0.5], minimum: [0, 0, 0], noiseFloor: 0.5, noiseRatio: 0.05 })
    observations.forEach(([y, x1, x2], i) => model.update(y, i, 1, x1, x2))
    return [0, 1, 2].every((i) => Number.isFinite(model.weight(i)) && model.weight(i) >= 0) && Number.isFinite(model.predict(1, 10, 10))
  }), { numRuns: 60 })
})
