// Attacks on who somebody is and what they may do, by their numbers in docs/security.md.
import t from 'tap'
import { createHash } from 'node:crypto'
import { ConfigError, configFrom } from '../../src/config/index.js'
import { BACKEND_KEY, bearer, post, statusOf, underAttack } from '../helpers/attack.js'
import { CHAT, send, STREAMED } from '../helpers/client.js'
import { IDLE } from '../helpers/gateway.js'
import { goodChat, scriptedUpstream } from '../helpers/upstream.js'

const KEYS = { keys: [{ name: 'team', key: 'secret-one' }] }

t.test('1: what others can reach needs auth to be said', async t => {
  for (const host of ['0.0.0.0', '::', '10.0.0.1', 'gateway.example', '127.0.0.1.example']) {
    t.throws(() => configFrom({ listen: { host } }), ConfigError, host)
    for (const auth of ['none', 'passthrough', KEYS]) t.doesNotThrow(() => configFrom({ listen: { host }, auth }), host)
  }
  for (const host of ['127.0.0.1', 'localhost', '::1']) t.doesNotThrow(() => configFrom({ listen: { host } }), host)
  t.throws(() => configFrom({ auth: { keys: [] } }), ConfigError, 'no keys is not "no auth"')
  const { gateway } = await underAttack(t)
  for (const path of ['/metrics', '/api/state', '/api/requests', '/api/reload', '/health', '/config', '/log', '/debug', '/log/stream', '/debug/pprof']) {
    t.equal((await send(`${gateway.url}${path}`, undefined, {}, 'GET').answer).status, 404, `${path} is not on the data plane`)
  }
})

t.test('2: Host decides nothing, and one that is no host is refused', async t => {
  const { upstream, bytes } = await underAttack(t, { auth: KEYS })
  const hosts = ['x?', 'x#', 'x/health?y=', 'user@x', 'x y', 'x\\', '127.0.0.1:1:2', 'x:99999999', '[::1', 'x%00', '']
  const paths = ['/v1/chat/completions', '/v1/models', '/tokenize', '/generate', '/', '/nope']
  for (const path of paths) {
    for (const host of hosts) {
      const method = path === '/v1/models' ? 'GET' : 'POST'
      const answer = await bytes(`${method} ${path} HTTP/1.1\r\nhost: ${host}\r\nconnection: close\r\ncontent-length: 0\r\n\r\n`)
      t.equal(statusOf(answer), 400, `${path} host ${host}`)
      t.match(answer, /"(error|type)"/)
    }
    t.equal(statusOf(await bytes(`POST http://127.0.0.1/health HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: 0\r\n\r\n`)), 400, 'absolute form')
    t.equal(statusOf(await bytes(`POST ${path} HTTP/1.1\r\nhost: a\r\nHost: b\r\nconnection: close\r\ncontent-length: 0\r\n\r\n`)), 400, 'two of them')
    t.equal(statusOf(await bytes(`POST ${path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\ncontent-length: 0\r\n\r\n`)), 401, 'a good one needs the key all the same')
  }
  t.equal(upstream.seen.length, 0)
  t.equal(statusOf(await bytes(post('/v1/chat/completions', ['x-api-key: secret-one', 'x-forwarded-host: evil'], CHAT()))), 200)
  t.equal(upstream.seen[0]!.headers.host, new URL(upstream.url).host, 'upstream it is always ours')
})

