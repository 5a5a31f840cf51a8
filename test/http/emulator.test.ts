import { request as httpRequest } from 'node:http'
import OpenAI from 'openai'
import t, { type Test } from 'tap'
import { COURSE_FAULTS, type Emulator, type EmulatorOptions, startEmulator } from '../../src/emulator/index.js'

const clock = { now: () => performance.now() }

async function emulator (t: Test, options: Partial<EmulatorOptions> = {}): Promise<Emulator> {
  const server = await startEmulator({ engine: 'vllm', clock, speed: 40, ...options })
  t.teardown(() => server.stop())
  return server
}

interface Answer {
  readonly status: number
  readonly headers: Readonly<Record<string, string | string[] | undefined>>
  readonly text: string
  readonly bytes: Buffer
  readonly chunks: number
  /** How the body ended: `end`, or the error's code; `quiet` = nothing came for `quietMs`. */
  readonly end: string
}

/** A client that reports every kind of end in place of throwing. */
function post (url: string, body: unknown, options: { headers?: Record<string, string>, quietMs?: number } = {}): Promise<Answer> {
  return new Promise(resolve => {
    const chunks: Buffer[] = []
    let status = 0
    let headers: Answer['headers'] = {}
    let timer: NodeJS.Timeout | undefined
    const req = httpRequest(url, { method: 'POST', agent: false, headers: { 'content-type': 'application/json', ...options.headers } }, res => {
      status = res.statusCode ?? 0
      headers = res.headers
      watch()
      res.on('data', (chunk: Buffer) => { chunks.push(chunk); watch() })
      res.on('end', () => { done('end') })
      res.on('error', (error: NodeJS.ErrnoException) => { done(error.code ?? error.message) })
    })
    function watch (): void {
      clearTimeout(timer)
      if (options.quietMs !== undefined) timer = setTimeout(() => { done('quiet') }, options.quietMs)
    }
    function done (end: string): void {
      clearTimeout(timer)
      req.destroy()
      const bytes = Buffer.concat(chunks)
      resolve({ status, headers, bytes, text: bytes.toString(), chunks: chunks.length, end })
    }
    req.on('error', (error: NodeJS.ErrnoException) => { done(error.code ?? error.message) })
    watch()
    req.end(typeof body === 'string' ? body : JSON.stringify(body))
  })
}

interface Chunk {
  object?: string
  error?: { code: number } | string
  error_type?: string
  prompt_token_ids?: number[]
  usage?: { prompt_tokens: number, completion_tokens: number, total_tokens: number, prompt_tokens_details?: { cached_tokens: number } | null } | null
  choices: Array<{ index: number, text?: string, delta?: { role?: string, content?: string, reasoning?: string }, finish_reason: string | null, token_ids?: number[], prompt_token_ids?: number[] }>
  token: { id: number, text: string, special: boolean }
  generated_text: string | null
}

/** The JSON events of a stream; everything must be `data:` lines. */
function events (text: string): Chunk[] {
  const blocks = text.split('\n\n')
  if (blocks.pop() !== '') throw new Error('the stream ends inside an event')
  return blocks.filter(block => block !== 'data: [DONE]').map(block => JSON.parse(block.replace(/^data: /, '')) as Chunk)
}

const messages = [{ role: 'user' as const, content: 'Tell me about gateways.' }]

/** Poll until true: for effects on the server's side of a socket. */
async function eventually (t: Test, what: string, check: () => boolean): Promise<void> {
  const until = performance.now() + 5000
  while (!check()) {
    if (performance.now() > until) return void t.fail(`${what}: not within 5 s`)
    await new Promise(resolve => setTimeout(resolve, 2))
  }
  t.pass(what)
}

