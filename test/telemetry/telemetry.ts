import t from 'tap'
import { once } from 'node:events'
import { mkdtempSync, readFileSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { configFrom } from '../../src/config/index.js'
import type { SchedulerState, Timeline } from '../../src/core/index.js'
import { createTelemetry, METRICS, RecentRequests, type BackendGauges, type RequestRecord } from '../../src/telemetry/index.js'

const written = (log: Record<string, unknown> = {}) => ({
  pools: { main: { backends: [{ url: 'http://127.0.0.1:1', engine: 'vllm', models: ['llama'], cost_per_hour: 3.6 }] } },
  classes: { chat: { ttft: '500ms', tpot: '50ms', objective: 0.9 } },
  routes: [{ name: 'chats', match: { path: '/v1/chat/completions' }, class: 'chat' }],
  log: { ...log },
})

function telemetryOf(log: Record<string, unknown> = {}) {
  const lines: Record<string, unknown>[] = []
  let nowMs = 1000
  const telemetry = createTelemetry({
    config: configFrom(written(log)), version: '9.9.9', now: () => nowMs, wallNow: () => 1_700_000_000_000 + nowMs,
    logStream: { write: (line) => { lines.push(JSON.parse(line) as Record<string, unknown>) } },
  })
  return { telemetry, lines, pass: (ms: number) => { nowMs += ms } }
}

function recordOf(overrides: Partial<RequestRecord> = {}, times: Partial<Timeline> = {}): RequestRecord {
  const timeline: Timeline = {
    id: 'r1', receivedAtMs: 1000, classifiedAtMs: 1000, queuedAtMs: undefined, dispatchedAtMs: 1100, connectedAtMs: 1101, firstTokenAtMs: 1300,
    lastTokenAtMs: 1700, endedAtMs: 1710, ending: 'completed', streamed: true, promptTokens: 100, cachedTokens: undefined, outputTokens: 11,
    outputTokensEstimated: false, attempts: 1, pool: 'main', backend: '127.0.0.1:1', maxLatenessMs: 0, ...times,
  }
  return {
    wallTimeMs: 1_700_000_000_000, timeline, route: 'chats', class: 'chat', tenant: 'ide', model: 'llama', path: '/v1/chat/completions',
    targets: { ttftMs: 500, tpotMs: 50 }, outcome: 'met', status: 200, code: undefined, detail: undefined,
    explanation: { policy: 'slo', verdict: 'feasible', predictedTtftMs: 250 }, estimatedPromptTokens: 90, gatewayOverheadMs: 0.4, traceparent: undefined,
    ...overrides,
  }
}

/** Value of the one line that starts with this. */
function valueOf(text: string, start: string): string | undefined {
  return text.split('\n').find((line) => line.startsWith(`${start} `))?.slice(start.length + 1)
}

t.test('a request that ends is counted, measured, logged and remembered once', async (t) => {
  const { telemetry, lines, pass } = telemetryOf()
  telemetry.offered('chats', 'chat', 'llama')
  telemetry.intervals('chat', 'main', 'a').record(40)
  pass(710)
  telemetry.finished(recordOf())
  const text = (await telemetry.metricsText()).toString()
  t.equal(valueOf(text, 'sluice_requests_total{route="chats",class="chat",pool="main",model="llama",outcome="met"}'), '1')
  t.equal(valueOf(text, 'sluice_offered_requests_total{route="chats",class="chat",model="llama"}'), '1')
  t.equal(valueOf(text, 'sluice_time_to_first_token_seconds_sum{class="chat",pool="main"}'), '0.3')
  t.equal(valueOf(text, 'sluice_time_to_first_token_seconds_bucket{class="chat",pool="main",le="0.2"}'), '0')
  t.equal(valueOf(text, 'sluice_time_to_first_token_seconds_bucket{class="chat",pool="main",le="0.3"}'), '1', 'a bound belongs to its bucket')
  t.equal(valueOf(text, 'sluice_time_to_first_token_seconds_bucket{class="chat",pool="main",le="+Inf"}'), '1')
  t.equal(valueOf(text, 'sluice_time_per_output_token_seconds_sum{class="chat",pool="main"}'), '0.04')
  t.equal(valueOf(text, 'sluice_inter_token_latency_seconds_count{class="chat",pool="main"}'), '1')
  t.equal(valueOf(text, 'sluice_goodput_tokens_total{class="chat",pool="main",model="llama"}'), '11')
  t.equal(valueOf(text, 'sluice_slo_attainment_ratio{class="chat",window="5m"}'), '1')
  t.equal(valueOf(text, 'sluice_slo_burn_rate{class="chat",window="5m"}'), '0')
  t.equal(valueOf(text, 'sluice_slo_target_seconds{class="chat",target="ttft"}'), '0.5')
  t.equal(valueOf(text, 'sluice_prediction_ratio_sum{target="ttft"}'), '1.2')
  t.equal(valueOf(text, 'sluice_build_info{version="9.9.9"}'), '1')
  t.match(text, /^process_cpu_seconds_total /m, 'prom-client\'s own metrics are there')
  t.equal(lines.length, 1)
  t.match(lines[0], { level: 'info', message: 'request', request_id: 'r1', outcome: 'met', ttft_ms: 300, queue_ms: 100, tpot_ms: 40, output_tokens: 11 })
  t.equal(telemetry.recent.list(10, () => true).length, 1)
})

t.test('what was not kept is wasted, and the false-rejection rate is measured', async (t) => {
  const { telemetry } = telemetryOf()
  telemetry.offered('chats', 'chat', 'llama')
  telemetry.finished(recordOf({ outcome: 'missed_ttft', explanation: { policy: 'slo', verdict: 'infeasible', wouldReject: true } }, { firstTokenAtMs: 1600 }))
  telemetry.offered('chats', 'chat', 'llama')
  telemetry.finished(recordOf({ explanation: { policy: 'slo', verdict: 'infeasible', probe: true } }))
  telemetry.attemptLost('chat', { promptTokens: 5, outputTokens: 2 })
  const text = (await telemetry.metricsText()).toString()
  t.equal(valueOf(text, 'sluice_wasted_tokens_total{class="chat",reason="missed_ttft"}'), '111')
  t.equal(valueOf(text, 'sluice_wasted_tokens_total{class="chat",reason="retried"}'), '7')
  t.equal(valueOf(text, 'sluice_rejections_probed_total{class="chat"}'), '2')
  t.equal(valueOf(text, 'sluice_rejections_would_have_met_total{class="chat"}'), '1')
  t.equal(valueOf(text, 'sluice_slo_attainment_ratio{class="chat",window="1m"}'), '0.5')
  t.equal(valueOf(text, 'sluice_slo_requests_total{class="chat",result="met"}'), '1')
  t.equal(valueOf(text, 'sluice_slo_requests_total{class="chat",result="missed"}'), '1')
  t.equal(valueOf(text, 'sluice_slo_requests_total{class="default",result="missed"}'), '0', 'there from the start')
  t.equal(valueOf(text, 'sluice_config_last_reload_success'), '1')
  telemetry.reloaded('rejected')
  t.equal(valueOf((await telemetry.metricsText()).toString(), 'sluice_config_last_reload_success'), '0')
})

t.test('100,000 hostile names add no series', async (t) => {
  const { telemetry } = telemetryOf({ requests: false })
  telemetry.finished(recordOf({ model: 'x0', route: 'x0' }))
  const series = async () => (await telemetry.metricsText()).toString().split('\n').filter((line) => line.startsWith('sluice_')).length
  const before = await series()
  for (let i = 0; i < 100_000; i++) {
    const name = `evil"${i}\n\\{}__proto__`
    telemetry.offered(name, 'chat', name)
    if (i % 10 === 0) telemetry.finished(recordOf({ model: name, route: name, tenant: name, path: name }))
  }
  // The one new series is the offered counter's `other`.
  t.equal(await series(), before + 1)
  telemetry.models(Array.from({ length: 100_000 }, (_, i) => `listed-${i}`))
  for (let i = 0; i < 1000; i++) telemetry.offered('chats', 'chat', `listed-${i}`)
  t.ok(await series() <= before + 110, 'models that backends list have a bound as well')
})

t.test('label values are escaped, and configured names with awkward characters survive', async (t) => {
  const { telemetry } = telemetryOf()
  telemetry.models(['a"b\\c'])
  telemetry.offered('chats', 'chat', 'a"b\\c')
  t.equal(valueOf((await telemetry.metricsText()).toString(), 'sluice_offered_requests_total{route="chats",class="chat",model="a\\"b\\\\c"}'), '1')
})

t.test('gauges are read from their sources; the unknown has no value', async (t) => {
  const { telemetry } = telemetryOf()
  let backends: readonly BackendGauges[] = [
    { id: 'a', pool: 'main', state: 'up', operatorDrain: false, breaker: 'closed', report: { running: 0, kvUsageRatio: 0.25 }, costPerHour: 3.6 },
    { id: 'b', pool: 'main', state: 'draining', operatorDrain: true, breaker: 'half_open', report: {}, costPerHour: 3.6 },
  ]
  telemetry.observe({ scheduler: () => stateOf(['a', 'b', 'gone']), backends: () => backends })
  let text = (await telemetry.metricsText()).toString()
  t.equal(valueOf(text, 'sluice_backend_up{backend="a",pool="main"}'), '1')
  t.equal(valueOf(text, 'sluice_backend_up{backend="b",pool="main"}'), '0')
  t.equal(valueOf(text, 'sluice_backend_draining{backend="a",pool="main"}'), '0')
  t.equal(valueOf(text, 'sluice_backend_draining{backend="b",pool="main"}'), '1')
  t.equal(valueOf(text, 'sluice_backend_breaker_state{backend="b",pool="main"}'), '1')
  t.equal(valueOf(text, 'sluice_backend_engine_running{backend="a",pool="main"}'), '0')
  t.equal(valueOf(text, 'sluice_backend_engine_running{backend="b",pool="main"}'), undefined)
  t.equal(valueOf(text, 'sluice_backend_engine_waiting{backend="a",pool="main"}'), undefined, 'missing is not zero')
  t.equal(valueOf(text, 'sluice_queue_depth{class="chat"}'), '3')
  t.equal(valueOf(text, 'sluice_backend_inflight_requests{backend="a",pool="main"}'), '2')
  t.equal(valueOf(text, 'sluice_backend_inflight_requests{backend="gone",pool="main"}'), undefined)
  t.equal(valueOf(text, 'sluice_cost_per_million_good_tokens'), undefined, 'no tokens, no price')
  backends = backends.slice(1)
  text = (await telemetry.metricsText()).toString()
  t.equal(valueOf(text, 'sluice_backend_up{backend="a",pool="main"}'), undefined, 'a backend that left leaves no line')
})

t.test('cost per million good tokens', async (t) => {
  const { telemetry, pass } = telemetryOf()
  telemetry.observe({ scheduler: () => stateOf([]), backends: () => [{ id: 'a', pool: 'main', state: 'up', operatorDrain: false, breaker: 'closed', report: {}, costPerHour: 3.6 }] })
  telemetry.offered('chats', 'chat', 'llama')
  telemetry.finished(recordOf())
  telemetry.finished(recordOf({ outcome: 'missed_ttft' }, { firstTokenAtMs: 1600 }))
  pass(9_999)
  const text = (await telemetry.metricsText()).toString()
  const plain = Number(valueOf(text, 'sluice_cost_per_million_tokens')), good = Number(valueOf(text, 'sluice_cost_per_million_good_tokens'))
  t.ok(plain > 0)
  t.ok(Math.abs(good / plain - 2) < 1e-9, 'half of the tokens were good, so they cost twice as much')
})

t.test('log lines never carry secrets, and the level can be silenced while running', (t) => {
  const { telemetry, lines } = telemetryOf({ level: 'debug' })
  telemetry.log.info({ authorization: 'Bearer CANARY', nested: { api_key: 'CANARY', 'x-api-key': 'CANARY' } }, 'careless')
  t.notMatch(JSON.stringify(lines), /CANARY/)
  t.match(lines[0], { level: 'info', time: '2023-11-14T22:13:21.000Z', authorization: '[redacted]' })
  telemetry.configure(configFrom(written({ level: 'silent' })))
  telemetry.log.error('nobody hears')
  t.equal(lines.length, 1)
  t.end()
})

t.test('request file and audit file hold one JSON object a line', async (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'sluice-log-'))
  const requestFile = join(folder, 'deep', 'requests.jsonl'), auditFile = join(folder, 'audit.jsonl')
  const { telemetry } = telemetryOf({ request_file: requestFile, audit_file: auditFile })
  telemetry.finished(recordOf())
  telemetry.finished(recordOf({ outcome: 'rejected' }))
  telemetry.refused('r2', 'ide', 'queue_full')
  telemetry.audit({ action: 'drain', actor: 'operator', subject: 'a', result: 'done' })
  await telemetry.close()
  const lines = (file: string) => readFileSync(file, 'utf8').trimEnd().split('\n').map((line) => JSON.parse(line) as Record<string, unknown>)
  t.match(lines(requestFile), [{ class: 'chat', timeline: { receivedAtMs: 1000, promptTokens: 100 } }, { outcome: 'rejected' }])
  t.match(lines(auditFile), [{ action: 'admission', actor: 'ide', detail: 'queue_full', result: 'refused' }, { action: 'drain', subject: 'a' }])
})

