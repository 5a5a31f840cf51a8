// The fleet watches servers over real sockets, and the admin plane shows and moves what it sees.
import t from 'tap'
import { createServer, request, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { configFrom, type Config } from '../../src/config/index.js'
import { createRandom, type SchedulerState, type Timeline } from '../../src/core/index.js'
import { createFleet, type Fleet, type FleetChange } from '../../src/fleet/index.js'
import { createAdminPlane } from '../../src/gateway/index.js'
import { createTelemetry, type AuditEntry } from '../../src/telemetry/index.js'

type Handler = (request: IncomingMessage, response: ServerResponse) => void

interface FakeServer {
  readonly url: string
  readonly hits: string[]
  handle: Handler
  close(): void
}

async function fake(handle: Handler, port = 0): Promise<FakeServer> {
  const server: Server = createServer((call, response) => { self.hits.push(call.url ?? ''); self.handle(call, response) })
  await new Promise<void>((resolve) => server.listen(port, '127.0.0.1', resolve))
  const self: FakeServer = {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, hits: [], handle,
    close: () => { server.close(); server.closeAllConnections() },
  }
  return self
}

const json = (response: ServerResponse, body: unknown, status = 200) => { response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(body)) }

/** A vLLM as far as the fleet looks. */
function vllm(figures: { running: number, started?: number, tokens?: number }, model = 'llama'): Handler {
  return (request, response) => {
    if (request.url === '/health') response.writeHead(200).end()
    else if (request.url === '/v1/models') json(response, { object: 'list', data: [{ id: model, owned_by: 'vllm', max_model_len: 8192 }] })
    else if (request.url === '/metrics') {
      response.writeHead(200).end(`# TYPE vllm:num_requests_running gauge\nvllm:num_requests_running{engine="0",model_name="${model}"} ${figures.running}\n` +
        `vllm:generation_tokens_total{engine="0"} ${figures.tokens ?? 5}\nprocess_start_time_seconds ${figures.started ?? 1000}\n`)
    } else json(response, { error: 'no' }, 404)
  }
}

const clock = { now: () => performance.now() }
const fast = { health: { interval: '50ms', timeout: '300ms' }, scrape: { interval: '50ms', timeout: '300ms' } }

function fleetOf(config: Config): { fleet: Fleet, changes: FleetChange[], until: (test: () => boolean) => Promise<void> } {
  const fleet = createFleet({ config, clock, random: createRandom(1), onError: (error) => { throw error } })
  const changes: FleetChange[] = []
  fleet.onChange((change) => { changes.push(change) })
  const until = async (test: () => boolean) => {
    const deadline = performance.now() + 15_000
    while (!test()) {
      if (performance.now() > deadline) throw new Error(`not within 15 s: ${test.toString()}`)
      await new Promise((resolve) => setTimeout(resolve, 10))
    }
  }
  return { fleet, changes, until }
}