t.test('the official OpenAI client', async t => {
  const server = await emulator(t)
  const client = new OpenAI({ baseURL: `${server.url}/v1`, apiKey: 'none', maxRetries: 0 })
  const [model] = (await client.models.list()).data
  t.ok(model?.id)
  const whole = await client.chat.completions.create({ model: model!.id, messages, max_tokens: 12 })
  t.equal(whole.usage?.completion_tokens, 12)
  t.equal(whole.choices[0]?.finish_reason, 'length')

  let text = ''
  let usage: OpenAI.CompletionUsage | null | undefined
  for await (const chunk of await client.chat.completions.create({ model: model!.id, messages, max_tokens: 12, stream: true, stream_options: { include_usage: true } })) {
    text += chunk.choices[0]?.delta.content ?? ''
    usage = chunk.usage ?? usage
  }
  t.equal(text, whole.choices[0]?.message.content, 'streamed and not: the same words')
  t.same(usage, whole.usage)

  const helper = client.chat.completions.stream({ model: model!.id, messages, max_tokens: 5, tools: [{ type: 'function', function: { name: 'look', parameters: {} } }], tool_choice: 'required' })
  const call = (await helper.finalChatCompletion()).choices[0]?.message.tool_calls?.[0]
  t.equal(call?.type === 'function' ? call.function.name : undefined, 'look')

  const completion = await client.completions.create({ model: model!.id, prompt: ['one', 'two'], n: 2 })
  t.same(completion.choices.map(choice => choice.index), [0, 1, 2, 3])
  t.equal(completion.usage?.completion_tokens, 4 * 16, 'completions end after 16 tokens by default')
  t.equal((await client.embeddings.create({ model: model!.id, input: 'text' })).data[0]?.embedding.length, 64)

  const refusal = async (body: { model: string, messages: typeof messages }): Promise<unknown> => await client.chat.completions.create(body).catch((error: unknown) => error)
  t.match(await refusal({ model: 'other', messages }), { status: 404, type: 'NotFoundError' })
  t.match(await refusal({ model: model!.id, messages: [] }), { status: 400 })
  await t.rejects(client.chat.completions.create({ model: model!.id, messages, max_tokens: 200_000 }), /maximum context length/)

  const stream = await client.chat.completions.create({ model: model!.id, messages, max_tokens: 4000, stream: true }, { body: { model: model!.id, messages, max_tokens: 4000, stream: true, ignore_eos: true } })
  for await (const chunk of stream) if (chunk.choices[0]?.delta.content !== '') break
  stream.controller.abort()
  await eventually(t, 'the abort reaches the engine', () => server.control.state().requests.aborted === 1)
  await eventually(t, 'and nothing is left', () => server.control.state().kvUsageRatio === 0)
  const { counters, requests, lastAborts } = server.control.state()
  t.equal(requests.active, 0)
  t.ok(counters.wastedPrefillTokens > 0 || counters.prefixHitTokens > 0)
  t.ok(counters.wastedDecodeTokens < 3500)
  t.ok((lastAborts[0]?.tokens ?? 0) >= 1)
})

t.test('vLLM streams', async t => {
  const server = await emulator(t, { promptTokensDetails: true })
  const chat = await post(`${server.url}/v1/chat/completions`, { messages, stream: true, stream_options: { include_usage: true, continuous_usage_stats: true }, return_token_ids: true, emulate_output_tokens: 6 })
  t.equal(chat.headers['content-type'], 'text/event-stream; charset=utf-8')
  t.ok(chat.text.endsWith('data: [DONE]\n\n'))
  const [role, ...rest] = events(chat.text)
  const usage = rest.pop()
  t.same(role?.choices[0]?.delta, { role: 'assistant', content: '' })
  t.equal(role?.prompt_token_ids?.length, usage?.usage?.prompt_tokens)
  t.equal(rest.length, 6)
  t.same(rest.map(chunk => chunk.usage?.completion_tokens), [1, 2, 3, 4, 5, 6])
  t.equal(rest.at(-1)?.choices[0]?.finish_reason, 'stop')
  t.equal(rest.at(-1)?.choices[0]?.delta?.content, '', 'the end token has no text')
  t.same(usage?.choices, [])
  t.equal(usage?.usage?.completion_tokens, 6)
  t.match(usage?.usage?.prompt_tokens_details, { cached_tokens: 0 })

  const plain = await post(`${server.url}/v1/completions`, { prompt: 'Once', stream: true }, { headers: { 'x-emulate-output-tokens': '3' } })
  t.equal(events(plain.text).length, 3)
  t.equal(events(plain.text)[0]?.object, 'text_completion')
  const reasoned = events((await post(`${server.url}/v1/chat/completions`, { messages, stream: true, max_tokens: 4, emulate_reasoning_tokens: 2 })).text)
  t.same(reasoned.map(chunk => Object.keys(chunk.choices[0]?.delta ?? {}).at(-1)), ['content', 'reasoning', 'reasoning', 'content', 'content'])
  const pairs = events((await post(`${server.url}/v1/completions`, { prompt: 'Once', stream: true, max_tokens: 7, stream_interval: 3 })).text)
  t.same(pairs.map(chunk => chunk.choices[0]?.text?.match(/ /g)?.length), [1, 3, 3])
})

