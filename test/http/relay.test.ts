// One request from the client's socket to its outcome, and back, over real sockets.
import OpenAI from 'openai'
import t, { type Test } from 'tap'
import { CHAT, send } from '../helpers/client.js'
import { poolOptions } from '../../src/relay/upstream.js'
import { isSoon } from '../helpers/soon.js'
import { IDLE, startGateway } from '../helpers/gateway.js'
import { chatEvents, goodChat, scriptedUpstream, STREAM_HEAD, type Script } from '../helpers/upstream.js'

const setUp = async (t: Test, script: Script, more: Record<string, unknown> = {}) => {
  const upstream = await scriptedUpstream(script)
  t.teardown(() => upstream.close())
  const gateway = await startGateway(t, { pools: { main: { backends: [{ url: upstream.url, name: 'b1', engine: 'vllm', models: ['m'] }] } }, ...more })
  return { upstream, gateway }
}

t.test('a stream passes byte for byte, metered', async t => {
  const { upstream, gateway } = await setUp(t, goodChat(['a', 'b', 'c']))
  const body = `{ "model" : "m", "messages":[{"role":"user","content":"h\\u00e9"}], "stream":true,"stream_options":{"include_usage":true}, "x":1.0 }`
  const { answer } = send(`${gateway.url}/v1/chat/completions`, body)
  const { status, headers, body: got } = await answer
  t.equal(status, 200)
  t.equal(got.toString(), chatEvents(['a', 'b', 'c'], { prompt_tokens: 7, completion_tokens: 3, total_tokens: 10 }).join(''))
  t.equal(upstream.seen[0]!.body.toString(), body, 'the body goes up unchanged')
  t.equal(upstream.seen[0]!.headers['accept-encoding'], 'identity')
  t.match(headers, { 'content-type': 'text/event-stream; charset=utf-8', 'cache-control': 'no-cache, no-transform', 'x-accel-buffering': 'no', 'x-request-id': /^req-/, 'x-sluice-class': 'default', 'x-sluice-pool': 'main', 'x-sluice-backend': 'b1', 'x-sluice-attempts': '1' })
  const record = await gateway.nextRecord()
  t.match(record, { outcome: 'untargeted', status: 200, route: 'default', class: 'default', model: 'm', path: '/v1/chat/completions' })
  t.match(record.timeline, { ending: 'completed', promptTokens: 7, outputTokens: 3, outputTokensEstimated: false, attempts: 1, streamed: true })
  t.ok(record.timeline.receivedAtMs <= record.timeline.dispatchedAtMs! && record.timeline.dispatchedAtMs! <= record.timeline.firstTokenAtMs! && record.timeline.firstTokenAtMs! <= record.timeline.lastTokenAtMs!)
  t.same(gateway.runtime.gauges, IDLE)
})

t.test('usage is asked for on behalf of a client that did not, and taken out again', async t => {
  const { upstream, gateway } = await setUp(t, goodChat(['a', 'b']))
  const { answer } = send(`${gateway.url}/v1/chat/completions`, CHAT({ stream: true }))
  t.equal((await answer).body.toString(), chatEvents(['a', 'b']).join(''))
  t.match(JSON.parse(upstream.seen[0]!.body.toString()), { stream_options: { include_usage: true } })
  t.match((await gateway.nextRecord()).timeline, { outputTokens: 2, promptTokens: 7, outputTokensEstimated: false })
})

t.test('a whole answer passes as it is', async t => {
  const { gateway } = await setUp(t, goodChat())
  const { status, headers, body } = await send(`${gateway.url}/v1/chat/completions`, CHAT()).answer
  t.equal(status, 200)
  t.equal(headers['content-length'], String(body.length))
  t.match(JSON.parse(body.toString()), { choices: [{ message: { content: 'Hello world' } }] })
  t.match((await gateway.nextRecord()).timeline, { streamed: false, outputTokens: 3, ending: 'completed' })
})

