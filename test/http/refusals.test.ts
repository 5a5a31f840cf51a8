// Every cause of a refusal, on every path: a status that fits, the error object, nothing upstream, nothing lost for others.
import t, { type Test } from 'tap'
import { createHash } from 'node:crypto'
import OpenAI from 'openai'
import { CHAT, raw, send, STREAMED } from '../helpers/client.js'
import { IDLE, startGateway } from '../helpers/gateway.js'
import { goodChat, scriptedUpstream } from '../helpers/upstream.js'

const setUp = async (t: Test, more: Record<string, unknown> = {}) => {
  const upstream = await scriptedUpstream(goodChat())
  t.teardown(() => upstream.close())
  const gateway = await startGateway(t, { pools: { main: { backends: [{ url: upstream.url, name: 'b1', engine: 'vllm', models: ['m'] }] } }, ...more })
  return { upstream, gateway, chat: `${gateway.url}/v1/chat/completions` }
}

t.test('the caller\'s mistakes', async t => {
  const { gateway, upstream, chat } = await setUp(t, { limits: { body: '64KiB' }, classes: { fast: { ttft: '100ms' } } })
  const cases: [name: string, call: () => ReturnType<typeof send>, status: number, code: string, message: RegExp][] = [
    ['unknown path', () => send(`${gateway.url}/nope`, '{}'), 404, 'invalid_request', /no such path/],
    ['unknown path without a body', () => send(`${gateway.url}/nope`, undefined, {}, 'GET'), 404, 'invalid_request', /no such path/],
    ['wrong method', () => send(chat, undefined, {}, 'GET'), 405, 'invalid_request', /POST only/],
    ['wrong method on the allow-list', () => send(`${gateway.url}/tokenize`, undefined, {}, 'DELETE'), 405, 'invalid_request', /GET, POST only/],
    ['wrong method on models', () => send(`${gateway.url}/v1/models`, '{}'), 405, 'invalid_request', /GET only/],
    ['case of the path', () => send(`${gateway.url}/V1/chat/completions`, CHAT()), 404, 'invalid_request', /no such path/],
    ['doubled slash', () => send(`${gateway.url}//v1/chat/completions`, CHAT()), 404, 'invalid_request', /no such path/],
    ['dots', () => send(`${gateway.url}/v1/%2e%2e/metrics`, CHAT()), 404, 'invalid_request', /no such path/],
    ['bad percent-encoding', () => send(`${gateway.url}/v1/%zz`, CHAT()), 400, 'invalid_request', /percent/],
    ['no body', () => send(chat, undefined), 400, 'invalid_request', /./],
    ['bad JSON', () => send(chat, '{"model":"m",}'), 400, 'invalid_request', /./],
    ['not an object', () => send(chat, '[]'), 400, 'invalid_request', /object/],
    ['wrong types', () => send(chat, '{"model":7,"messages":[]}'), 400, 'invalid_request', /model/],
    ['a member twice', () => send(chat, '{"model":"m","model":"x","messages":[]}'), 400, 'invalid_request', /model/],
    ['no content type', () => send(chat, CHAT(), { 'content-type': '' }), 415, 'unsupported_media_type', /./],
    ['form', () => send(chat, CHAT(), { 'content-type': 'application/x-www-form-urlencoded' }), 415, 'unsupported_media_type', /./],
    ['compressed', () => send(chat, CHAT(), { 'content-encoding': 'gzip' }), 415, 'unsupported_media_type', /./],
    ['too large', () => send(chat, 'x'.repeat(70_000)), 413, 'body_too_large', /./],
    ['unknown model', () => send(chat, '{"model":"other","messages":[]}'), 404, 'model_not_found', /./],
    ['cost bomb', () => send(chat, CHAT({ n: 1e9 })), 400, 'invalid_request', /"n"/],
    ['steering an engine', () => send(chat, CHAT({ kv_transfer_params: {} })), 400, 'invalid_request', /kv_transfer_params/],
    ['absurd SLO', () => send(chat, CHAT(), { 'x-slo-ttft-ms': '-5' }), 400, 'invalid_slo', /x-slo-ttft-ms/],
    ['SLO of a thousand years', () => send(chat, CHAT(), { 'x-slo-deadline-ms': '1e15' }), 400, 'invalid_slo', /x-slo-deadline-ms/],
    ['unknown class', () => send(chat, CHAT(), { 'x-slo-class': 'nope' }), 400, 'invalid_slo', /fast/],
    ['a class named like a member of every object', () => send(chat, CHAT(), { 'x-slo-class': 'constructor' }), 400, 'invalid_slo', /./],
  ]
  for (const [name, call, status, code, message] of cases) {
    const { status: got, text, headers } = await call().answer
    t.equal(got, status, name)
    t.match(JSON.parse(text), { error: { message, type: /./, code } }, name)
    t.match(headers, { 'content-type': 'application/json; charset=utf-8', 'x-request-id': /./ }, name)
    if (status === 405) t.match(headers, { allow: /GET|POST/ }, name)
  }
  t.equal(upstream.seen.length, 0)
  t.ok(gateway.records.every(({ outcome, status, code }) => outcome === 'rejected' && status >= 400 && status < 500 && code !== undefined), 'each is accounted')
  t.equal((await send(chat, CHAT()).answer).status, 200, 'and the next one is served')
  t.same(gateway.runtime.gauges, IDLE)
})