t.test('an answer goes on exactly on another server', async t => {
  const [first, second] = [await emulator(t, { seed: 1 }), await emulator(t, { seed: 2, noise: 0.2 })]
  const ask = async (server: Emulator, body: object): Promise<{ text: string, promptIds: number[], ids: number[] }> => {
    const { text } = await post(`${server.url}/v1/${'messages' in body ? 'chat/' : ''}completions`, { stream: true, return_token_ids: true, ...body })
    const chunks = events(text)
    return {
      text: chunks.map(chunk => chunk.choices[0]?.text ?? chunk.choices[0]?.delta?.content ?? '').join(''),
      promptIds: chunks[0]?.prompt_token_ids ?? chunks[0]?.choices[0]?.prompt_token_ids ?? [],
      ids: chunks.flatMap(chunk => chunk.choices[0]?.token_ids ?? [])
    }
  }
  const whole = await ask(first, { messages, emulate_output_tokens: 50 })
  const half = await ask(first, { messages, emulate_output_tokens: 50, max_tokens: 20 })
  t.ok(whole.text.startsWith(half.text) && half.text.length > 0)
  const byText = await ask(second, { messages: [...messages, { role: 'assistant', content: half.text }], continue_final_message: true, add_generation_prompt: false, emulate_output_tokens: 50 })
  t.equal(half.text + byText.text, whole.text, 'by text')
  const byIds = await ask(second, { prompt: [...half.promptIds, ...half.ids], max_tokens: 100, emulate_output_tokens: 50 })
  t.equal(half.text + byIds.text, whole.text, 'by token ids')
  t.same([...half.ids, ...byIds.ids], whole.ids)
})

t.test('TGI', async t => {
  const server = await emulator(t, { engine: 'tgi', limits: { maxInflight: 1 } })
  const native = events((await post(`${server.url}/generate_stream`, { inputs: 'What is it?', parameters: { details: true }, emulate_output_tokens: 4 })).text)
  t.equal(native.length, 4)
  t.same(native.map(event => event.token.special), [false, false, false, true])
  t.equal(native.at(-1)?.generated_text, native.slice(0, 3).map(event => event.token.text).join(''))
  t.match(native.at(-1), { details: { finish_reason: 'eos_token', generated_tokens: 4 } })
  const whole = await post(`${server.url}/generate`, { inputs: 'What is it?', parameters: { max_new_tokens: 4 } })
  t.equal(whole.headers['x-generated-tokens'], '4')
  t.match(JSON.parse((await post(`${server.url}/`, { inputs: 'x', parameters: { max_new_tokens: 2 } })).text), [{ generated_text: /^x / }])

  const slow = post(`${server.url}/generate`, { inputs: 'long', parameters: { max_new_tokens: 400 }, emulate_output_tokens: 400 })
  await eventually(t, 'the one place is taken', () => server.control.state().requests.active === 1)
  const refused = await post(`${server.url}/generate_stream`, { inputs: 'x' })
  t.match([refused.status, events(refused.text)[0]], [200, { error: 'Model is overloaded', error_type: 'overloaded' }], 'as an event in a 200')
  t.match(await post(`${server.url}/generate`, { inputs: 'x' }), { status: 429, text: /overloaded/ })
  await slow
  t.match(await post(`${server.url}/generate`, { inputs: '' }), { status: 422, text: /validation/ })
  const invalid = await post(`${server.url}/v1/chat/completions`, { messages: [], stream: true })
  t.match([invalid.status, events(invalid.text)[0]?.error_type], [200, 'validation'])
  const chat = await post(`${server.url}/v1/chat/completions`, { messages, stream: true, stream_options: { include_usage: true }, max_tokens: 3 })
  t.ok(chat.text.endsWith('data: [DONE]\n\n'))
  t.same(events(chat.text).map(chunk => [chunk.choices[0]?.delta?.role, chunk.usage?.completion_tokens]), [['assistant', undefined], ['assistant', undefined], ['assistant', 3]])
  const metrics = await (await fetch(`${server.url}/metrics`)).text()
  t.match(metrics, /^tgi_queue_size 0$/m)
  t.match(metrics, /^tgi_request_failure\{err="overloaded"\} 2$/m)
  t.match(await (await fetch(`${server.url}/info`)).json(), { max_concurrent_requests: 1, max_total_tokens: 131_072 })
})