t.test('the OpenAI client, unmodified but for its base URL', async t => {
  const { gateway, upstream } = await setUp(t, goodChat())
  const client = new OpenAI({ baseURL: `${gateway.url}/v1`, apiKey: 'none' })
  const whole = await client.chat.completions.create({ model: 'm', messages: [{ role: 'user', content: 'hi' }] })
  t.equal(whole.choices[0]!.message.content, 'Hello world')
  let text = ''
  for await (const part of await client.chat.completions.create({ model: 'm', messages: [{ role: 'user', content: 'hi' }], stream: true })) text += part.choices[0]?.delta.content ?? ''
  t.equal(text, 'Hello world')
  t.match((await client.models.list()).data, [{ id: 'm', object: 'model' }])
  t.match(await client.models.retrieve('m'), { id: 'm' })
  await t.rejects(client.chat.completions.create({ model: 'other', messages: [] }), { status: 404, code: 'model_not_found' })
  t.equal(upstream.seen.every(({ headers }) => headers.authorization === undefined), true, 'the client\'s key stays here')

  upstream.script = (_seen, response) => {
    response.writeHead(200, STREAM_HEAD)
    for (const text of chatEvents(['x', 'y']).slice(0, 2)) response.write(text)
  }
  const stream = await client.chat.completions.create({ model: 'm', messages: [{ role: 'user', content: 'hi' }], stream: true })
  for await (const part of stream) if (part.choices[0]?.delta.content === 'x') break
  stream.controller.abort()
  await upstream.seen.at(-1)!.aborted
  t.pass('the abort reaches the backend')
})

t.test('bytes are bytes: split characters, CRLF, comments, single bytes, a megabyte in one event', async t => {
  const odd = ': ping\r\n\r\ndata: {"choices":[{"index":0,"delta":{"content":"h\u00e9\u{1f30a}"}}]}\r\n\r\n: again\n\n' +
    `data: {"choices":[{"index":0,"delta":{"content":"${'x'.repeat(1 << 20)}"}}]}\n\n` +
    'data:{"choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}\n\ndata: [DONE]\n\n'
  const bytes = Buffer.from(odd)
  const { gateway } = await setUp(t, async (_seen, response) => {
    response.writeHead(200, { ...STREAM_HEAD, 'x-custom': 'kept', 'set-cookie': 'a=b', server: 'uvicorn', 'x-sluice-class': 'forged' })
    for (let i = 0; i < 200; i++) {
      response.write(bytes.subarray(i, i + 1))
      if (i % 20 === 0) await new Promise(resolve => setImmediate(resolve))
    }
    response.end(bytes.subarray(200))
  })
  const { body, headers } = await send(`${gateway.url}/v1/chat/completions`, CHAT({ stream: true, stream_options: { include_usage: true } })).answer
  t.ok(body.equals(bytes), 'not a byte differs')
  t.match(headers, { 'x-custom': 'kept', 'x-sluice-class': 'default', 'set-cookie': undefined, server: undefined })
  t.match(await gateway.nextRecord(), { outcome: 'untargeted', timeline: { outputTokens: 2, outputTokensEstimated: true } })
})

t.test('what passes up: path and query, allowed headers, the backend\'s key and no other', async t => {
  const upstream = await scriptedUpstream(goodChat())
  t.teardown(() => upstream.close())
  const gateway = await startGateway(t, { pools: { main: { backends: [{ url: `${upstream.url}/base/`, api_key: 'backend-key', models: ['m'] }] } } })
  await send(`${gateway.url}/v1/chat/completions?x=1`, CHAT(), {
    authorization: 'Bearer client-key', 'x-api-key': 'client-key', cookie: 'a=b', 'x-request-id': 'mine-1', 'x-forwarded-for': '1.2.3.4', 'x-evil': '1',
    traceparent: '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01', connection: 'close, x-request-id',
  }).answer
  const [seen] = upstream.seen
  t.equal(seen!.url, '/base/v1/chat/completions?x=1')
  t.match(seen!.headers, { authorization: 'Bearer backend-key', 'x-request-id': 'mine-1', traceparent: '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01', host: new URL(upstream.url).host })
  for (const name of ['x-api-key', 'cookie', 'x-forwarded-for', 'x-evil']) t.notHas(seen!.headers, { [name]: /./ })
})

t.test('auth: passthrough sends the client\'s credentials on', async t => {
  const { gateway, upstream } = await setUp(t, goodChat(), { auth: 'passthrough' })
  await send(`${gateway.url}/v1/chat/completions`, CHAT(), { authorization: 'Bearer client-key' }).answer
  t.equal(upstream.seen[0]!.headers.authorization, 'Bearer client-key')
})

