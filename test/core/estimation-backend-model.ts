import t from 'tap'
import { BackendModel, COLD_START, createRandom, logNormal, normal } from '../../src/core/index.js'

t.test('backend model: cold start orders work and is never measured', async (t) => {
  const model = new BackendModel()
  t.equal(model.prefillMs(1000), 100)
  t.equal(model.decodeStepMs(10, 20_000), COLD_START.decodeBaseMs + 0.5 + 1.8)
  t.equal(model.prefillQuantileMs(1000, 0.05), 0, 'the optimistic bound of a guess rejects nothing')
  t.same([model.measured(0), model.prefillMeasured(0), model.ageMs(0), model.prefillErrorRatio(1000)], [false, false, undefined, undefined])
})

t.test('backend model: learns a backend from noisy timings', async (t) => {
  // Token estimates are off by 12 %, timings by 8 %; the prior is 2.5 times too fast.
  const random = createRandom(11)
  const model = new BackendModel()
  for (let i = 0; i < 200; i++) {
    const tokens = logNormal(random, 1000, 0.8)
    model.observePrefill(tokens * (1 + normal(random, 0, 0.12)), (12 + 0.25 * tokens) * (1 + normal(random, 0, 0.08)), i * 100)
    const streams = 1 + Math.floor(random.next() * 60)
    const context = streams * (500 + random.next() * 3000)
    model.observeDecodeStep(streams, context, (20 + 0.1 * streams + 0.15 * context / 1000) * (1 + normal(random, 0, 0.05)), i * 100)
  }
  for (const tokens of [300, 1000, 4000]) {
    const truth = 12 + 0.25 * tokens
    t.ok(Math.abs(model.prefillMs(tokens) / truth - 1) < 0.12, `prefill of ${tokens}: ${model.prefillMs(tokens)} is about ${truth}`)
  }
  for (const [streams, context] of [[1, 1000], [20, 40_000], [60, 180_000]] as const) {
    const truth = 20 + 0.1 * streams + 0.15 * context / 1000
    t.ok(Math.abs(model.decodeStepMs(streams, context) / truth - 1) < 0.08, `step of ${streams}: ${model.decodeStepMs(streams, context)} is about ${truth}`)
  }
  const optimistic = model.prefillQuantileMs(1000, 0.05)
  t.ok(optimistic > 120 && optimistic < model.prefillMs(1000), `the optimistic bound is below the prediction, and tells something: ${optimistic}`)
  t.ok(model.prefillErrorRatio(1000)! < 0.2)
  t.equal(model.prefillWorkMs(1000) + model.prefillBaseMs, model.prefillMs(1000))
})

t.test('backend model: measured means enough, and fresh', async (t) => {
  const model = new BackendModel({ minSamples: 5, maxAgeMs: 1000 })
  model.observePrefill(1000, 5000, 0)
  t.equal(model.prefillSamples, 0, 'the first one warms the server up and says nothing of it')
  for (let i = 0; i < 5; i++) {
    t.notOk(model.prefillMeasured(i))
    model.observePrefill(1000, 110, i)
  }
  t.same([model.prefillMeasured(4), model.decodeMeasured(4), model.measured(4)], [true, false, false])
  for (let i = 0; i < 5; i++) model.observeDecodeStep(4, 1000, 15, i)
  t.ok(model.measured(1004))
  t.notOk(model.measured(1005), 'stale')
  t.equal(model.ageMs(104), 100)
  model.distrust()
  t.notOk(model.measured(4), 'a restart voids it')
})

t.test('backend model: what a token costs', async (t) => {
  const model = new BackendModel()
  t.same(model.tokenCost(0, 0), { prompt: 0.1, output: 13.05 }, 'alone, a stream pays the whole step')
  const shared = model.tokenCost(50, 50_000)
  t.ok(shared.output < 0.5, `fifty share it: ${shared.output}`)
})