t.test('a server is checked, read, lost, found again, and its restart noticed', async (t) => {
  const figures = { running: 3, started: 1000 }
  let server = await fake(vllm(figures))
  const { fleet, changes, until } = fleetOf(configFrom({ pools: { main: { backends: [{ url: server.url, name: 'a', engine: 'vllm' }] } }, ...fast, breaker: { faults: 2, open: '300ms' } }))
  t.teardown(async () => { await fleet.stop(); server.close() })
  t.equal(fleet.get('a')?.state, 'down', 'nothing is promised before the first check')
  await fleet.start()
  t.equal(fleet.get('a')?.state, 'up')
  t.same(fleet.get('a')?.models, ['llama'], 'models are known before it is up')
  t.match(fleet.models(), [{ id: 'llama', ownedBy: 'vllm', maxModelTokens: 8192 }])
  await until(() => changes.some((change) => change.type === 'report' && change.report.running === 3))
  // Readings have to be repeated for a restart to be seen.
  figures.started = 2000
  await until(() => changes.some((change) => change.type === 'restarted'))

  fleet.attemptEnded('a', 'fault', clock.now())
  t.equal(fleet.get('a')?.state, 'up')
  fleet.attemptEnded('a', 'fault', clock.now())
  t.equal(fleet.get('a')?.state, 'down', 'the breaker opened')
  await until(() => fleet.get('a')?.state === 'degraded')
  t.match(changes.filter((change) => change.type === 'state').at(-1), { state: 'degraded', inflightLimit: 1 })
  fleet.attemptProgressed('a', clock.now(), 10)
  t.equal(fleet.get('a')?.state, 'up')

  t.ok(fleet.drain('a'))
  t.equal(fleet.get('a')?.state, 'draining')
  t.ok(fleet.undrain('a'))
  t.notOk(fleet.drain('nobody'))

  const port = Number(new URL(server.url).port)
  server.close()
  await until(() => fleet.get('a')?.state === 'down')
  t.match(fleet.snapshot()[0], { state: 'down', why: /connection refused|closed by the server|reset/ })
  server = await fake(vllm(figures), port)
  await until(() => fleet.get('a')?.state === 'degraded')
  t.match(fleet.snapshot()[0]?.why, /slow start/)
  await until(() => fleet.get('a')?.state === 'up')
})

t.test('hung servers delay nobody, and what an unknown server is gets detected', async (t) => {
  const good = await fake(vllm({ running: 0 }))
  const other = await fake((request, response) => json(response, { error: 'key' }, request.url === '/v1/models' ? 401 : 404))
  const hung = await Promise.all(Array.from({ length: 40 }, () => fake(() => {})))
  const { fleet, until } = fleetOf(configFrom({
    pools: { main: { backends: [...hung.map(({ url }, i) => ({ url, name: `hung${i}`, engine: 'vllm' })), { url: good.url, name: 'good' }, { url: `${other.url}/base/`, name: 'rest' }] } },
    ...fast, health: { interval: '50ms', timeout: '1s' },
  }))
  t.teardown(async () => { await fleet.stop(); for (const server of [good, other, ...hung]) server.close() })
  await fleet.start()
  t.equal(fleet.get('good')?.state, 'up')
  t.equal(fleet.get('good')?.engine, 'vllm')
  t.equal(fleet.get('good')?.adapter.reportsUsageWhenAsked, true)
  t.equal(fleet.get('rest')?.state, 'up', 'an answer below 500 shows that it is there')
  t.equal(fleet.get('rest')?.engine, 'openai')
  t.ok(other.hits.every((path) => path.startsWith('/base/')))
  t.equal(fleet.get('rest')?.models, undefined)
  t.ok(hung.every((_, i) => fleet.get(`hung${i}`)?.state === 'down'))
  // 40 servers of which each check takes a second: in one lane the good one would be seen every few seconds at best.
  const before = good.hits.filter((path) => path === '/health').length
  const startedAt = performance.now()
  await until(() => good.hits.filter((path) => path === '/health').length >= before + 10)
  t.ok(performance.now() - startedAt < 5_000)
})

