// One request from the client's socket to its outcome, and back, over real sockets.
import { request as httpRequest, type ClientRequest, type IncomingMessage } from 'node:http'
import OpenAI from 'openai'
import t, { type Test } from 'tap'
import { IDLE, startGateway } from '../helpers/gateway.js'
import { chatEvents, goodChat, scriptedUpstream, STREAM_HEAD, type Script } from '../helpers/upstream.js'

const setUp = async (t: Test, script: Script, more: Record<string, unknown> = {}) => {
  const upstream = await scriptedUpstream(script)
  t.teardown(() => upstream.close())
  const gateway = await startGateway(t, { pools: { main: { backends: [{ url: upstream.url, name: 'b1', engine: 'vllm', models: ['m'] }] } }, ...more })
  return { upstream, gateway }
}

interface Answer { status: number, headers: IncomingMessage['headers'], body: Buffer, cutOff: boolean }

const send = (url: string, body: string | Buffer | undefined, headers: Record<string, string> = {}, method = 'POST'): { call: ClientRequest, answer: Promise<Answer> } => {
  let call!: ClientRequest
  const answer = new Promise<Answer>((resolve, reject) => {
    call = httpRequest(url, { method, headers: { 'content-type': 'application/json', ...headers } }, response => {
      const pieces: Buffer[] = []
      response.on('data', (piece: Buffer) => pieces.push(piece))
      response.on('error', () => {})
      response.on('close', () => { resolve({ status: response.statusCode!, headers: response.headers, body: Buffer.concat(pieces), cutOff: !response.complete }) })
    })
    call.on('error', reject)
    call.end(body)
  })
  return { call, answer }
}

const CHAT = (more: object = {}): string => JSON.stringify({ model: 'm', messages: [{ role: 'user', content: 'hi' }], ...more })

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