t.test('vLLM: queue limit, metrics, small routes', async t => {
  const server = await emulator(t, { metricNames: 'both', limits: { maxInflight: 1 }, speed: 5 })
  const busy = post(`${server.url}/v1/completions`, { prompt: 'x', max_tokens: 100, ignore_eos: true, stream: true })
  await eventually(t, 'one runs', () => server.control.state().running === 1)
  t.match(await post(`${server.url}/v1/completions`, { prompt: 'x', stream: true }), { status: 503, text: /"type":"ServiceUnavailable".*"code":503/ })
  t.match(await (await fetch(`${server.url}/load`)).json(), { server_load: 1 })
  const metrics = await (await fetch(`${server.url}/metrics`)).text()
  t.match(metrics, /^vllm:num_requests_running\{engine="0",model_name="llama-3\.1-8b-instruct"\} 1$/m)
  for (const name of ['vllm:kv_cache_usage_perc', 'vllm:gpu_cache_usage_perc', 'vllm:prefix_cache_hits_total', 'vllm:gpu_prefix_cache_hits_total', 'vllm:time_to_first_token_seconds_bucket', 'vllm:admission_rejections_total']) {
    t.ok(metrics.includes(`\n${name}{`), name)
  }
  t.match(metrics, /num_gpu_blocks="25000"/)
  await busy
  t.match(JSON.parse((await post(`${server.url}/tokenize`, { prompt: 'two words' })).text), { count: 2, max_model_len: 131_072 })
  t.equal((await fetch(`${server.url}/health`)).status, 200)
  t.equal((await fetch(`${server.url}/nowhere`)).status, 404)
  t.equal((await fetch(`${server.url}/v1/completions`)).status, 405)
  t.match(await post(`${server.url}/v1/completions`, '{"prompt":'), { status: 400, text: /not JSON/ })
})

t.test('clients that leave, streamed or not, waiting or running', async t => {
  const server = await emulator(t, { speed: 1, limits: { maxSequences: 2 } })
  const body = { prompt: 'x '.repeat(200), max_tokens: 3000, ignore_eos: true }
  const clients = [true, false, true, false].map(stream => {
    const req = httpRequest(`${server.url}/v1/completions`, { method: 'POST', agent: false })
    req.on('error', () => {})
    req.end(JSON.stringify({ ...body, stream }))
    return req
  })
  await eventually(t, 'two run and two wait', () => server.control.state().running === 2 && server.control.state().waiting === 2)
  for (const client of clients) client.destroy()
  await eventually(t, 'all four are let go', () => server.control.state().requests.aborted === 4)
  await eventually(t, 'memory is free', () => server.control.state().kvUsageRatio === 0)
  t.match(server.control.state(), { running: 0, waiting: 0, queuedPromptTokens: 0, requests: { active: 0, received: 4 } })
})

t.test('a slow reader gets fewer and larger events, and all the text', async t => {
  const server = await emulator(t, { speed: 2000 })
  const body = { prompt: 'x', max_tokens: 60_000, ignore_eos: true, stream: true }
  const text = await new Promise<string>((resolve, reject) => {
    httpRequest(`${server.url}/v1/completions`, { method: 'POST', agent: false }, res => {
      let text = ''
      res.setEncoding('utf8')
      res.once('data', (first: string) => {
        text += first
        res.pause()
        void eventually(t, 'the engine is done while the client reads nothing', () => server.control.state().counters.generatedTokens === 60_000).then(() => {
          res.on('data', (chunk: string) => { text += chunk })
          res.resume()
        })
      })
      res.on('end', () => { resolve(text) })
    }).on('error', reject).end(JSON.stringify(body))
  })
  const chunks = events(text)
  t.ok(chunks.length < 60_000, `${chunks.length} events`)
  t.equal(chunks.map(chunk => chunk.choices[0]?.text).join('').split(' ').length - 1, 60_000)
})

