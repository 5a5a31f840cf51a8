import fc from 'fast-check'
import t from 'tap'
import { createRandom, exponential, logNormal, OutputLengthHistogram, OutputLengths } from '../../src/core/index.js'

t.test('output lengths: cold start is pessimistic', async (t) => {
  const lengths = new OutputLengths()
  t.ok(lengths.remaining('new', 0, 0.1) < 15, 'a slack guard can count on a few tokens only')
  t.ok(lengths.remaining('new', 500, 0.1) < 15, 'at any length')
  t.ok(lengths.remaining('new', 1e6, 0.1) < 15, 'beyond every bin too')
  t.ok(Math.abs(lengths.mean('new') - 64) < 1)
})

t.test('output lengths: the conditional quantile of what was seen', async (t) => {
  const random = createRandom(5)
  const histogram = new OutputLengthHistogram(1e6)
  const lengths = Array.from({ length: 20_000 }, () => Math.max(1, Math.round(logNormal(random, 130, 0.9))))
  for (const length of lengths) histogram.add(length)
  for (const generated of [0, 1, 20, 130, 400]) {
    const longer = lengths.filter((length) => length >= generated).sort((a, b) => a - b)
    for (const q of [0.1, 0.5, 0.9]) {
      const truth = longer[Math.floor(q * longer.length)]! - generated
      const got = histogram.remaining(generated, q)
      t.ok(Math.abs(got - truth) <= Math.max(2, 0.08 * (truth + generated)), `after ${generated}, q ${q}: ${got} is about ${truth}`)
    }
  }
  const mean = lengths.reduce((a, b) => a + b, 0) / lengths.length
  t.ok(Math.abs(histogram.mean() / mean - 1) < 0.01)
})

t.test('output lengths: a memoryless class has the same remainder everywhere', async (t) => {
  const random = createRandom(6)
  const histogram = new OutputLengthHistogram(1e6)
  for (let i = 0; i < 20_000; i++) histogram.add(Math.ceil(exponential(random, 200)))
  for (const generated of [0, 100, 300]) t.ok(Math.abs(histogram.remaining(generated, 0.5) - 139) < 25, `median after ${generated}: ${histogram.remaining(generated, 0.5)}`)
})

t.test('output lengths: the cap bounds, classes are apart, the old fades', async (t) => {
  const lengths = new OutputLengths(50)
  for (let i = 0; i < 200; i++) lengths.add('chat', 400)
  t.ok(lengths.remaining('chat', 100, 0.5) > 280)
  t.equal(lengths.remaining('chat', 100, 0.5, 150), 50)
  t.equal(lengths.remaining('chat', 200, 0.5, 150), 0, 'beyond its cap a stream ends')
  t.ok(lengths.remaining('other', 100, 0.5) < 60)
  for (let i = 0; i < 300; i++) lengths.add('chat', 20)
  t.ok(lengths.mean('chat') < 30, 'six half lives later the new length rules')
  lengths.keepOnly(new Set(['other']))
  t.equal(lengths.of('chat').samples, 0)
  lengths.add('chat', NaN)
  lengths.add('chat', -1)
  t.equal(lengths.of('chat').samples, 0, 'rubbish is not a length')
})

t.test('output lengths: decay over millions of requests stays finite', async (t) => {
  const histogram = new OutputLengthHistogram(10)
  for (let i = 0; i < 5000; i++) histogram.add(100)
  t.ok(Math.abs(histogram.quantile(0.5) - 100) < 8)
  t.ok(Number.isFinite(histogram.mean()) && Math.abs(histogram.mean() - 100) < 1)
})

t.test('output lengths: never negative, rises with q, below the cap', async () => {
  const length = fc.integer({ min: 0, max: 400_000 })
  const share = fc.double({ min: 0, max: 0.99, noNaN: true })
  fc.assert(fc.property(fc.array(length, { maxLength: 50 }), length, share, share, length, (seen, generated, p, q, cap) => {
    const histogram = new OutputLengthHistogram()
    for (const x of seen) histogram.add(x)
    const low = histogram.remaining(generated, Math.min(p, q))
    const high = histogram.remaining(generated, Math.max(p, q))
    return low >= 0 && low <= high && Number.isFinite(high) && histogram.remaining(generated, q, cap) <= Math.max(0, cap - generated)
  }))
})