t.test('a reload keeps what stays, replaces what moved, and refuses what cannot be', async (t) => {
  const [a, b] = [await fake(vllm({ running: 0 })), await fake(vllm({ running: 0 }, 'qwen'))]
  const configOf = (backends: unknown[]) => configFrom({ pools: { main: { backends } }, ...fast })
  const { fleet, changes, until } = fleetOf(configOf([{ url: a.url, name: 'a', engine: 'vllm' }]))
  t.teardown(async () => { await fleet.stop(); a.close(); b.close() })
  await fleet.start()
  fleet.drain('a')
  const kept = fleet.get('a')
  fleet.configure(configOf([{ url: a.url, name: 'a', engine: 'vllm', max_inflight: 7 }, { url: b.url, name: 'b', engine: 'vllm' }]))
  t.equal(fleet.get('a'), kept)
  t.match(fleet.specs(), [{ id: 'a', maxInflight: 7 }, { id: 'b' }])
  t.same(changes.slice(-2).map(({ type }) => type), ['specs', 'state'])
  await until(() => fleet.get('b')?.state === 'up')
  fleet.configure(configOf([{ url: b.url, name: 'a', engine: 'vllm' }]))
  t.not(fleet.get('a'), kept)
  await until(() => fleet.get('a')?.state === 'draining')
  t.equal(fleet.get('b'), undefined)
  t.ok(fleet.setPoolMode('main', 'lowest-ttft'))
  t.match(fleet.pools, [{ name: 'main', mode: 'lowest-ttft' }])
  const { health, scrape, breaker, outliers } = configOf([{ url: a.url }])
  t.throws(() => fleet.configure({ health, scrape, breaker, outliers, pools: { main: { role: 'latency', mode: 'balanced', backends: [{ url: a.url, name: 'x', engine: 'vllm' }, { url: b.url, name: 'x', engine: 'vllm' }] } } }), /Two backends are called "x"/)
  t.ok(fleet.get('a'), 'a bad configuration leaves the old one whole')
})

const schedulerState: SchedulerState = {
  policy: 'slo', admission: { configured: 'observe', effective: 'observe', probed: 0, wouldHaveMet: 0 },
  classes: [{ name: 'chat', queued: 1, queuedTokens: 10, oldestWaitMs: 5, drainPerSecond: 2 }],
  backends: [{
    id: 'a', state: 'up', inflightRequests: 2, inflightPrefillTokens: 10, decodingStreams: 1, contextTokens: 100, concurrencyLimit: undefined,
    model: { prefillMsPerToken: 0.1, decodeBaseMs: 10, decodeMsPerStream: 0.1, decodeMsPer1000ContextTokens: 0.1, prefillSamples: 0, decodeSamples: 0, ageMs: undefined, predictionErrorRatio: undefined },
  }],
}

async function adminOf(admin: Record<string, unknown>) {
  const server = await fake(vllm({ running: 1 }))
  const config = configFrom({ admin, pools: { main: { backends: [{ url: server.url, name: 'a', engine: 'vllm', models: ['llama'] }] } }, classes: { chat: { ttft: '500ms' } }, ...fast })
  const { fleet, until } = fleetOf(config)
  const runtime = { draining: false, schedulerState: () => schedulerState }
  const audits: AuditEntry[] = []
  const telemetry = createTelemetry({ config, version: '1.2.3', now: clock.now, wallNow: () => 0, logStream: { write: (line) => { const entry = JSON.parse(line) as AuditEntry & { message?: string }; if (entry.message === 'audit') audits.push(entry) } } })
  telemetry.observe({ scheduler: runtime.schedulerState, backends: () => fleet.snapshot() })
  let reloads = 0
  const app = createAdminPlane({
    fleet, telemetry, runtime, clock, version: '1.2.3', config: () => config,
    reload: () => { reloads++; return reloads === 1 ? Promise.resolve() : Promise.reject(new Error('line 3: no such key')) },
  })
  // The test listens on loopback whatever the configuration says: what is tested is the rule, not the interface.
  const url = await app.listen({ host: '127.0.0.1', port: 0 })
  const call = async (method: string, path: string, { token, body, headers }: { token?: string, body?: unknown, headers?: Record<string, string> } = {}) => {
    const answer = await fetch(url + path, { method, headers: { ...(token === undefined ? {} : { authorization: `Bearer ${token}` }), ...(body === undefined ? {} : { 'content-type': 'application/json' }), ...headers }, ...(body === undefined ? {} : { body: typeof body === 'string' ? body : JSON.stringify(body) }) })
    const text = await answer.text()
    return { status: answer.status, text, body: text.startsWith('{') ? JSON.parse(text) as Record<string, never> & { error?: { code: string, message: string } } : undefined }
  }
  return {
    url, server, fleet, until, runtime, telemetry, audits, call,
    close: async () => { await app.close(); await fleet.stop(); server.close() },
  }
}