t.test('shapes of the other protocols', async t => {
  const { gateway } = await setUp(t)
  t.match(JSON.parse((await send(`${gateway.url}/v1/messages`, '{').answer).text), { type: 'error', error: { type: 'invalid_request_error', code: 'invalid_request' } })
  t.match(JSON.parse((await send(`${gateway.url}/generate`, '{').answer).text), { error: /./, error_type: 'validation', code: 'invalid_request' })
})

t.test('what is no HTTP request at all', async t => {
  const { gateway } = await setUp(t, { limits: { headers: '16KiB' }, timeouts: { request_body: '1s' } })
  const cases: [string, string, RegExp][] = [
    ['garbage', 'HELLO\r\n\r\n', /^HTTP\/1.1 400 .*"code":"invalid_request"/s],
    ['a head without end', `GET / HTTP/1.1\r\nhost: x\r\na: ${'b'.repeat(20_000)}\r\n\r\n`, /^HTTP\/1.1 431 .*"code":"invalid_request"/s],
    ['two lengths', 'POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\ncontent-length: 2\r\ncontent-length: 3\r\n\r\n{}', /^HTTP\/1.1 400 .*"code":"invalid_request"/s],
    ['length and chunks', 'POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\ncontent-length: 2\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n', /^HTTP\/1.1 400 .*"code":"invalid_request"/s],
    ['no host', 'GET /v1/models HTTP/1.1\r\nconnection: close\r\n\r\n', /^HTTP\/1.1 400 .*"code":"invalid_request"/s],
    ['a host that is none', 'GET /v1/models HTTP/1.1\r\nhost: x/health?y=\r\nconnection: close\r\n\r\n', /^HTTP\/1.1 400 .*"code":"invalid_request"/s],
    ['a body that does not come', 'POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: 10\r\n\r\n{', /^HTTP\/1.1 400 .*"code":"invalid_request"/s],
  ]
  for (const [name, bytes, expected] of cases) t.match(await raw(gateway.port, bytes), expected, name)
})

