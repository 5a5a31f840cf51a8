// The official clients, unmodified but for their base URL.
import Anthropic from '@anthropic-ai/sdk'
import OpenAI from 'openai'
import t, { type Test } from 'tap'
import { STREAMED, send } from '../helpers/client.js'
import { IDLE, startGateway } from '../helpers/gateway.js'
import { chatEvents, event, goodChat, scriptedUpstream, STREAM_HEAD, type Script } from '../helpers/upstream.js'

const setUp = async (t: Test, script: Script, more: Record<string, unknown> = {}, backend: Record<string, unknown> = {}) => {
  const upstream = await scriptedUpstream(script)
  t.teardown(() => upstream.close())
  const gateway = await startGateway(t, { pools: { main: { backends: [{ url: upstream.url, name: 'b1', engine: 'vllm', models: ['m'], ...backend }] } }, ...more })
  let tries = 0
  const counted: typeof fetch = (...call) => {
    tries++
    return fetch(...call)
  }
  return {
    upstream, gateway,
    get tries() { return tries },
    openai: (maxRetries = 0) => new OpenAI({ baseURL: `${gateway.url}/v1`, apiKey: 'none', maxRetries, fetch: counted }),
    anthropic: () => new Anthropic({ baseURL: gateway.url, apiKey: 'none', maxRetries: 0, fetch: counted }),
  }
}
const HI = { model: 'm', messages: [{ role: 'user' as const, content: 'hi' }] }

t.test('openai: whole and streamed, with and without usage', async t => {
  const { openai, gateway } = await setUp(t, goodChat(['Hello', ' ', 'world']))
  const client = openai()
  const { data, response, request_id } = await client.chat.completions.create(HI).withResponse()
  t.equal(data.choices[0]!.message.content, 'Hello world')
  t.match(data.usage, { completion_tokens: 3 })
  t.equal(request_id, response.headers.get('x-request-id'))
  t.match(await gateway.nextRecord(), { timeline: { id: request_id, outputTokens: 3, streamed: false } })

  const parts: OpenAI.ChatCompletionChunk[] = []
  for await (const part of await client.chat.completions.create({ ...HI, stream: true })) parts.push(part)
  t.equal(parts.map(part => part.choices[0]?.delta.content ?? '').join(''), 'Hello world')
  t.notOk(parts.some(({ usage }) => usage), 'what the client did not ask for it does not see')
  t.match(await gateway.nextRecord(), { timeline: { outputTokens: 3, promptTokens: 7, outputTokensEstimated: false } })

  parts.length = 0
  for await (const part of await client.chat.completions.create({ ...HI, stream: true, stream_options: { include_usage: true } })) parts.push(part)
  t.match(parts.at(-1), { choices: [], usage: { completion_tokens: 3 } })
  t.equal(await client.chat.completions.stream(HI).finalContent(), 'Hello world', 'and by the helper that puts it together')
  t.match((await client.models.list()).data, [{ id: 'm', object: 'model' }])
})

t.test('openai: an abort reaches the backend, streamed or not', async t => {
  const { openai, upstream, gateway } = await setUp(t, (_seen, response) => {
    response.writeHead(200, STREAM_HEAD)
    for (const text of chatEvents(['x', 'y']).slice(0, 2)) response.write(text)
  })
  const client = openai()
  const stream = await client.chat.completions.create({ ...HI, stream: true })
  for await (const part of stream) if (part.choices[0]?.delta.content === 'x') break
  stream.controller.abort()
  await upstream.seen[0]!.aborted
  t.match(await gateway.nextRecord(), { outcome: 'cancelled' })

  upstream.script = () => {}
  const leaves = new AbortController()
  const whole = client.chat.completions.create(HI, { signal: leaves.signal })
  while (upstream.seen.length < 2) await new Promise(resolve => setTimeout(resolve, 5))
  leaves.abort()
  t.type(await whole.then(() => undefined, (reason: unknown) => reason), OpenAI.APIUserAbortError)
  await upstream.seen[1]!.aborted
  t.match(await gateway.nextRecord(), { outcome: 'cancelled' })
  t.same(gateway.runtime.gauges, IDLE)
})