t.test('health tells the process from its ability to serve', async (t) => {
  const { call, fleet, runtime, server, until, close } = await adminOf({})
  t.teardown(close)
  for (const path of ['/health/live', '/livez', '/healthz', '/health', '/ping']) t.equal((await call('GET', path)).status, 200, path)
  t.match(await call('GET', '/health/ready'), { status: 503, body: { error: { code: 'no_healthy_backend' }, status: 'unavailable' } })
  await fleet.start()
  for (const path of ['/health/ready', '/readyz']) t.equal((await call('GET', path)).status, 200, path)
  server.handle = (_request, response) => { response.writeHead(500).end() }
  await until(() => fleet.get('a')?.state === 'down')
  t.equal((await call('GET', '/readyz')).status, 503, 'readiness follows the model servers')
  t.equal((await call('GET', '/livez')).status, 200)
  runtime.draining = true
  t.match(await call('GET', '/readyz'), { status: 503, body: { error: { code: 'draining' } } })
})

t.test('on loopback everything may be read, and actions need the token', async (t) => {
  const { call, fleet, telemetry, audits, close } = await adminOf({ token: 'SECRET-TOKEN' })
  t.teardown(close)
  await fleet.start()
  const metrics = await call('GET', '/metrics')
  t.match(metrics.text, /^sluice_backend_up\{backend="a",pool="main"\} 1$/m)
  t.match(metrics.text, /^sluice_queue_depth\{class="chat"\} 1$/m)
  const state = await call('GET', '/api/state')
  t.match(state.body, {
    version: '1.2.3', policy: 'slo', pools: [{ name: 'main', mode: 'balanced', backends: ['a'] }],
    backends: [{ id: 'a', state: 'up', breaker: 'closed', inflight_requests: 2, learned: { prefill_ms_per_token: 0.1 } }],
    classes: [{ name: 'default' }, { name: 'chat', queued: 1, targets: { ttft_ms: 500 }, windows: [{ window: '1m' }] }],
  })
  t.notMatch(state.text, /SECRET/)

  const timeline: Timeline = {
    id: 'r1', receivedAtMs: 0, classifiedAtMs: 0, queuedAtMs: 0, dispatchedAtMs: 1, connectedAtMs: 2, firstTokenAtMs: 3, lastTokenAtMs: 4, endedAtMs: 5, ending: 'completed', streamed: true,
    promptTokens: 1, cachedTokens: 0, outputTokens: 2, outputTokensEstimated: false, attempts: 1, pool: 'main', backend: 'a', maxLatenessMs: 0,
  }
  telemetry.finished({
    wallTimeMs: 0, timeline, route: 'default', class: 'chat', tenant: '', model: 'llama', path: '/v1/chat/completions', targets: { ttftMs: 500 }, outcome: 'met', status: 200, code: undefined, detail: undefined,
    explanation: { policy: 'slo', verdict: 'feasible', chosen: 'a', predictedTtftMs: 120, slackMs: 380 }, estimatedPromptTokens: 1, gatewayOverheadMs: 0.1, traceparent: undefined,
  })
  t.match((await call('GET', '/api/requests?class=chat&outcome=met&id=r1')).body, { requests: [{ request_id: 'r1', decision: 'Policy slo chose a. The first token was predicted after 120 ms, 380 ms before its target.' }] })
  t.same((await call('GET', '/api/requests?outcome=failed')).body, { requests: [] })
  for (const query of ['outcome=great', 'limit=0', 'limit=1e9', 'id=a&id=b', 'colour=red']) t.match(await call('GET', `/api/requests?${query}`), { status: 400, body: { error: { code: 'invalid_request' } } }, query)

  for (const token of [undefined, '', 'SECRET-TOKE', 'SECRET-TOKENS', 'x'.repeat(8000)]) t.match(await call('POST', '/api/backends/a/drain', token === undefined ? {} : { token }), { status: 401, body: { error: { code: 'invalid_api_key' } } })
  t.equal(fleet.get('a')?.state, 'up')
  const token = 'SECRET-TOKEN'
  t.equal((await call('POST', '/api/backends/a/drain', { token })).status, 200)
  t.equal(fleet.get('a')?.state, 'draining')
  t.equal((await call('POST', '/api/backends/a/undrain', { token })).status, 200)
  t.match(await call('POST', '/api/backends/nobody/drain', { token }), { status: 404, body: { error: { message: /no backend "nobody"/ } } })
  t.equal((await call('POST', '/api/pools/main/mode', { token, body: { mode: 'lowest-ttft' } })).status, 200)
  t.match(fleet.pools, [{ mode: 'lowest-ttft' }])
  for (const body of [{ mode: 'fastest' }, {}, '[]', '{"mode":', '{"__proto__":{}}', '']) t.match(await call('POST', '/api/pools/main/mode', { token, body }), { status: 400, body: { error: { code: 'invalid_request' } } })
  t.equal((await call('POST', '/api/reload', { token })).status, 200)
  t.match(await call('POST', '/api/reload', { token }), { status: 400, body: { error: { message: /old one is in force\. line 3: no such key/ } } })
  t.match(audits.slice(-1), [{ action: 'reload', result: 'refused' }])
  t.match(audits.filter(({ result }) => result === 'done').map(({ action, subject }) => `${action} ${subject ?? ''}`), ['drain a', 'undrain a', 'mode lowest-ttft main', 'reload '])
  t.equal(audits.filter(({ actor }) => actor === 'unknown').length, 5, 'refused attempts are in the audit log')
  t.notMatch(JSON.stringify(audits), /SECRET/)
  t.match(await call('GET', '/api/backends/a/drain'), { status: 405, body: { error: { message: 'This path takes POST only.' } } })
  t.match(await call('POST', '/metrics', { token }), { status: 405, body: { error: { message: 'This path takes GET, HEAD only.' } } })
  t.match(await call('GET', '/nothing'), { status: 404, body: { error: { type: 'invalid_request_error' } } })
  t.match(await call('GET', '/%zz'), { status: 400, body: { error: {} } })
})

