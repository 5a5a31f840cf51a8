/** The books of a gateway with 64 backends, 20 classes and 30 tenants, without the gateway; its clock is turned by hand. */
import { configFrom } from '../../src/config/index.js'
import type { Outcome, SchedulerState, Timeline } from '../../src/core/index.js'
import { Dashboard, type DashboardBackend } from '../../src/dashboard/index.js'
import { createTelemetry } from '../../src/telemetry/index.js'

export const BACKENDS = 64, CLASSES = 20, POOLS = 3, TENANTS = 30
const OUTCOMES: readonly Outcome[] = ['met', 'missed_ttft', 'missed_tpot', 'rejected', 'failed']

const pools = Array.from({ length: POOLS }, (_, i) => `pool${i}`)
const classes = Array.from({ length: CLASSES }, (_, i) => `class${i}`)
const config = configFrom({
  pools: Object.fromEntries(pools.map((pool, i) => [pool, { backends: [{ url: `http://127.0.0.1:${i + 1}`, models: ['llama'] }] }])),
  classes: Object.fromEntries(classes.map((name) => [name, { ttft: '500ms', tpot: '50ms' }])),
  log: { requests: false },
})
let nowMs = 1_000_000
// Seconds by hand, and within one as time goes by: work in turns looks at it.
const clock = { now: () => nowMs + performance.now() % 1000 }
export const telemetry = createTelemetry({ config, version: '1', now: clock.now, wallNow: () => 0, logStream: { write: () => {} } })

const backends: readonly DashboardBackend[] = Array.from({ length: BACKENDS }, (_, i) => ({
  id: `backend-${i}`, pool: pools[i % POOLS]!, engine: 'vllm', state: 'up', why: 'healthy', stateAgeMs: 5, operatorDrain: false, breaker: 'closed', costPerHour: 1,
  models: [{ id: 'llama' }], restarts: 0, reportAgeMs: 300, reportError: undefined, reportFrozen: false,
  report: { running: i, waiting: 0, kvUsageRatio: 0.5, prefixHitRatio: 0.3 }, gpuUtilizationRatio: 0.9,
}))
const state: SchedulerState = {
  policy: 'slo',
  admission: { configured: 'observe', effective: 'observe', probed: 0, wouldHaveMet: 0 },
  classes: classes.map((name) => ({ name, queued: 3, queuedTokens: 300, oldestWaitMs: 1500, drainPerSecond: 1 })),
  backends: backends.map(({ id }) => ({
    id, state: 'up', inflightRequests: 2, inflightPrefillTokens: 10, decodingStreams: 1, contextTokens: 100, concurrencyLimit: 64,
    model: { prefillMsPerToken: 0.1, decodeBaseMs: 10, decodeMsPerStream: 0.1, decodeMsPer1000ContextTokens: 0.1, prefillSamples: 0, decodeSamples: 0, ageMs: undefined, predictionErrorRatio: undefined },
  })),
}
telemetry.observe({ scheduler: () => state, backends: () => backends })
export const dashboard = new Dashboard({
  telemetry, clock, version: '1', config: () => config, scheduler: () => state, backends: () => backends,
  pools: () => pools.map((name) => ({ name, role: 'latency', mode: 'balanced' })), draining: () => false,
})

/** A second goes by in which every series of `/metrics` changes: each class on each pool, with each outcome, and streams on each backend. */
export function passSecond(): void {
  nowMs += 1000
  let count = 0
  for (const className of classes) {
    for (const pool of pools) {
      for (const outcome of OUTCOMES) {
        const ttftMs = 20 + Math.random() * 900
        const timeline: Timeline = {
          id: 'r', receivedAtMs: nowMs - 3000, classifiedAtMs: nowMs - 3000, queuedAtMs: nowMs - 3000, dispatchedAtMs: nowMs - 3000 + ttftMs / 4, connectedAtMs: nowMs - 3000 + ttftMs / 4,
          firstTokenAtMs: nowMs - 3000 + ttftMs, lastTokenAtMs: nowMs - 5, endedAtMs: nowMs, ending: 'completed', streamed: true, promptTokens: 100, cachedTokens: undefined, outputTokens: 60,
          outputTokensEstimated: false, attempts: 1, pool, backend: `backend-${count % BACKENDS}`, maxLatenessMs: 0,
        }
        telemetry.offered('default', className, 'llama')
        telemetry.finished({
          wallTimeMs: 0, timeline, route: 'default', class: className, tenant: `tenant${count++ % TENANTS}`, model: 'llama', path: '/v1/chat/completions', targets: { ttftMs: 500, tpotMs: 50 },
          outcome, status: 200, code: undefined, detail: undefined, explanation: { policy: 'slo', verdict: 'feasible', predictedTtftMs: 250 }, estimatedPromptTokens: 90, gatewayOverheadMs: 0.4, traceparent: undefined,
        })
      }
    }
    for (const { id, pool } of backends) for (let i = 0; i < 3; i++) telemetry.intervals(className, pool, id).record(10 + Math.random() * 30)
  }
}