t.test('openai: errors are of the class that a program catches', async t => {
  const { openai, upstream, gateway } = await setUp(t, (_seen, response) => { response.writeHead(500).end('x') }, { retries: { max_attempts: 1 }, auth: { keys: [{ name: 'a', key: 'none' }] } })
  const client = openai()
  const fails = async (call: Promise<unknown>, kind: new (...args: never[]) => Error, members: object) => {
    const error: unknown = await call.then(() => undefined, (reason: unknown) => reason)
    t.type(error, kind)
    t.match(error, members)
  }
  await fails(client.chat.completions.create({ ...HI, model: 'other' }), OpenAI.NotFoundError, { status: 404, code: 'model_not_found', type: 'invalid_request_error' })
  await fails(client.chat.completions.create({ ...HI, max_tokens: 'many' as never }), OpenAI.BadRequestError, { status: 400, code: 'invalid_request', param: 'max_tokens' })
  await fails(client.chat.completions.create(HI, { headers: { 'x-slo-ttft-ms': 'soon' } }), OpenAI.BadRequestError, { code: 'invalid_slo', message: /x-slo-ttft-ms/ })
  await fails(client.withOptions({ apiKey: 'wrong' }).chat.completions.create(HI), OpenAI.AuthenticationError, { status: 401, code: 'invalid_api_key' })
  await fails(client.chat.completions.create(HI), OpenAI.InternalServerError, { status: 502, code: 'backend_error', requestID: /./ })
  upstream.script = (_seen, response) => {
    response.writeHead(200, STREAM_HEAD).write(chatEvents(['x']).slice(0, 2).join(''))
    setImmediate(() => { response.destroy() })
  }
  const broken = await client.chat.completions.create({ ...HI, stream: true })
  await fails((async () => { for await (const part of broken) t.ok(part) })(), OpenAI.APIError, { code: 'backend_error' })
  t.same(gateway.runtime.gauges, IDLE)
})

t.test('openai: comes back when told to, and only then', async t => {
  const told = await setUp(t, goodChat(), { classes: { default: { queue_limit: 0 } } }, { max_inflight: 1 })
  const { upstream, gateway } = told
  upstream.script = () => {}
  const holder = send(`${gateway.url}/v1/chat/completions`, STREAMED)
  while (upstream.seen.length === 0) await new Promise(resolve => setTimeout(resolve, 5))
  const failed = told.openai(1).chat.completions.create(HI)
  await t.rejects(failed, { status: 429, code: 'queue_full' })
  t.equal(told.tries, 2, 'x-should-retry: true')

  // A deadline that is over before a retry would be there: the client is told so, and spares itself the way.
  const hopeless = told.openai(2).chat.completions.create(HI, { headers: { 'x-slo-deadline-ms': '1' } })
  const error = await hopeless.then(() => undefined, (reason: unknown) => reason as InstanceType<typeof OpenAI.APIError>)
  t.match(error, { status: 429 })
  t.equal(error!.headers!.get('x-should-retry'), 'false')
  t.equal(told.tries, 3, 'x-should-retry: false')
  holder.leave()
})

t.test('openai: a refusal says which targets are out of reach', async t => {
  const { openai, upstream, gateway } = await setUp(t, goodChat(), { admission: { mode: 'enforce' }, classes: { default: { ttft: '500ms', tpot: '50ms' } } }, { max_inflight: 1 })
  upstream.script = () => {}
  const holder = send(`${gateway.url}/v1/chat/completions`, STREAMED)
  while (upstream.seen.length === 0) await new Promise(resolve => setTimeout(resolve, 5))
  const ask = async (stream: boolean) => await openai().chat.completions.create({ ...HI, stream }, { headers: { 'x-slo-deadline-ms': '40' } }).then(() => undefined, (reason: unknown) => reason)
  t.match(await ask(true), { status: 429, code: 'queue_expired', message: / targets allow: first token within 500 ms, a token every 50 ms, complete within 40 ms\. Retry/ })
  t.match(await ask(false), { status: 429, code: 'queue_expired', message: / targets allow: complete within 40 ms\. Retry/ }, 'what binds streams alone is left out')
  holder.leave()
})