t.test('keys', async t => {
  const { chat, gateway, upstream } = await setUp(t, {
    classes: { fast: { ttft: '500ms' }, slow: {} },
    auth: { keys: [
      { name: 'team', key: 'secret-one', classes: ['default', 'slow'], models: ['m*'], min_ttft: '200ms' },
      { name: 'guest', sha256: createHash('sha256').update('secret-two').digest('hex') },
    ] },
    routes: [{ match: { tenant: 'guest' }, class: 'fast' }],
  })
  for (const headers of [{}, { authorization: 'Bearer ' }, { authorization: 'Bearer wrong' }, { authorization: `Bearer ${'x'.repeat(5000)}` }, { authorization: 'Basic secret-one' }, { 'x-api-key': '\' OR 1=1' }]) {
    const { status, text } = await send(chat, CHAT(), headers as Record<string, string>).answer
    t.equal(status, 401)
    t.match(JSON.parse(text), { error: { code: 'invalid_api_key' } })
    t.notMatch(text, /wrong|secret/)
  }
  t.equal((await send(`${gateway.url}/tokenize`, '{}').answer).status, 401, 'on every path')
  t.equal((await send(`${gateway.url}/v1/models`, undefined, {}, 'GET').answer).status, 401)
  t.equal(upstream.seen.length, 0)
  const one = { authorization: 'Bearer secret-one' }
  t.equal((await send(chat, CHAT(), one).answer).status, 200)
  t.match(gateway.records.at(-1), { tenant: 'team', class: 'default' })
  t.equal((await send(chat, CHAT(), { ...one, 'x-slo-class': 'fast' }).answer).status, 403)
  t.equal((await send(chat, CHAT({ model: 'x' }), one).answer).status, 403)
  t.equal((await send(chat, STREAMED, { ...one, 'x-slo-class': 'slow', 'x-slo-ttft-ms': '1' }).answer).status, 200)
  t.match(gateway.records.at(-1), { class: 'slow', targets: { ttftMs: 200 } }, 'no tighter than allowed')
  t.equal((await send(chat, CHAT(), { 'x-api-key': 'secret-two' }).answer).status, 200)
  t.match(gateway.records.at(-1), { tenant: 'guest', class: 'fast', route: '1', targets: { ttftMs: 500 } })
  t.notMatch(gateway.log.join(''), /secret-/)
})

t.test('policy says no: the reason, when to come back, and whether', async t => {
  const { chat, gateway, upstream } = await setUp(t, { classes: { default: { queue_limit: 1 } } })
  const full = await startGateway(t, { pools: { main: { backends: [{ url: upstream.url, name: 'b1', max_inflight: 1 }] } }, classes: { default: { queue_limit: 0 } } })
  upstream.script = () => {}
  const holder = send(`${full.url}/v1/chat/completions`, STREAMED)
  while (upstream.seen.length === 0) await new Promise(resolve => setTimeout(resolve, 5))
  const refused = await send(`${full.url}/v1/chat/completions`, STREAMED).answer
  t.equal(refused.status, 429)
  t.match(refused.headers, { 'x-sluice-reason': 'queue_full', 'retry-after': /^\d+$/, 'retry-after-ms': /^\d+$/, 'x-should-retry': /true|false/ })
  t.match(JSON.parse(refused.text), { error: { code: 'queue_full', type: 'rate_limit_error' } })
  t.match(await full.nextRecord(), { outcome: 'rejected', status: 429, code: 'queue_full' })
  let tries = 0
  const client = new OpenAI({ baseURL: `${full.url}/v1`, apiKey: 'x', maxRetries: 1, fetch: (...call) => {
    tries++
    if (tries === 2) holder.leave()
    return fetch(...call)
  } })
  upstream.script = goodChat()
  const whole = await client.chat.completions.create({ model: 'm', messages: [{ role: 'user', content: 'hi' }] }).catch((error: unknown) => error)
  t.equal(tries, 2, 'the SDK comes back when told to')
  t.ok(whole)
  gateway.fleet.setState('b1', 'down')
  const none = await send(chat, STREAMED).answer
  t.equal(none.status, 503)
  t.match(JSON.parse(none.text), { error: { code: 'no_healthy_backend' } })
  t.equal((await send(`${gateway.url}/tokenize`, '{}').answer).status, 503)
})

t.test('a new configuration holds from the next request on', async t => {
  const { chat, gateway } = await setUp(t)
  t.equal((await send(chat, CHAT()).answer).headers['x-sluice-class'], 'default')
  const { configFrom } = await import('../../src/config/index.js')
  gateway.configure(configFrom({ classes: { fast: { ttft: '1s' } }, routes: [{ match: { model: 'm' }, class: 'fast' }], pools: {} }))
  t.equal((await send(chat, CHAT()).answer).headers['x-sluice-class'], 'fast')
})

t.test('a body of 100 MB is refused by its length, and unread', async t => {
  const { gateway } = await setUp(t)
  const answer = await raw(gateway.port, 'POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: 100000000\r\n\r\n{')
  t.match(answer, /^HTTP\/1.1 413 .*"code":"body_too_large"/s)
})
