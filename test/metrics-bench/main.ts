/**
 * `npm run bench:metrics`: what a scrape of `/metrics` costs at 64 backends and 20 classes: CPU per scrape, and the longest
 * time for which it keeps the event loop, which is what a stream can feel of it. `--json` for programs.
 */
import { configFrom } from '../../src/config/index.js'
import type { Outcome, SchedulerState, Timeline } from '../../src/core/index.js'
import { createTelemetry, type BackendGauges } from '../../src/telemetry/index.js'

const BACKENDS = 64, CLASSES = 20, POOLS = 3, SCRAPES = 200
const OUTCOMES: readonly Outcome[] = ['met', 'missed_ttft', 'missed_tpot', 'rejected', 'failed']

const pools = Array.from({ length: POOLS }, (_, i) => `pool${i}`)
const classes = Array.from({ length: CLASSES }, (_, i) => `class${i}`)
const config = configFrom({
  pools: Object.fromEntries(pools.map((pool, i) => [pool, { backends: [{ url: `http://127.0.0.1:${i + 1}`, models: ['llama'] }] }])),
  classes: Object.fromEntries(classes.map((name) => [name, { ttft: '500ms', tpot: '50ms' }])),
  log: { requests: false },
})
const telemetry = createTelemetry({ config, version: '1', now: () => performance.now(), wallNow: () => 0, logStream: { write: () => {} } })
const backends: readonly BackendGauges[] = Array.from({ length: BACKENDS }, (_, i) => ({
  id: `backend-${i}`, pool: pools[i % POOLS]!, state: 'up', operatorDrain: false, breaker: 'closed', costPerHour: 1,
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
const timeline: Timeline = {
  id: 'r', receivedAtMs: 0, classifiedAtMs: 0, queuedAtMs: 0, dispatchedAtMs: 100, connectedAtMs: 101, firstTokenAtMs: 300, lastTokenAtMs: 700, endedAtMs: 710, ending: 'completed',
  streamed: true, promptTokens: 100, cachedTokens: undefined, outputTokens: 11, outputTokensEstimated: false, attempts: 1, pool: undefined, backend: undefined, maxLatenessMs: 0,
}
for (const className of classes) {
  for (const pool of pools) {
    for (const outcome of OUTCOMES) {
      telemetry.offered('default', className, 'llama')
      telemetry.finished({
        wallTimeMs: 0, timeline: { ...timeline, pool }, route: 'default', class: className, tenant: 'a', model: 'llama', path: '/v1/chat/completions', targets: { ttftMs: 500, tpotMs: 50 },
        outcome, status: 200, code: undefined, detail: undefined, explanation: { policy: 'slo', verdict: 'feasible', predictedTtftMs: 250 }, estimatedPromptTokens: 90, gatewayOverheadMs: 0.4, traceparent: undefined,
      })
    }
    telemetry.intervals(className, pool, 'backend-1').record(20)
  }
}

/** One scrape: its CPU, and the longest gap between two turns of the event loop meanwhile. */
async function scrape(): Promise<{ cpuMs: number, longestMs: number, bytes: number }> {
  let longestMs = 0, last = performance.now(), scraping = true
  const turn = () => {
    const now = performance.now()
    longestMs = Math.max(longestMs, now - last)
    last = now
    if (scraping) setImmediate(turn)
  }
  setImmediate(turn)
  const before = process.cpuUsage()
  const text = await telemetry.metricsText()
  const { user, system } = process.cpuUsage(before)
  await new Promise<void>((resolve) => { setImmediate(() => { scraping = false; resolve() }) })
  turn()
  return { cpuMs: (user + system) / 1000, longestMs, bytes: text.length }
}

for (let i = 0; i < 20; i++) await scrape()
const scrapes = []
for (let i = 0; i < SCRAPES; i++) scrapes.push(await scrape())
const at = (values: number[], q: number): number => values.sort((a, b) => a - b)[Math.min(values.length - 1, Math.floor(q * values.length))]!
const cpu = scrapes.map(({ cpuMs }) => cpuMs), stretches = scrapes.map(({ longestMs }) => longestMs)
const report = {
  backends: BACKENDS, classes: CLASSES, scrapes: SCRAPES, bytes: scrapes[0]!.bytes,
  cpuMs: { median: at(cpu, 0.5), p99: at(cpu, 0.99) },
  longestStretchMs: { median: at(stretches, 0.5), p99: at(stretches, 0.99) },
}
console.log(process.argv.includes('--json') ? JSON.stringify(report) : `${BACKENDS} backends, ${CLASSES} classes, ${report.bytes} bytes, ${SCRAPES} scrapes
CPU per scrape            median ${report.cpuMs.median.toFixed(2)} ms, p99 ${report.cpuMs.p99.toFixed(2)} ms
longest synchronous part  median ${report.longestStretchMs.median.toFixed(2)} ms, p99 ${report.longestStretchMs.p99.toFixed(2)} ms`)