t.test('3: paths in disguise reach nothing that their plain form does not, and nothing without a key', async t => {
  const { gateway, upstream, bytes } = await underAttack(t, { auth: KEYS })
  const disguised = [
    '//v1/models', '/v1//models', '/v1/../v1/models', '/v1/./models', '/v1/%2e%2e/metrics', '/%2e%2e/metrics', '/v1/%2e%2e%2f%2e%2e/metrics', '/admin%2Fx', '/v1%2fmodels',
    '/v1/models;x', '/v1;/models', '/v1/models/', '/V1/models', '/v1/models%00', '/v1/models%0d%0a', '/\\v1\\models', '/tokenize/', '/tokenize/../metrics', '/tokenize%2f..%2fmetrics',
    '/%74okenize', '/tokenize;x', '/TOKENIZE', '/info%23', '/v1/chat/completions/', '/v1/chat/completions%20', '/v1/chat/completions;', '/v1/chat/completions/..', '/%c0%ae%c0%ae/',
  ]
  for (const path of disguised) {
    for (const method of ['GET', 'POST', 'OPTIONS']) {
      const open = statusOf(await bytes(`${method} ${path} HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\nconnection: close\r\ncontent-length: 0\r\n\r\n`))
      t.ok([400, 401, 404, 405].includes(open), `${method} ${path} without a key: ${open}`)
      const keyed = statusOf(await bytes(`${method} ${path} HTTP/1.1\r\nhost: x\r\nx-api-key: secret-one\r\ncontent-type: application/json\r\nconnection: close\r\ncontent-length: 0\r\n\r\n`))
      t.ok([400, 404, 405].includes(keyed), `${method} ${path} with one: ${keyed}`)
    }
  }
  for (const path of ['/v1/models', '/v1/chat/completions', '/tokenize', '/']) {
    for (const method of ['HEAD', 'OPTIONS', 'PUT', 'DELETE', 'PATCH', 'TRACE']) {
      t.equal((await send(`${gateway.url}${path}`, undefined, {}, method).answer).status, 401, `${method} ${path}`)
      t.equal((await send(`${gateway.url}${path}`, undefined, bearer('secret-one'), method).answer).status, 405, `${method} ${path}`)
    }
  }
  for (const [line, expected] of [['CONNECT evil.example:443 HTTP/1.1', 405], ['GET * HTTP/1.1', 400], ['OPTIONS * HTTP/1.1', 400]] as const) {
    const answer = await bytes(`${line}\r\nhost: x\r\nconnection: close\r\n\r\n`)
    t.equal(statusOf(answer), expected, line)
    t.match(answer, /"code":"invalid_request"/, line)
  }
  for (const upgrade of ['websocket', 'h2c']) t.equal((await send(`${gateway.url}/nope`, '{}', { connection: 'upgrade', upgrade }).answer).status, 401, `${upgrade}: an upgrade is not made`)
  t.match(await bytes(post('/nope', ['expect: a-miracle'], '{}')), /^HTTP\/1.1 401 [^]*"invalid_api_key"/, 'what is expected of us changes nothing')
  t.equal(upstream.seen.length, 0)
})

t.test('4: a wrong key is told nothing; keys are told apart by their whole length', async t => {
  const long = 'k'.repeat(900)
  const { chat, gateway, upstream } = await underAttack(t, { auth: { keys: [
    { name: 'one', key: 'sk-same-twenty-chars-AAAA' }, { name: 'two', key: 'sk-same-twenty-chars-BBBB' }, { name: 'long', key: long },
    { name: 'hashed', sha256: createHash('sha256').update('only-its-hash-is-known').digest('hex') },
  ] } })
  const hash = createHash('sha256').update('only-its-hash-is-known').digest('hex')
  const wrong: Record<string, string>[] = [
    {}, bearer(''), bearer(' '), bearer('wrong'), bearer('sk-same-twenty-chars'), bearer('sk-same-twenty-chars-'), bearer('sk-same-twenty-chars-AAA'), bearer('sk-same-twenty-chars-AAAAA'),
    bearer('SK-SAME-TWENTY-CHARS-AAAA'), bearer(hash), bearer(`${long}k`), bearer(long.slice(1)), bearer('x'.repeat(15_000)),
    bearer('\' OR \'1\'=\'1'), bearer('"; DROP TABLE keys; --'), bearer('{"$ne":null}'), bearer('*'), bearer('../../etc/passwd'), bearer('\u00e9\u00ff'), bearer('a\tb'),
    { authorization: 'Basic c2stc2FtZS10d2VudHktY2hhcnMtQUFBQTo=' }, { authorization: 'sk-same-twenty-chars-AAAA' }, { authorization: 'Bearer' }, { authorization: 'Bearersk-same-twenty-chars-AAAA' },
    { 'x-api-key': '' }, { 'x-api-key': 'Bearer sk-same-twenty-chars-AAAA' }, { 'x-api-key': '__proto__' }, { 'api-key': 'sk-same-twenty-chars-AAAA' }, { cookie: 'key=sk-same-twenty-chars-AAAA' },
  ]
  const bodies = new Set<string>()
  for (const headers of wrong) {
    const { status, text } = await send(chat, CHAT(), headers).answer
    t.equal(status, 401, JSON.stringify(headers).slice(0, 60))
    bodies.add(text)
  }
  t.equal(bodies.size, 1, 'every answer is the same')
  t.notMatch([...bodies].join(), /sk-|[0-9a-f]{8}|team|one|two/)
  const { status, text } = await send(chat, CHAT(), bearer('y'.repeat(100_000))).answer
  t.equal(status, 431)
  t.notMatch(text, /yyy/)
  t.equal((await send(`${chat}?key=sk-same-twenty-chars-AAAA&api_key=sk-same-twenty-chars-AAAA`, CHAT()).answer).status, 401, 'no key in a query')
  t.equal(upstream.seen.length, 0)
  for (const [key, name] of [['sk-same-twenty-chars-AAAA', 'one'], ['sk-same-twenty-chars-BBBB', 'two'], [long, 'long'], ['only-its-hash-is-known', 'hashed']] as const) {
    t.equal((await send(chat, CHAT(), bearer(key)).answer).status, 200)
    t.equal(gateway.records.at(-1)?.tenant, name)
  }
  t.equal((await send(chat, CHAT(), { authorization: 'bEaReR sk-same-twenty-chars-BBBB' }).answer).status, 200, 'the scheme has no case')
  t.notMatch(gateway.log.join(''), /sk-same|only-its/)
})