t.test('TGI, completions, embeddings and the allow-list', async t => {
  const { gateway, upstream } = await setUp(t, (seen, response) => {
    if (seen.url === '/generate_stream') {
      response.writeHead(200, STREAM_HEAD)
      response.end('data:{"index":1,"token":{"id":1,"text":"a","logprob":-1,"special":false},"generated_text":null,"details":null}\n\n' +
        'data:{"index":2,"token":{"id":2,"text":"b","logprob":-1,"special":false},"generated_text":"ab","details":{"finish_reason":"length","generated_tokens":2,"input_length":4}}\n\n')
    } else {
      response.writeHead(200, { 'content-type': 'application/json', 'x-up': '1' })
      response.end(JSON.stringify({ method: seen.method, url: seen.url, got: seen.body.toString() }))
    }
  })
  const tgi = await send(`${gateway.url}/generate_stream`, '{"inputs":"hi"}').answer
  t.match(tgi.text, /"generated_text":"ab"/)
  t.match((await gateway.nextRecord()).timeline, { outputTokens: 2, streamed: true, ending: 'completed' })
  t.match(JSON.parse((await send(`${gateway.url}/v1/embeddings`, '{"model":"m","input":"hi"}').answer).text), { url: '/v1/embeddings' })
  t.match(await gateway.nextRecord(), { outcome: 'untargeted', timeline: { streamed: false } })
  const spaced = '{"model": "m",  "prompt":"x", "y": 1.0}'
  const passed = await send(`${gateway.url}/tokenize?a=b`, spaced).answer
  t.match(JSON.parse(passed.text), { method: 'POST', url: '/tokenize?a=b', got: spaced })
  t.equal(passed.headers['x-up'], '1')
  t.match(await gateway.nextRecord(), { route: 'passthrough', outcome: 'untargeted', status: 200, path: '/tokenize', timeline: { backend: 'b1', attempts: 1 } })
  t.match(JSON.parse((await send(`${gateway.url}/version`, undefined, {}, 'GET').answer).text), { method: 'GET', url: '/version' })
  t.equal(upstream.seen.length, 4)
})

t.test('a protocol goes to the servers that speak it, where there are any', async t => {
  const answering = (name: string): Script => (_seen, response) => { response.writeHead(200, { 'content-type': 'application/json' }).end(`{"by":"${name}"}`) }
  const [vllm, tgi] = await Promise.all([scriptedUpstream(answering('vllm')), scriptedUpstream(answering('tgi'))])
  t.teardown(() => Promise.all([vllm.close(), tgi.close()]))
  const gateway = await startGateway(t, { pools: { main: { backends: [{ url: vllm.url, name: 'v', engine: 'vllm' }, { url: tgi.url, name: 't', engine: 'tgi' }] } } })
  const answeredBy = async (path: string, body: string) => (JSON.parse((await send(gateway.url + path, body).answer).text) as { by?: string, error_type?: string })
  for (let i = 0; i < 6; i++) {
    for (const path of ['/generate', '/']) t.match(await answeredBy(path, '{"inputs":"hi"}'), { by: 'tgi' }, path)
    for (const path of ['/v1/responses', '/v1/embeddings']) t.match(await answeredBy(path, '{"model":"m","input":"hi"}'), { by: 'vllm' }, path)
    t.match(await answeredBy('/generate', '{"text":"hi"}'), { by: /vllm|tgi/ }, 'none of them: whoever it reaches answers')
  }
  gateway.fleet.setState('t', 'down')
  t.match(await answeredBy('/generate', '{"inputs":"hi"}'), { error_type: /./ }, 'the only one that could is down')
})

t.test('a client that leaves a passed-through request is gone for the backend too', async t => {
  const { gateway, upstream } = await setUp(t, () => {})
  await isSoon(t, 'the backend saw it', async () => {
    const before = upstream.seen.length
    const client = send(`${gateway.url}/tokenize`, '{}')
    while (upstream.seen.length === before) await new Promise(resolve => setTimeout(resolve, 5))
    const leftMs = client.leave()
    const seen = upstream.seen[before]!
    const seenMs = await seen.aborted
    t.match(await gateway.nextRecord(), { route: 'passthrough', outcome: 'cancelled', status: 499 })
    t.notMatch(seen.headers, { 'x-sluice-ticket': /./ })
    return seenMs - leftMs
  })
})

t.test('what the upstream client is told, so that no default of a new version changes it', async t => {
  t.match(poolOptions(5000, { tls: undefined }), {
    connections: null, pipelining: 1, allowH2: false, keepAliveTimeout: 4000, keepAliveMaxTimeout: 4000, headersTimeout: 0, bodyTimeout: 0,
    connect: { timeout: 5000, rejectUnauthorized: true, noDelay: true },
  })
  const { gateway, upstream } = await setUp(t, () => {})
  const calls = Array.from({ length: 200 }, () => send(`${gateway.url}/v1/chat/completions`, CHAT({ stream: true })))
  while (upstream.seen.length < 200) await new Promise(resolve => setTimeout(resolve, 10))
  t.equal(upstream.open, 200, 'no hidden cap on connections')
  for (const call of calls) call.leave()
  while (gateway.runtime.gauges.requests > 0) await new Promise(resolve => setTimeout(resolve, 10))
})