t.test('without a token actions are off; off loopback so is all but health', async (t) => {
  const local = await adminOf({})
  t.teardown(local.close)
  t.match(await local.call('POST', '/api/backends/a/drain'), { status: 403, body: { error: { code: 'not_allowed', message: /admin\.token/ } } })
  t.equal((await local.call('GET', '/api/state')).status, 200)

  const open = await adminOf({ host: '0.0.0.0', token: 'T' })
  t.teardown(open.close)
  t.equal((await open.call('GET', '/livez')).status, 200)
  for (const path of ['/metrics', '/api/state', '/api/requests', '/nothing', '//metrics', '/METRICS', '/%6detrics']) t.equal((await open.call('GET', path)).status, 401, path)
  for (const path of ['/metrics', '/api/state']) t.equal((await open.call('GET', path, { token: 'T' })).status, 200, path)
})

t.test('a stranger\'s name that points at loopback does not open it', async (t) => {
  const { url, close } = await adminOf({})
  t.teardown(close)
  const statusFor = (host: string) => new Promise((resolve, reject) => {
    request(`${url}/api/state`, { headers: { host } }, (answer) => { answer.resume(); resolve(answer.statusCode) }).on('error', reject).end()
  })
  t.equal(await statusFor('evil.example:9090'), 403)
  t.equal(await statusFor('localhost:9090'), 200)
  t.equal(await statusFor('[::1]:9090'), 200)
})
