import t, { type Test } from 'tap'
import { configFrom } from '../../src/config/index.js'
import type { SchedulerState, Timeline } from '../../src/core/index.js'
import { Histogram } from '../../src/core/index.js'
import { adviceOf } from '../../src/dashboard/advice.js'
import { Dashboard, type DashboardBackend, type Message, type Snapshot } from '../../src/dashboard/index.js'
import { distributionOf } from '../../src/dashboard/distribution.js'
import { createTelemetry, type RequestRecord } from '../../src/telemetry/index.js'

const backend: DashboardBackend = {
  id: 'a', pool: 'main', engine: 'vllm', state: 'up', why: 'healthy', stateAgeMs: 5, operatorDrain: false, breaker: 'closed', models: undefined, restarts: 0,
  reportAgeMs: undefined, reportError: undefined, reportFrozen: false, report: {}, gpuUtilizationRatio: undefined, costPerHour: 3.6,
}
const scheduler: SchedulerState = { policy: 'slo', admission: { configured: 'observe', effective: 'observe', probed: 0, wouldHaveMet: 0 }, classes: [{ name: 'chat', queued: 3, queuedTokens: 90, oldestWaitMs: 12, drainPerSecond: 2 }], backends: [] }

const start = (t: Test, backends: DashboardBackend[] = [backend]) => {
  const config = configFrom({
    pools: { main: { backends: [{ url: 'http://127.0.0.1:1', name: 'a' }] } },
    classes: { chat: { ttft: '500ms', tpot: '50ms', objective: 0.9 }, free: {} },
  })
  const time = { nowMs: 1000 }
  const clock = { now: () => time.nowMs }
  const telemetry = createTelemetry({ config, version: '1', now: clock.now, wallNow: () => 0, logStream: { write: () => {} } })
  const dashboard = new Dashboard({ telemetry, clock, version: '1', config: () => config, scheduler: () => scheduler, backends: () => backends, pools: () => [{ name: 'main', role: 'latency', mode: 'balanced' }], draining: () => false })
  t.teardown(() => { dashboard.stop() })
  const finish = (over: Partial<RequestRecord> = {}, ttftMs = 100) => {
    const at = time.nowMs
    const timeline: Timeline = {
      id: 'r', receivedAtMs: at - 1000, classifiedAtMs: at - 1000, queuedAtMs: at - 1000, dispatchedAtMs: at - 1000 + ttftMs / 2, connectedAtMs: at - 1000 + ttftMs / 2, firstTokenAtMs: at - 1000 + ttftMs, lastTokenAtMs: at - 1000 + ttftMs + 200,
      endedAtMs: at, ending: 'completed', streamed: true, promptTokens: 50, cachedTokens: 0, outputTokens: 11, outputTokensEstimated: false, attempts: 1, pool: 'main', backend: 'a', maxLatenessMs: 0,
    }
    const record: RequestRecord = {
      wallTimeMs: 0, timeline, route: 'default', class: 'chat', tenant: 'ide', model: 'm', path: '/', targets: { ttftMs: 500, tpotMs: 50 }, outcome: ttftMs > 500 ? 'missed_ttft' : 'met', status: 200,
      code: undefined, detail: undefined, explanation: undefined, estimatedPromptTokens: undefined, gatewayOverheadMs: 0, traceparent: undefined, ...over,
    }
    telemetry.offered('default', record.class, 'm')
    telemetry.finished(record)
  }
  const tick = async (seconds = 1) => {
    for (let i = 0; i < seconds; i++) {
      time.nowMs += 1000
      await dashboard.tick()
    }
  }
  return { dashboard, telemetry, time, finish, tick }
}

const find = (snapshot: Snapshot, kind: string, name: string) => snapshot.personas.find((one) => one.kind === kind && one.name === name)!

t.test('before anything happened nothing is made up', async t => {
  const { dashboard, tick } = start(t)
  await tick()
  const snapshot = dashboard.snapshot('all:all')
  t.equal(find(snapshot, 'class', 'chat').windows['5m'].attainment, undefined)
  t.equal(find(snapshot, 'class', 'chat').windows['5m'].burnRate, undefined)
  t.same(snapshot.detail.distributions, {})
  t.equal(snapshot.detail.cost?.perMillion, undefined)
  t.equal(snapshot.matrix, undefined)
  t.same([snapshot.faults, snapshot.queueAlarms, snapshot.misses], [[], [], []])
  t.same(new Set(snapshot.advice.filter(({ id }) => !['admission'].includes(id)).map(({ level }) => level)), new Set(['unknown']))
  t.match(snapshot.backends, [{ id: 'a', now: { tokenMs: undefined, prefillShare: undefined }, curve: [] }])
})