t.test('openai: /v1/responses', async t => {
  const response = { id: 'resp_1', object: 'response', created_at: 1, status: 'completed', model: 'm', output: [{ id: 'msg_1', type: 'message', role: 'assistant', status: 'completed', content: [{ type: 'output_text', text: 'Hello world', annotations: [] }] }], usage: { input_tokens: 7, output_tokens: 2, total_tokens: 9 } }
  const named = (data: { type: string }) => `event: ${data.type}\n${event(data)}`
  const delta = (text: string) => named({ type: 'response.output_text.delta', item_id: 'msg_1', output_index: 0, content_index: 0, delta: text } as { type: string })
  const { openai, gateway, upstream } = await setUp(t, (seen, answer) => {
    if (!seen.body.includes('"stream":true')) return void answer.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify(response))
    answer.writeHead(200, STREAM_HEAD)
    answer.end(named({ type: 'response.created', response: { ...response, status: 'in_progress', output: [] } } as { type: string }) + delta('Hello') + delta(' world') + named({ type: 'response.completed', response } as { type: string }))
  })
  const client = openai()
  t.equal((await client.responses.create({ model: 'm', input: 'hi' })).output_text, 'Hello world')
  t.match(await gateway.nextRecord(), { path: '/v1/responses', timeline: { promptTokens: 7, outputTokens: 2, streamed: false } })
  let text = ''
  for await (const part of await client.responses.create({ model: 'm', input: 'hi', stream: true })) if (part.type === 'response.output_text.delta') text += part.delta
  t.equal(text, 'Hello world')
  const { timeline } = await gateway.nextRecord()
  t.match(timeline, { promptTokens: 7, outputTokens: 2, outputTokensEstimated: false, streamed: true, ending: 'completed' })
  t.ok(timeline.firstTokenAtMs! >= timeline.dispatchedAtMs!)
  await t.rejects(client.responses.create({ model: 'other', input: 'hi' }), { status: 404, code: 'model_not_found' })
  upstream.script = (_seen, answer) => {
    answer.writeHead(200, STREAM_HEAD).write(delta('Hello'))
    setImmediate(() => { answer.destroy() })
  }
  const broken = await client.responses.create({ model: 'm', input: 'hi', stream: true })
  const kinds: string[] = []
  await (async () => { for await (const part of broken) kinds.push(part.type) })().catch(() => { kinds.push('error') })
  t.equal(kinds.at(-1), 'error', 'a broken stream does not look whole')
})

t.test('anthropic: /v1/messages', async t => {
  const message = { id: 'msg_1', type: 'message', role: 'assistant', model: 'm', content: [{ type: 'text', text: 'Hello world' }], stop_reason: 'end_turn', stop_sequence: null, usage: { input_tokens: 7, output_tokens: 2 } }
  const named = (data: { type: string } & Record<string, unknown>) => `event: ${data.type}\n${event(data)}`
  const delta = (text: string) => named({ type: 'content_block_delta', index: 0, delta: { type: 'text_delta', text } })
  const opening = named({ type: 'message_start', message: { ...message, content: [], stop_reason: null, usage: { input_tokens: 7, output_tokens: 1 } } }) + named({ type: 'content_block_start', index: 0, content_block: { type: 'text', text: '' } })
  const { anthropic, gateway, upstream } = await setUp(t, (seen, answer) => {
    if (!seen.body.includes('"stream":true')) return void answer.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify(message))
    answer.writeHead(200, STREAM_HEAD)
    answer.end(opening + named({ type: 'ping' }) + delta('Hello') + delta(' world') + named({ type: 'content_block_stop', index: 0 }) + named({ type: 'message_delta', delta: { stop_reason: 'end_turn', stop_sequence: null }, usage: { output_tokens: 2 } }) + named({ type: 'message_stop' }))
  })
  const client = anthropic()
  const ask = { model: 'm', max_tokens: 10, messages: [{ role: 'user' as const, content: 'hi' }] }
  t.match((await client.messages.create(ask)).content, [{ type: 'text', text: 'Hello world' }])
  t.match(await gateway.nextRecord(), { path: '/v1/messages', timeline: { promptTokens: 7, outputTokens: 2, streamed: false } })
  const final = await client.messages.stream(ask).finalMessage()
  t.match(final, { content: [{ text: 'Hello world' }], stop_reason: 'end_turn' })
  t.match((await gateway.nextRecord()).timeline, { promptTokens: 7, outputTokens: 2, outputTokensEstimated: false, streamed: true, ending: 'completed' })

  const fails = async (call: PromiseLike<unknown>) => await call.then(() => undefined, (reason: unknown) => reason)
  const missing = await fails(client.messages.create({ ...ask, model: 'other' }))
  t.type(missing, Anthropic.NotFoundError)
  t.match(missing, { status: 404, error: { type: 'error', error: { type: 'not_found_error', code: 'model_not_found' } } })
  const bad = await fails(client.messages.create(ask, { headers: { 'x-slo-ttft-ms': '-1' } }))
  t.match(bad, { status: 400, error: { type: 'error', error: { type: 'invalid_request_error', code: 'invalid_slo' } } })
  upstream.script = (_seen, answer) => {
    answer.writeHead(200, STREAM_HEAD).write(opening + delta('Hello'))
    setImmediate(() => { answer.destroy() })
  }
  const broken = await fails(client.messages.stream(ask).finalMessage())
  t.match(broken, { error: { type: 'error', error: { type: 'api_error', code: 'backend_error' } } })
})
