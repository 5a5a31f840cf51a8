import t from 'tap'
import type { BackendLedgerState } from '../../src/core/index.js'
import { BatchCurve, kneeOf } from '../../src/dashboard/curve.js'
import { SpeedWatch, type PaceSample } from '../../src/dashboard/speed.js'
import { earlyQueueing } from '../../src/dashboard/trend.js'

const ledger: BackendLedgerState = {
  id: 'a', state: 'up', inflightRequests: 8, inflightPrefillTokens: 0, decodingStreams: 8, contextTokens: 8000, concurrencyLimit: undefined,
  model: { prefillMsPerToken: 0.1, decodeBaseMs: 10, decodeMsPerStream: 0.1, decodeMsPer1000ContextTokens: 0, prefillSamples: 50, decodeSamples: 50, ageMs: 0, predictionErrorRatio: 0.1 },
}

/** A second in which `streams` streams got a token every `tokenMs`. */
const second = (streams: number, tokenMs: number, over: Partial<PaceSample> = {}) => ({
  elapsedMs: 1000,
  ledger,
  classes: new Map([['chat', { gaps: streams * 1000 / tokenMs, gapMs: streams * 1000, firstTokens: 0, prefillMs: 0, prefillTokens: 0, measuredMs: 0, predictedMs: 0, ...over }]]),
})

const run = (watch: SpeedWatch, seconds: number, from: number, sample: ReturnType<typeof second>, peers: SpeedWatch[] = []) => {
  for (let i = 0; i < seconds; i++) {
    watch.add(sample)
    watch.judge(peers, (from + i) * 1000)
  }
}

t.test('a backend that becomes four times slower at the same load is found within five seconds, and is well again when it is', async t => {
  const watch = new SpeedWatch()
  run(watch, 30, 1, second(8, 12))
  t.equal(watch.fault, undefined)
  t.match(watch.now(), { streams: 8, tokenMs: 12 })
  let found = 0
  for (let i = 1; i <= 10 && found === 0; i++) {
    run(watch, 1, 30 + i, second(8, 48))
    if (watch.fault !== undefined) found = i
  }
  t.ok(found > 0 && found <= 5, `found in second ${found}`)
  t.match(watch.fault, { phase: 'decode', against: 'past', expectedMs: 12 })
  run(watch, 100, 41, second(8, 48))
  t.match(watch.fault, { ratio: 4 }, 'what is slow for long does not become normal')
  run(watch, 10, 141, second(8, 12))
  t.equal(watch.fault, undefined)
})

t.test('more streams, and noise, are no fault', async t => {
  const watch = new SpeedWatch()
  for (let i = 0; i < 60; i++) run(watch, 1, i, second(4 + i, (10 + 0.1 * (4 + i)) * (i % 3 === 0 ? 1.4 : 1)))
  t.equal(watch.fault, undefined)
})

t.test('a backend that was slow from the start is found by its pool', async t => {
  const peers = [new SpeedWatch(), new SpeedWatch()]
  for (const peer of peers) run(peer, 20, 0, second(8, 12))
  const watch = new SpeedWatch()
  run(watch, 20, 0, second(8, 40), peers)
  t.match(watch.fault, { phase: 'decode', against: 'pool', expectedMs: 12 })
})

t.test('prompts are held against prompts of the same length in the pool, as measured, whatever was learned', async t => {
  const prompts = (each: number, tokens: number) => second(8, 12, { firstTokens: 4, prefillMs: 4 * each, prefillTokens: 4 * tokens, measuredMs: 4 * each, predictedMs: 4 * each })
  const peers = [new SpeedWatch(), new SpeedWatch()]
  for (const peer of peers) run(peer, 20, 0, prompts(80, 500))
  const slow = new SpeedWatch(), long = new SpeedWatch(), fast = new SpeedWatch()
  run(slow, 20, 0, prompts(320, 500), peers)
  t.match(slow.fault, { phase: 'prefill', against: 'pool', ratio: 4, nowMs: 320, expectedMs: 80 })
  run(slow, 12, 20, prompts(80, 500), peers)
  t.equal(slow.fault, undefined)
  run(long, 20, 0, prompts(320, 2000), peers)
  t.equal(long.fault, undefined, 'longer prompts take longer')
  const learnedWrong = prompts(80, 500)
  run(fast, 20, 0, { ...learnedWrong, ledger: { ...ledger, model: { ...ledger.model, prefillMsPerToken: 36 } } }, peers)
  t.equal(fast.fault, undefined, 'a model that is wrong is no slow backend')
})

t.test('prompts that are read slower than predicted are found, if they usually are not', async t => {
  const usual = { firstTokens: 5, prefillMs: 500, prefillTokens: 5000, measuredMs: 500, predictedMs: 400 }
  const watch = new SpeedWatch()
  run(watch, 60, 0, second(8, 12, usual))
  t.equal(watch.fault, undefined)
  t.match(watch.now(), { prefillMs: 100, prefillShare: 0.5 })
  run(watch, 5, 60, second(8, 12, { ...usual, prefillMs: 2500, measuredMs: 2500 }))
  t.match(watch.fault, { phase: 'prefill', against: 'past' })
})

t.test('another process behind the address starts from nothing', async t => {
  const watch = new SpeedWatch()
  run(watch, 30, 0, second(8, 12))
  watch.forget()
  run(watch, 30, 30, second(8, 60))
  t.equal(watch.fault, undefined)
})

t.test('nothing known is nothing said', async t => {
  const watch = new SpeedWatch()
  run(watch, 5, 0, { elapsedMs: 1000, ledger: undefined as never, classes: new Map() })
  t.match(watch.now(), { streams: 0, tokenMs: undefined, prefillMs: undefined, prefillShare: undefined, decodeShare: undefined })
  t.equal(watch.fault, undefined)
})

t.test('the batch–latency curve, its price and its knee', async t => {
  const curve = new BatchCurve()
  const tokenMs = (streams: number) => streams <= 16 ? 10 : 10 * streams / 16
  for (const streams of [1, 2, 4, 8, 16, 32, 64]) for (let i = 0; i < 5; i++) curve.add(streams, tokenMs(streams))
  const points = curve.points(3.6, () => 0)
  t.match(points.map((point) => point.streams), [1, 2, 4, 8, 16, 32, 64])
  const [first] = points
  t.match(first, { tokenMs: 10, tokensPerS: 100, samples: 5 })
  t.ok(Math.abs(first!.costPerMillion! - 10) < 1e-9, '3.6 an hour is a thousandth a second, over 100 tokens')
  t.equal(kneeOf(points), 16)
  t.equal(kneeOf(points.slice(0, 5)), undefined, 'a straight curve has none')
  t.equal(kneeOf(points.slice(0, 3)), undefined)
  t.equal(curve.points(undefined, () => 0)[0]!.costPerMillion, undefined, 'no price is unknown, not free')
})

t.test('p99 up while p50 holds is an early queue; both up is load, and a short past is no past', async t => {
  const flat = (value: number, seconds: number) => new Array<number>(seconds).fill(value)
  const rising = [...flat(200, 100), ...flat(500, 20)]
  t.match(earlyQueueing(flat(100, 120), rising), { p50Ms: 100, p99Ms: 500, beforeP99Ms: 200 })
  t.equal(earlyQueueing([...flat(100, 100), ...flat(250, 20)], rising), undefined)
  t.equal(earlyQueueing(flat(100, 120), flat(200, 120)), undefined)
  t.equal(earlyQueueing(flat(100, 120), [...flat(NaN, 80), ...flat(200, 20), ...flat(500, 20)]), undefined)
  t.equal(earlyQueueing([], []), undefined)
})