t.test('6: credentials stay at the gateway, and each backend sees its own key alone', async t => {
  const { upstream, gateway, written, chat } = await underAttack(t, { auth: KEYS })
  const secrets = { 'x-api-key': 'secret-one', cookie: 'a=cookie-secret', 'proxy-authorization': 'Basic proxy-secret', 'x-goog-api-key': 'goog-secret', 'api-key': 'azure-secret', 'x-amz-security-token': 'amz-secret', 'x-litellm-key': 'other-secret' }
  for (const path of ['/v1/chat/completions', '/v1/embeddings', '/tokenize', '/generate']) {
    await send(`${gateway.url}${path}`, path === '/generate' ? '{"inputs":"x"}' : CHAT({ input: 'x' }), { ...secrets, authorization: 'Bearer secret-one' }).answer
    const { headers } = upstream.seen.at(-1)!
    t.notMatch(JSON.stringify(headers), /secret-one|cookie-secret|proxy-secret|goog-secret|azure-secret|amz-secret|other-secret/, path)
    t.equal(headers.authorization, `Bearer ${BACKEND_KEY}`, path)
  }

  const other = await scriptedUpstream(goodChat())
  t.teardown(() => other.close())
  const [first] = written.pools.main.backends
  const two = await underAttack(t, { pools: { main: { backends: [first, { url: other.url, name: 'b2', engine: 'vllm', models: ['m'], api_key: 'second-backends-key' }] } } })
  upstream.script = (_seen, response) => { response.destroy() }
  upstream.seen.length = 0
  for (let i = 0; i < 4; i++) t.equal((await send(two.chat, CHAT()).answer).status, 200, 'another one answers')
  t.ok(upstream.seen.length > 0 && upstream.seen.every(({ headers }) => headers.authorization === `Bearer ${BACKEND_KEY}`))
  t.ok(other.seen.every(({ headers }) => headers.authorization === 'Bearer second-backends-key'))

  other.seen.length = 0
  upstream.script = (_seen, response) => { response.writeHead(307, { location: `${other.url}/v1/chat/completions` }).end() }
  for (const path of ['/v1/chat/completions', '/tokenize']) t.ok((await send(`${gateway.url}${path}`, CHAT(), bearer('secret-one')).answer).status >= 300, path)
  t.equal((await send(chat, CHAT(), bearer('secret-one')).answer).status, 502)
  t.equal(other.seen.length, 0, 'redirects are not followed')

  const passing = await underAttack(t, { auth: 'passthrough' })
  await send(passing.chat, CHAT(), { authorization: 'Bearer clients-own', cookie: 'a=b' }).answer
  t.equal(passing.upstream.seen[0]!.headers.authorization, 'Bearer clients-own', 'passthrough is the one exception')
  t.notOk('cookie' in passing.upstream.seen[0]!.headers)
})

t.test('6: after a reload from passthrough to keys no client key goes upstream', async t => {
  const { upstream, gateway, written } = await underAttack(t, { auth: 'passthrough' })
  gateway.configure(configFrom({ ...written, auth: KEYS }))
  for (const path of ['/v1/chat/completions', '/tokenize']) {
    t.equal((await send(`${gateway.url}${path}`, CHAT(), bearer('secret-one')).answer).status, 200)
    t.equal(upstream.seen.at(-1)!.headers.authorization, `Bearer ${BACKEND_KEY}`, path)
  }
})

