import fc from 'fast-check'
import t from 'tap'
import { createRandom, FixedBuckets, Histogram, logNormal } from '../../src/core/index.js'

const exact = (values: readonly number[], q: number): number => [...values].sort((a, b) => a - b)[Math.max(0, Math.ceil(q * values.length - 1e-9) - 1)]!

t.test('histogram: empty says undefined, never zero', async (t) => {
  const h = new Histogram()
  t.same([h.count, h.quantile(0.5), h.mean, h.min, h.max, h.percentiles()], [0, undefined, undefined, undefined, undefined, undefined])
})

t.test('histogram: percentiles within 1.5 % of the exact ones', async (t) => {
  const random = createRandom(3)
  for (const median of [0.05, 4, 300, 60_000]) {
    const values = Array.from({ length: 5000 }, () => logNormal(random, median, 1.2))
    const h = new Histogram()
    for (const value of values) h.record(value)
    for (const q of [0.01, 0.5, 0.9, 0.95, 0.99, 0.999, 1]) {
      const truth = exact(values, q)
      t.ok(Math.abs(h.quantile(q)! / truth - 1) <= 0.015, `median ${median}, q ${q}: ${h.quantile(q)} is about ${truth}`)
    }
  }
})

t.test('histogram: properties', async () => {
  const samples = fc.array(fc.double({ min: 0.002, max: 1e6, noNaN: true }), { minLength: 1, maxLength: 60 })
  const of = (values: readonly number[]): Histogram => { const h = new Histogram(); for (const v of values) h.record(v); return h }
  fc.assert(fc.property(samples, fc.double({ min: 0, max: 1, noNaN: true }), (values, q) => Math.abs(of(values).quantile(q)! / exact(values, q) - 1) <= 0.015))
  fc.assert(fc.property(samples, samples, (a, b) => {
    const merged = of(a)
    merged.merge(of(b))
    const both = of([...a, ...b])
    return merged.count === both.count && merged.min === both.min && merged.max === both.max &&
      [0.1, 0.5, 0.9, 1].every((q) => merged.quantile(q) === both.quantile(q))
  }))
  fc.assert(fc.property(samples, (values) => {
    const h = of(values)
    let last = 0
    return [0, 0.1, 0.5, 0.9, 0.99, 1].every((q) => { const x = h.quantile(q)!; const rises = x >= last; last = x; return rises })
  }))
})

t.test('histogram: counts, extremes and rubbish', async (t) => {
  const h = new Histogram()
  for (const rubbish of [-1, NaN, Infinity]) h.record(rubbish)
  t.equal(h.count, 0)
  h.record(0)
  h.record(1e-9)
  h.record(1e12)
  t.same([h.count, h.min, h.max, h.quantile(0.1), h.quantile(1)], [3, 0, 1e12, 0, 1e12])
  h.reset()
  h.record(7, 10)
  t.same([h.count, h.sum, h.mean, h.quantile(0.5)], [10, 70, 7, 7])
  h.record(100)
  t.same([h.countUpTo(5), h.countUpTo(8), h.countUpTo(100)], [0, 10, 11])
})

t.test('fixed buckets: cumulative, bounds inclusive', async (t) => {
  const b = new FixedBuckets([0.1, 0.5, 1])
  for (const value of [0.05, 0.1, 0.3, 1, 1.01, NaN, -1]) b.record(value)
  t.same(b.cumulative(), [2, 3, 4, 5])
  t.ok(Math.abs(b.sum - 2.46) < 1e-9)
  t.throws(() => new FixedBuckets([1, 1]), /bounds must rise/)
})