t.test('scripted faults', async t => {
  const server = await emulator(t)
  const { setFaults, state } = server.control
  const body = { prompt: 'Once upon a time', max_tokens: 8, ignore_eos: true, stream: true }
  const url = `${server.url}/v1/completions`
  const healthy = await post(url, body)
  const withFault = async (rule: object, quietMs = 2000): Promise<Answer> => {
    await setFaults({ rules: [{ afterTokens: 2, ...rule } as never] })
    return await post(url, body, { quietMs })
  }

  t.match(await withFault({ kind: 'status', status: 429, retryAfterS: 7 }), { status: 429, headers: { 'retry-after': '7' }, text: /"code":429/ })
  t.match(await withFault({ kind: 'reset-before-headers' }), { status: 0, end: 'ECONNRESET' })
  t.match(await withFault({ kind: 'reset-after-headers' }), { status: 200, text: '', end: 'ECONNRESET' })
  t.match(await withFault({ kind: 'hang-before-headers' }, 300), { status: 0, end: 'quiet' })
  t.match(await withFault({ kind: 'hang-after-headers' }, 300), { status: 200, text: '', end: 'quiet' })
  const stalled = await withFault({ kind: 'stall' }, 300)
  t.equal(stalled.end, 'quiet')
  t.equal(events(stalled.text).length, 2)
  const reset = await withFault({ kind: 'reset-stream' })
  t.equal(reset.end, 'ECONNRESET')
  t.equal(events(reset.text).length, 2)
  const halved = await withFault({ kind: 'cut-mid-event', cut: 'close' })
  t.equal(halved.end, 'ECONNRESET', 'the body had no end')
  t.not(halved.text.endsWith('\n\n'), true)
  t.equal((await withFault({ kind: 'cut-mid-utf8' })).bytes.at(-1), 0xc3, 'the first byte of é')
  t.match(await withFault({ kind: 'garbage' }), { end: 'end', text: /\{\0/ })
  const errorFirst = await withFault({ kind: 'error-first', status: 503 })
  t.match([errorFirst.status, events(errorFirst.text)], [200, [{ error: { code: 503 } }]])
  const errorLater = await withFault({ kind: 'error-event' })
  t.equal(events(errorLater.text).length, 3)
  t.ok(errorLater.text.endsWith('[DONE]\n\n'))
  const early = await withFault({ kind: 'end-early' })
  t.equal(early.end, 'end')
  t.equal(events(early.text).length, 2)
  const unended = await withFault({ kind: 'no-done' })
  t.equal(events(unended.text).length, events(healthy.text).length)
  t.notMatch(unended.text, /DONE/)
  t.same(Object.keys(state().faultsApplied).sort(), [...COURSE_FAULTS].sort(), 'every kind was tried')
  await setFaults({})
  t.match(await post(url, body), { status: 200, end: 'end' })
  await eventually(t, 'nothing is left inside', () => state().running + state().waiting + state().requests.active === 0)
})

t.test('scripted shapes change bytes, not events', async t => {
  const server = await emulator(t)
  const body = { prompt: 'Shapes', max_tokens: 40, ignore_eos: true, stream: true }
  const headers = { 'x-request-id': 'same' }
  const ask = (): Promise<Answer> => post(`${server.url}/v1/completions`, body, { headers })
  const plain = (await ask()).text
  const shape = async (kind: string): Promise<Answer> => {
    await server.control.setFaults({ rules: [{ kind: kind as never }] })
    return await ask()
  }
  const created = (text: string): string => text.replaceAll(/"created":\d+/g, '')
  const oneByte = await shape('one-byte-chunks')
  t.equal(created(oneByte.text), created(plain))
  t.ok(oneByte.chunks > oneByte.bytes.length / 4, `${oneByte.chunks} chunks of ${oneByte.bytes.length} bytes`)
  t.equal(created((await shape('split-utf8')).text), created(plain))
  t.equal(created((await shape('crlf')).text.replaceAll('\r\n', '\n')), created(plain))
  t.equal(created((await shape('comments')).text.replaceAll(': ping\n\n', '')), created(plain))
  const big = await shape('big-events')
  // Events of this size are merged when the client does not keep up.
  const words = (text: string): string => events(text).map(chunk => chunk.choices[0]?.text).join('')
  t.equal(words(big.text), words(plain))
  t.ok(big.text.split('\n\n').slice(0, -2).every(event => event.length > 1 << 20))
})

t.test('faults over HTTP: slow, draining, refused', async t => {
  const server = await emulator(t)
  const url = `${server.url}/v1/completions`
  const plan = (value: unknown): Promise<Answer> => post(`${server.url}/emulator/faults`, value)
  t.match(await plan({ draining: true }), { status: 200 })
  t.match(await post(url, { prompt: 'x' }), { status: 503 })
  t.match(await plan({ rules: [{ kind: 'nonsense' }] }), { status: 400, text: /nonsense/ })
  t.match(await plan({ slowFactor: 4 }), { status: 200 })
  t.equal((await post(url, { prompt: 'x' })).status, 200)
  await plan({ refuse: { how: 'reset' } })
  t.equal((await post(url, { prompt: 'x' })).end, 'ECONNRESET')
  await server.control.setFaults({ refuse: { how: 'closed' } })
  t.equal((await post(url, { prompt: 'x' })).end, 'ECONNREFUSED')
  await server.control.setFaults({ refuse: { how: 'closed', forMs: 20 } })
  let answer = await post(url, { prompt: 'x' })
  for (let tries = 0; answer.end === 'ECONNREFUSED' && tries < 1000; tries++) answer = await post(url, { prompt: 'x' })
  t.equal(answer.status, 200, 'opens again by itself')
  t.match(await (await fetch(`${server.url}/emulator/state`)).json(), { engine: 'vllm', running: 0, requests: { completed: 2 } })
})