t.test('7: a key gets no more than it was given, by header, body or metadata', async t => {
  const { upstream, gateway, chat } = await underAttack(t, {
    classes: { vip: { ttft: '100ms', weight: 10 }, bulk: { deadline: '1h', sheddable: true } },
    routes: [{ match: { header: { 'x-workload': 'bulk' } }, class: 'bulk' }, { match: { path: '/v1/completions' }, class: 'vip' }],
    auth: { keys: [{ name: 'low', key: 'k-low', classes: ['bulk', 'default'], models: ['m'], min_ttft: '2s', min_tpot: '100ms', min_deadline: '1m', requests_per_minute: 1000 }] },
  })
  const key = bearer('k-low')
  t.equal((await send(chat, CHAT(), { ...key, 'x-slo-class': 'vip' }).answer).status, 403)
  t.equal((await send(`${gateway.url}/v1/completions`, JSON.stringify({ model: 'm', prompt: 'x' }), key).answer).status, 403, 'a route leads to no class that the key may not use')
  t.equal((await send(chat, CHAT({ model: 'other' }), key).answer).status, 403)
  t.equal((await send(`${gateway.url}/tokenize`, JSON.stringify({ model: 'other', prompt: 'x' }), key).answer).status, 403, 'nor by the allow-list')
  t.equal((await send(chat, JSON.stringify({ messages: [] }), key).answer).status, 403, 'no model is not every model')
  t.equal((await send(chat, CHAT({ priority: -1_000_000 }), key).answer).status, 400, 'an engine\'s priorities are not the client\'s to set')
  t.equal(upstream.seen.length, 0)
  const raises = { 'x-slo-ttft-ms': '1', 'x-slo-tpot-ms': '1', 'x-slo-deadline-ms': '1', 'x-priority': '999', 'x-sluice-class': 'vip', 'x-sluice-pool': 'main', 'x-sluice-backend': 'b1', 'x-tenant': 'admin', 'x-user-role': 'admin', 'x-llm-d-slo-ttft-ms': '1' }
  const body = CHAT({ stream: true, metadata: { class: 'vip', priority: '1', tags: ['admin'], user_api_key: 'x' }, user: 'admin', service_tier: 'priority', class: 'vip', pool: 'main', tenant: 'admin', rpm_limit: 1e9, max_inflight: 1e9 })
  t.equal((await send(chat, body, { ...key, ...raises }).answer).status, 200)
  t.match(gateway.records.at(-1), { class: 'default', tenant: 'low', targets: { ttftMs: 2000, tpotMs: 100, deadlineMs: 60_000 } })
  t.notOk(Object.keys(upstream.seen[0]!.headers).some(name => name.startsWith('x-slo') || name.startsWith('x-sluice') || name === 'x-priority' || name === 'x-tenant' || name === 'x-user-role'))
  t.equal((await send(chat, STREAMED, { ...key, 'x-slo-class': 'bulk' }).answer).status, 200)
  t.equal(gateway.records.at(-1)?.class, 'bulk')
  t.same(gateway.runtime.gauges, IDLE)
})

t.test('8: no request names a server', async t => {
  const { upstream, gateway, chat, bytes } = await underAttack(t)
  const evil = await scriptedUpstream(goodChat())
  t.teardown(() => evil.close())
  const { host } = new URL(evil.url)
  const fields = Object.fromEntries(['api_base', 'base_url', 'custom_host', 'host', 'url', 'endpoint', 'api_url', 'proxy', 'webhook_url', 'provider'].map(name => [name, evil.url]))
  const names = ['x-portkey-custom-host', 'x-custom-host', 'x-forwarded-host', 'x-original-url', 'x-rewrite-url', 'x-host', 'x-target', 'x-upstream', 'x-backend', 'forwarded', 'x-prefiller-host-port', 'x-data-parallel-host-port']
  const headers = Object.fromEntries(names.map(name => [name, name.includes('url') || name.includes('custom') ? evil.url : host]))
  t.equal((await send(chat, CHAT(fields), headers).answer).status, 200)
  t.equal((await send(`${gateway.url}/tokenize`, JSON.stringify(fields), headers).answer).status, 200)
  for (const seen of upstream.seen) t.notOk(Object.keys(seen.headers).some(name => names.includes(name)), 'nor is a backend told of one')
  for (const target of [`http://${host}/v1/models`, `http://${host}/tokenize`, `//${host}/tokenize`, `http://user@${host}/tokenize`, `/\\${host}/tokenize`, `@${host}/tokenize`, `/tokenize@${host}`, `https://${host}/v1/chat/completions`]) {
    const status = statusOf(await bytes(post(target, [], CHAT())))
    t.ok(status === 400 || status === 404, `${target}: ${status}`)
  }
  for (const url of ['http://user:pass@10.0.0.1:8000', 'file:///etc/passwd', 'gopher://x', 'http://x?y', 'http://x#y']) t.throws(() => configFrom({ pools: { main: { backends: [{ url }] } } }), ConfigError, url)
  t.equal(evil.seen.length, 0)
  t.equal(upstream.seen.length, 2)
})
