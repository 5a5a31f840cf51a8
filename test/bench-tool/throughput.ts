import t from 'tap'
import { ThroughputMeter } from '../../src/bench/throughput.js'

const request = (firstTokenAtMs: number, lastTokenAtMs: number, outputTokens: number) =>
  ({ ending: 'completed' as const, endedAtMs: lastTokenAtMs, firstTokenAtMs, lastTokenAtMs, promptTokens: 100, outputTokens })

t.test('tokens count in the second in which they came, and only within the span', async t => {
  const meter = new ThroughputMeter(1000, 2500)
  meter.ended(request(500, 1500, 10))
  meter.ended(request(1500, 3500, 40))
  meter.ended(request(2000, 2000, 3))
  meter.ended(request(0, 900, 1000))
  meter.ended(request(3600, 4000, 1000))
  // Seconds from 1000 on: 5 + 10, 20 + 3, and 10 in the half that is left.
  t.same(meter.result(), { completed: 2, inputTokens: 200, outputTokens: 48, peakOutputTokens: 23, peakRequests: 0 })
})

t.test('what got no token or did not complete; how many were out at once', async t => {
  const meter = new ThroughputMeter(0, 1000)
  for (const active of [1, 3, 2]) meter.sent(active)
  meter.ended({ ending: 'rejected', endedAtMs: 10, firstTokenAtMs: undefined, lastTokenAtMs: undefined, promptTokens: 100, outputTokens: 0 })
  meter.ended({ ...request(100, 200, 5), ending: 'failed' })
  t.same(meter.result(), { completed: 0, inputTokens: 100, outputTokens: 5, peakOutputTokens: 5, peakRequests: 3 })
})
