import t from 'tap'
import fc from 'fast-check'
import { TenantLimits } from '../../src/gateway/limits/tenant-limits.js'
import { TokenBucket } from '../../src/gateway/limits/token-bucket.js'

t.test('a bucket holds a minute\'s worth and fills evenly', async t => {
  const bucket = new TokenBucket(60, 0)
  bucket.take(60, 0)
  t.equal(bucket.waitMs(1, 0), 1000)
  t.equal(bucket.remaining(999), 0)
  t.equal(bucket.waitMs(1, 1000), 0)
  t.equal(bucket.remaining(30_000), 30)
  t.equal(bucket.resetMs(30_000), 30_000)
  t.equal(bucket.remaining(10_000_000), 60, 'no more than a minute\'s worth is saved up')
})

t.test('what is larger than the bucket goes through when that is full, and leaves a debt', async t => {
  const bucket = new TokenBucket(60, 0)
  t.equal(bucket.waitMs(600, 0), 0)
  bucket.take(600, 0)
  t.equal(bucket.remaining(0), 0)
  t.equal(bucket.waitMs(1, 0), 541_000)
})

t.test('a debt is bounded, whatever an engine claims', async t => {
  const bucket = new TokenBucket(60, 0)
  for (const amount of [1e15, Infinity, NaN, Number.MAX_VALUE]) bucket.take(amount, 0)
  t.equal(bucket.waitMs(1, 0), 60 * 60_000 + 1000)
  bucket.take(-1e15, 0)
  t.equal(bucket.remaining(0), 60, 'and so is what is given back')
})

t.test('a clock that jumps adds nothing when it goes back', async t => {
  const bucket = new TokenBucket(60, 100_000)
  bucket.take(60, 100_000)
  for (const nowMs of [0, -1e9, NaN, 100_000]) t.equal(bucket.remaining(nowMs), 0, String(nowMs))
  t.equal(bucket.remaining(101_000), 1)
})

t.test('a new rate holds from now on, and what was used stays used', async t => {
  const bucket = new TokenBucket(60, 0)
  bucket.take(60, 0)
  bucket.configure(100, 0)
  t.equal(bucket.remaining(0), 40)
  bucket.configure(10, 0)
  t.equal(bucket.remaining(0), 0)
})

t.test('whoever keeps to the bucket gets no more than the rate and one bucket, whatever the pattern', async () => {
  fc.assert(fc.property(fc.array(fc.record({ gapMs: fc.nat(20_000), amount: fc.integer({ min: 1, max: 30 }) }), { maxLength: 200 }), calls => {
    const bucket = new TokenBucket(60, 0)
    let nowMs = 0
    let taken = 0
    for (const { gapMs, amount } of calls) {
      nowMs += gapMs
      if (bucket.waitMs(amount, nowMs) > 0) continue
      bucket.take(amount, nowMs)
      taken += amount
    }
    return taken <= 60 + nowMs / 1000 + 1e-6
  }), { seed: 1, numRuns: 300 })
})

const charge = (promptTokens: number, maxOutputTokens?: number) => ({ promptTokens, maxOutputTokens })

t.test('tokens are charged by estimate and put right at the end, once', async t => {
  const limits = new TenantLimits({ tokens_per_minute: 1000 }, 0)
  const first = limits.admit(charge(100, 400), 0)
  if (!first.ok) throw new Error(first.message)
  t.match(limits.headers(0), ['x-ratelimit-limit-tokens', '1000', 'x-ratelimit-remaining-tokens', '500', 'x-ratelimit-reset-tokens', '30s'])
  t.match(limits.admit(charge(100, 500), 0), { ok: false, afterMs: 6000, message: /1000 tokens per minute; retry after 6 s/ })
  first.permit.settle({ promptTokens: 90, outputTokens: 10 }, 0)
  first.permit.settle({ promptTokens: 0, outputTokens: 0 }, 0)
  t.equal(limits.headers(0)[3], '900')
  const second = limits.admit(charge(100), 0)
  if (!second.ok) throw new Error(second.message)
  t.equal(limits.headers(0)[3], '799', 'without a cap the mean of earlier answers is charged')
  second.permit.settle({ promptTokens: undefined, outputTokens: undefined }, 0)
  t.equal(limits.headers(0)[3], '799', 'an unknown count stays as estimated')
  t.equal(limits.inflight, 0)
})

t.test('a refused request uses nothing; the longest wait is told', async t => {
  const limits = new TenantLimits({ requests_per_minute: 2, tokens_per_minute: 100, max_inflight: 3 }, 0)
  t.ok(limits.admit(charge(100, 0), 0).ok)
  for (let i = 0; i < 10; i++) t.match(limits.admit(charge(50, 0), 0), { ok: false, afterMs: 30_000, message: /100 tokens/ })
  t.ok(limits.admit(charge(0, 0), 0).ok, 'the second request is still there')
  t.match(limits.admit(charge(0, 0), 0), { ok: false, afterMs: 30_000, message: /2 requests/ })
})

t.test('the cap on requests at once', async t => {
  const limits = new TenantLimits({ max_inflight: 2 }, 0)
  const [a, b] = [limits.admit(charge(1), 0), limits.admit(charge(1), 0)]
  t.match(limits.admit(charge(1), 0), { ok: false, afterMs: undefined, message: /2 requests running/ })
  if (!a.ok || !b.ok) throw new Error('not admitted')
  a.permit.settle({}, 0)
  a.permit.settle({}, 0)
  t.equal(limits.inflight, 1)
  t.ok(limits.admit(charge(1), 0).ok)
  t.same(limits.headers(0), [])
})