t.test('every view of a request agrees with the ledger behind /metrics', async t => {
  const { dashboard, telemetry, time, finish, tick } = start(t)
  await tick()
  for (let i = 0; i < 8; i++) finish()
  finish({}, 800)
  finish({}, 800)
  finish({ class: 'free', tenant: 'bot', targets: {}, outcome: 'untargeted' })
  await tick(2)
  const snapshot = dashboard.snapshot('class:chat')
  const ledger = telemetry.ledger.totals('chat')
  t.match(snapshot.detail, { kind: 'class', name: 'chat', offered: 10, outcomes: { met: 8, missed_ttft: 2 }, goodTokens: 88, outputTokens: 110, wastedTokens: { missed_ttft: ledger.wastedTokens.missed_ttft } })
  for (const [kind, name] of [['class', 'chat'], ['tenant', 'ide']] as const) t.match(find(snapshot, kind, name), { objective: 0.9, windows: { '5m': { attainment: 0.8 } } }, `${kind} ${name}`)
  t.equal(find(snapshot, 'pool', 'main').windows['5m'].attainment, 0.8, 'a request without targets is no promise')
  t.ok(Math.abs(find(snapshot, 'class', 'chat').windows['5m'].burnRate! - 2) < 1e-9, 'twice as fast as the objective allows')
  t.match(find(snapshot, 'class', 'chat').queue, { depth: 3, oldestWaitMs: 12 })
  t.equal(find(snapshot, 'class', 'free').objective, undefined)
  t.equal(find(snapshot, 'class', 'chat').live.ttft?.p99, 800)
  t.match(snapshot.detail.distributions.ttft, { count: 10, over: '5m' })
  t.equal(snapshot.detail.distributions.ttft!.counts.reduce((a, b) => a + b), 10)
  t.match(snapshot.misses, [{ class: 'chat', ended: 10, missed: 2, outcome: { name: 'missed_ttft', count: 2 }, queueShare: 0.5, backend: { name: 'a', count: 2 } }])

  const text = (await telemetry.metricsText()).toString()
  t.match(text, 'sluice_slo_attainment_ratio{class="chat",window="5m"} 0.8\n')
  t.match(text, 'sluice_goodput_tokens_total{class="chat",pool="main",model="other"} 88\n')
  telemetry.observe({ scheduler: () => scheduler, backends: () => [backend] })
  const price = /^sluice_cost_per_million_good_tokens (\S+)$/m.exec((await telemetry.metricsText()).toString())![1]
  t.equal(String(dashboard.snapshot('all:all').detail.cost!.perMillionGood), price)
  t.equal(time.nowMs, 4000)
})

t.test('a page that opens gets the past at once, then a row a second, for whomever it looks at', async t => {
  const { dashboard, finish, tick } = start(t)
  await tick(700)
  finish()
  await tick(3)
  const told: Message[] = []
  let off = () => {}
  await new Promise<void>((resolve) => {
    off = dashboard.subscribe('tenant:ide', (json) => {
      told.push(JSON.parse(json) as Message)
      resolve()
    })
  })
  t.equal(told.length, 1)
  t.equal(told[0]!.snapshot.detail.kind, 'tenant')
  t.same(told[0]!.history.persona['met'], [1, 0, 0], 'a tenant has a past since its first request')
  t.equal(told[0]!.history.backends['a']!['tokensPerS']!.length, 600, 'bounded')
  await tick()
  t.equal(told[1]!.history.uptimeMs.length, 1)
  off()
  await tick()
  t.equal(told.length, 2)
  t.equal(dashboard.snapshot('pool:gone').detail.kind, 'all', 'an unknown view shows everything')
})

t.test('tenants beyond fifty share a book', async t => {
  const { dashboard, finish, tick } = start(t)
  for (let i = 0; i < 80; i++) finish({ tenant: `t${i}` })
  await tick()
  const tenants = dashboard.snapshot('all:all').personas.filter(({ kind }) => kind === 'tenant')
  t.ok(tenants.length <= 51, `${tenants.length} books`)
  t.ok(tenants.some(({ name }) => name === 'other'))
})

t.test('a backend without a price makes the price unknown', async t => {
  const { dashboard, finish, tick } = start(t, [backend, { ...backend, id: 'b', costPerHour: undefined }])
  finish()
  await tick()
  const { costPerHour, detail } = dashboard.snapshot('all:all')
  t.same([costPerHour, detail.cost], [undefined, undefined])
})

t.test('the bins of a distribution hold every sample', async t => {
  const histogram = new Histogram()
  t.equal(distributionOf(histogram, '5m'), undefined)
  for (const value of [0.001, 5, 5, 80, 9000]) histogram.record(value)
  const { counts, edges, count } = distributionOf(histogram, '5m')!
  t.equal(counts.reduce((a, b) => a + b), count)
  t.equal(edges.length, counts.length + 1)
  const one = new Histogram()
  one.record(7)
  t.equal(distributionOf(one, 'start')!.counts.reduce((a, b) => a + b), 1)
})

t.test('what is long over is no reason', async t => {
  const { dashboard, finish, tick } = start(t)
  finish({}, 800)
  await tick()
  t.equal(dashboard.snapshot('all:all').misses.length, 1)
  await tick(61)
  t.same(dashboard.snapshot('all:all').misses, [])
})

t.test('a busy engine is full only where promises break, and admission that enforces is not advised again', async t => {
  const advise = (attainment: number, effective: 'observe' | 'enforce') => adviceOf({
    admission: { configured: effective, effective, probed: 0, wouldHaveMet: 0 }, pools: [{ name: 'main', role: 'latency', mode: 'balanced' }],
    backends: [{ ...backend, now: { prefillShare: 0, decodeShare: 1 } } as never],
    personas: [{ kind: 'class', name: 'chat', objective: 0.9, windows: { '5m': { attainment } } } as never],
    all: { outcomes: {}, distributions: {}, wastedTokens: {} } as never,
  }).find(({ id }) => id === 'pool-sizes')!
  t.match(advise(0.95, 'observe'), { level: 'ok', figure: 'main 100 % busy' })
  t.match(advise(0.8, 'observe'), { level: 'act', figure: /chat below objective/, what: /admission mode enforce/ })
  t.match(advise(0.8, 'enforce'), { level: 'act', what: /Add backends\.$/ })
})