t.test('a log file that cannot be written loses lines, counts them, and stops nobody', async (t) => {
  const inTheWay = join(mkdtempSync(join(tmpdir(), 'sluice-log-')), 'file')
  writeFileSync(inTheWay, '')
  const file = join(inTheWay, 'requests.jsonl')
  const { telemetry, lines } = telemetryOf({ request_file: file, requests: false })
  t.match(lines, [{ level: 'error', file }])
  telemetry.finished(recordOf())
  t.equal(valueOf((await telemetry.metricsText()).toString(), 'sluice_log_lines_dropped_total{sink="requests"}'), '1')
  await telemetry.close()
})

t.test('the registry holds exactly the table, and each of its metrics has a family line', async (t) => {
  const { telemetry } = telemetryOf()
  const text = (await telemetry.metricsText()).toString()
  const typed = [...text.matchAll(/^# TYPE (sluice_\S+) (\S+)$/gm)].map(([, name, type]) => `${name} ${type}`)
  t.same(typed, METRICS.map(({ name, type }) => `${name} ${type}`))
  t.equal(new Set(typed).size, METRICS.length)
  const json = await telemetry.registry.getMetricsAsJSON()
  t.ok(json.some(({ name }) => name === 'sluice_build_info'), 'prom-client reads our families as its own')
})

t.test('what running streams show of a backend is summed by class, time in the queue left out', async (t) => {
  const { telemetry } = telemetryOf()
  const finished: string[] = []
  const off = telemetry.onFinished(({ timeline }) => { finished.push(timeline.id) })
  const gaps = telemetry.intervals('chat', 'main', 'a')
  gaps.record(40)
  gaps.record(20)
  telemetry.intervals('chat', 'main', 'b').record(7)
  telemetry.firstToken('a', 'chat', 100, 300, { policy: 'slo', verdict: 'feasible', uncachedTokens: 800, predictedTtftMs: 280 })
  telemetry.firstToken('a', 'chat', 50, 50, undefined)
  t.same(telemetry.paces(), [
    { backend: 'a', class: 'chat', gaps: 2, gapMs: 60, firstTokens: 2, prefillMs: 150, prefillTokens: 800, measuredMs: 100, predictedMs: 80 },
    { backend: 'b', class: 'chat', gaps: 1, gapMs: 7, firstTokens: 0, prefillMs: 0, prefillTokens: 0, measuredMs: 0, predictedMs: 0 },
  ])
  telemetry.finished(recordOf())
  off()
  telemetry.finished(recordOf())
  t.equal(finished.length, 1)
})

t.test('a scrape at 64 backends and 20 classes is cheap', async (t) => {
  const pools = ['p0', 'p1', 'p2']
  const config = configFrom({
    pools: Object.fromEntries(pools.map((pool, i) => [pool, { backends: [{ url: `http://127.0.0.1:${i + 1}`, models: ['llama'] }] }])),
    classes: Object.fromEntries(Array.from({ length: 20 }, (_, i) => [`class${i}`, { ttft: '500ms', tpot: '50ms' }])),
  })
  const telemetry = createTelemetry({ config, version: '1', now: () => performance.now(), wallNow: () => 0, logStream: { write: () => {} } })
  const backends: BackendGauges[] = Array.from({ length: 64 }, (_, i) => ({ id: `backend-${i}`, pool: pools[i % 3]!, state: 'up', operatorDrain: false, breaker: 'closed', report: { running: i, waiting: 0, kvUsageRatio: 0.5, prefixHitRatio: 0.3 }, costPerHour: 1 }))
  const state = stateOf(backends.map(({ id }) => id), Object.keys(config.classes))
  telemetry.observe({ scheduler: () => state, backends: () => backends })
  for (const className of Object.keys(config.classes)) {
    for (const pool of pools) {
      telemetry.offered('default', className, 'llama')
      for (const outcome of ['met', 'missed_ttft', 'failed'] as const) telemetry.finished(recordOf({ class: className, route: 'default', outcome }, { pool }))
      telemetry.intervals(className, pool, 'backend-1').record(20)
    }
  }
  for (let i = 0; i < 5; i++) await telemetry.metricsText()
  const cpu: number[] = []
  for (let i = 0; i < 20; i++) {
    const before = process.cpuUsage()
    await telemetry.metricsText()
    const { user, system } = process.cpuUsage(before)
    cpu.push((user + system) / 1000)
  }
  const median = cpu.sort((a, b) => a - b)[10]!
  const text = (await telemetry.metricsText()).toString()
  t.comment(`median CPU of a scrape: ${median.toFixed(2)} ms, ${text.length} bytes, ${text.split('\n').length} lines`)
  // About 4 ms on a quiet machine; the bound leaves room for a busy one and still catches a second rendering of everything.
  t.ok(median < 60, `a scrape took ${median} ms of CPU`)
})

t.test('what takes a walk over every socket is counted once a minute', async (t) => {
  const time = { nowMs: 0 }
  const telemetry = createTelemetry({ config: configFrom({}), version: '1', now: () => time.nowMs, wallNow: () => 0, logStream: { write: () => {} } })
  const handles = async () => Number(valueOf((await telemetry.metricsText()).toString(), 'nodejs_active_handles_total'))
  const before = await handles()
  const servers = await Promise.all([1, 2, 3].map(async () => {
    const server = createServer().listen(0, '127.0.0.1')
    await once(server, 'listening')
    return server
  }))
  t.teardown(() => { for (const server of servers) server.close() })
  time.nowMs = 59_999
  t.equal(await handles(), before)
  time.nowMs = 60_000
  t.ok(await handles() >= before + 3)
})

function stateOf(backends: readonly string[], classes: readonly string[] = ['chat']): SchedulerState {
  return {
    policy: 'slo',
    admission: { configured: 'observe', effective: 'observe', probed: 0, wouldHaveMet: 0 },
    classes: classes.map((name) => ({ name, queued: 3, queuedTokens: 300, oldestWaitMs: 1500, drainPerSecond: 1 })),
    backends: backends.map((id) => ({
      id, state: 'up', inflightRequests: 2, inflightPrefillTokens: 10, decodingStreams: 1, contextTokens: 100, concurrencyLimit: undefined,
      model: { prefillMsPerToken: 0.1, decodeBaseMs: 10, decodeMsPerStream: 0.1, decodeMsPer1000ContextTokens: 0.1, prefillSamples: 0, decodeSamples: 0, ageMs: undefined, predictionErrorRatio: undefined },
    })),
  }
}

t.test('recent requests: all of a burst, and an even sample of a flood', async (t) => {
  const recent = new RecentRequests(50)
  for (let i = 0; i < 40; i++) recent.add(recordOf({}, { endedAtMs: 1000 }))
  t.equal(recent.list(100, () => true).length, 40, 'a burst is kept whole')
  for (let atMs = 1000; atMs < 3000; atMs++) recent.add(recordOf({}, { endedAtMs: atMs }))
  const ends = recent.list(100, () => true).map(({ timeline }) => timeline.endedAtMs!)
  t.equal(ends.length, 50)
  t.ok(ends[0]! > 2985, 'the newest is there')
  t.ok(ends.at(-1)! < 2520, `it reaches back half a second at any rate: ${ends.at(-1)}`)
})
