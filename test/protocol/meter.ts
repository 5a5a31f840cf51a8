import t from 'tap'
import { createStreamMeter, MAX_EVENT_BYTES, readAnswer, type Dialect, type StreamMeter } from '../../src/protocol/index.js'
import { feed } from '../fuzz/meter.js'

const meter = (dialect: Dialect, text: string, stripUsage = false): StreamMeter & { passed: string } => {
  const made = createStreamMeter(dialect, { stripUsage })
  const passed = feed(made, [Buffer.from(text)]).toString()
  return Object.assign(made, { passed })
}
const sse = (...events: unknown[]): string => events.map(event => `data: ${typeof event === 'string' ? event : JSON.stringify(event)}\n\n`).join('')
const delta = (delta: object, finish: string | null = null): object => ({ id: 'chatcmpl-1', object: 'chat.completion.chunk', choices: [{ index: 0, delta, logprobs: null, finish_reason: finish }], usage: null })
const USAGE = { prompt_tokens: 5, total_tokens: 8, completion_tokens: 3, prompt_tokens_details: { cached_tokens: 4 } }

t.test('R26: vLLM chat: role, reasoning, content, tools, finish, usage', async t => {
  const stream = sse(delta({ role: 'assistant', content: '' }), delta({ reasoning: 'hm' }), delta({ reasoning_content: 'hm' }), delta({ content: 'a' }),
    delta({ tool_calls: [{ index: 0, function: { arguments: '{' } }] }), delta({ content: null, tool_calls: [] }), delta({ content: 'z' }, 'stop'), { choices: [], usage: USAGE }, '[DONE]')
  t.match(meter('openai-chat', `: keep-alive\n\n${stream}`), {
    events: 9, tokenEvents: 5, firstEventIsError: false, finished: true, error: undefined, usage: { promptTokens: 5, outputTokens: 3, cachedTokens: 4 },
  })
})

t.test('an end without a terminal sign is a truncation', async t => {
  t.equal(meter('openai-chat', sse(delta({ content: 'a' }))).finished, false)
  t.equal(meter('openai-chat', sse(delta({ content: 'a' }, 'length'))).finished, true)
  t.equal(meter('openai-chat', 'data: [DONE]').finished, true, 'the last empty line may be missing')
  const two = createStreamMeter('openai-chat', { stripUsage: false, choices: 2 })
  two.push(Buffer.from(sse(delta({}, 'stop'))))
  t.equal(two.finished, false, 'one choice of two')
  two.push(Buffer.from(sse(delta({}, 'stop'))))
  t.equal(two.finished, true)
  t.equal(meter('openai-responses', sse({ type: 'response.output_text.done' })).finished, false)
  t.equal(meter('tgi-generate', sse({ token: { id: 1, text: 'a' }, generated_text: null })).finished, false)
})

t.test('other dialects', async t => {
  t.match(meter('openai-completions', sse({ choices: [{ index: 0, text: '' }] }, { choices: [{ index: 0, text: 'a' }] }, { choices: [{ index: 0, text: '', finish_reason: 'stop' }] }, '[DONE]')), { tokenEvents: 1, events: 4, finished: true })
  t.match(meter('tgi-generate', 'data:{"token":{"id":1,"text":"a","special":false},"generated_text":null,"details":null}\n\ndata: {"token":{"id":2,"text":"</s>","special":true},"generated_text":"a","details":{"finish_reason":"eos_token","generated_tokens":2,"input_length":9}}\n\n'),
    { tokenEvents: 2, finished: true, usage: { promptTokens: 9, outputTokens: 2 } })
  t.match(meter('sglang-generate', sse({ text: 'a', output_ids: [1], meta_info: { finish_reason: null, prompt_tokens: 3, completion_tokens: 1, cached_tokens: 0 } }, { text: 'ab', meta_info: { finish_reason: { type: 'stop' }, completion_tokens: 2 } }, '[DONE]')),
    { tokenEvents: 2, finished: true, usage: { promptTokens: 3, outputTokens: 2, cachedTokens: 0 } })
  const named = (name: string, data: object): string => `event: ${name}\ndata: ${JSON.stringify({ type: name, ...data })}\n\n`
  t.match(meter('openai-responses', named('response.created', { response: { usage: null, error: null } }) + named('response.output_text.delta', { delta: 'a' }) + named('response.output_text.delta', { delta: '' }) +
    named('response.completed', { response: { usage: { input_tokens: 1, output_tokens: 2, input_tokens_details: { cached_tokens: 1 } } } })),
  { events: 4, tokenEvents: 1, finished: true, usage: { promptTokens: 1, outputTokens: 2, cachedTokens: 1 } })
  t.match(meter('anthropic-messages', named('message_start', { message: { usage: { input_tokens: 10, cache_read_input_tokens: 90, output_tokens: 1 } } }) + named('ping', {}) + named('content_block_start', { content_block: { text: '' } }) +
    named('content_block_delta', { delta: { type: 'text_delta', text: 'a' } }) + named('content_block_delta', { delta: { type: 'signature_delta', signature: 'x' } }) +
    named('message_delta', { delta: { stop_reason: 'end_turn' }, usage: { output_tokens: 7 } }) + named('message_stop', {})),
  { events: 7, tokenEvents: 1, finished: true, error: undefined, usage: { promptTokens: 100, cachedTokens: 90, outputTokens: 7 } })
})

t.test('R15: an error inside a 200 stream, first or later, in each shape', async t => {
  t.match(meter('openai-chat', sse({ error: { message: 'The request queue is full.', code: 503 } })), { firstEventIsError: true, tokenEvents: 0, error: { status: 503, overloaded: true } })
  t.match(meter('openai-chat', `: hello\n\n${sse({ object: 'error', message: 'm', code: 400 })}`), { firstEventIsError: true, error: { message: 'm', status: 400, overloaded: false } })
  t.match(meter('openai-chat', sse(delta({ content: 'a' }), { error: 'died' }, '[DONE]')), { firstEventIsError: false, tokenEvents: 1, error: { message: 'died', status: 500 } })
  t.match(meter('tgi-generate', sse({ error: 'Model is overloaded', error_type: 'overloaded' })), { firstEventIsError: true, error: { status: 429, overloaded: true } })
  t.match(meter('anthropic-messages', 'event: error\ndata: {"type":"error","error":{"type":"overloaded_error","message":"x"}}\n\n'), { firstEventIsError: true, error: { overloaded: true } })
  t.match(meter('anthropic-messages', 'event: error\ndata: it broke\n\n'), { firstEventIsError: true, error: { message: 'it broke' } })
  t.match(meter('openai-responses', sse({ type: 'response.failed', response: { error: { code: 'server_error', message: 'x' } } })), { firstEventIsError: true, finished: true, error: { message: 'x' } })
  t.match(meter('openai-chat', sse({ error: null, choices: [{ delta: { content: 'a' } }] })), { firstEventIsError: false, tokenEvents: 1, error: undefined })
})

t.test('content that looks like structure is content', async t => {
  for (const content of ['"usage":{"completion_tokens":9}', '{"error":"x"}', '\\"},"error":{"message":"', 'data: [DONE]\n\n', '"choices":[]']) {
    t.match(meter('openai-chat', sse(delta({ content }))), { tokenEvents: 1, events: 1, error: undefined, usage: undefined, finished: false }, content)
  }
})

t.test('S20: absurd usage is no usage', async t => {
  t.equal(meter('openai-chat', sse({ choices: [], usage: { prompt_tokens: -1, completion_tokens: 1e300 } })).usage, undefined)
  t.strictSame(meter('openai-chat', sse({ choices: [], usage: { prompt_tokens: 1.5, completion_tokens: 2 } })).usage, { outputTokens: 2 })
  t.equal(meter('openai-chat', 'data: {"choices":[],"usage":{"prompt_tokens":"5","completion_tokens":null}}\n\n').usage, undefined)
})

t.test('the usage event is stripped, alone and whole', async t => {
  const before = sse(delta({ content: 'a' }), delta({}, 'stop'))
  const usage = sse({ choices: [], usage: USAGE })
  const stripped = meter('openai-chat', `${before}${usage}${sse('[DONE]')}`, true)
  t.equal(stripped.passed, before + sse('[DONE]'))
  t.match(stripped.usage, { outputTokens: 3 })
  const whole = createStreamMeter('openai-chat', { stripUsage: true })
  t.equal(whole.push(Buffer.from(before)), undefined, 'what came, where nothing is stripped')
  t.strictSame(whole.push(Buffer.from(usage.slice(0, 20))), [], 'an unfinished event is held')
  t.equal(whole.midEvent, false)
  t.equal(Buffer.concat(whole.push(Buffer.from(usage.slice(20) + 'data: [D'))!).length, 0)
  t.equal(Buffer.concat(whole.push(Buffer.from('ONE]\n\n'))!).toString(), 'data: [DONE]\n\n')
  const cut = createStreamMeter('openai-chat', { stripUsage: true })
  cut.push(Buffer.from(before.slice(0, -10)))
  t.equal(cut.flush()?.toString(), before.slice(before.indexOf('\n\n') + 2, -10), 'what was held comes at the end')
})

t.test('midEvent tells that bytes of an unfinished event went out', async t => {
  const plain = createStreamMeter('openai-chat', { stripUsage: false })
  plain.push(Buffer.from(sse(delta({ content: 'a' })) + 'data: {"cho'))
  t.equal(plain.midEvent, true)
  plain.push(Buffer.from('ices":[]}\n\n'))
  t.equal(plain.midEvent, false)
})

t.test('R21, S20: large and endless events', async t => {
  const large = sse(delta({ content: 'x'.repeat(1 << 20) }))
  for (const stripUsage of [false, true]) {
    const made = createStreamMeter('openai-chat', { stripUsage })
    const bytes = Buffer.from(large + sse('[DONE]'))
    const chunks = Array.from({ length: Math.ceil(bytes.length / 1000) }, (_, k) => bytes.subarray(k * 1000, k * 1000 + 1000))
    t.ok(feed(made, chunks).equals(bytes))
    t.match(made, { events: 2, tokenEvents: 1, finished: true })

    const endless = createStreamMeter('openai-chat', { stripUsage })
    const piece = Buffer.alloc(1 << 20, 0x61)
    let passed = 0
    const push = (bytes: Buffer): void => { passed += (endless.push(bytes) ?? [bytes]).reduce((sum, part) => sum + part.length, 0) }
    push(Buffer.from('data: "'))
    for (let sent = 0; sent < 3 * MAX_EVENT_BYTES; sent += piece.length) push(piece)
    t.match(endless, { events: 0, firstEventIsError: undefined, midEvent: true })
    push(Buffer.from('"\n\n' + sse(delta({ content: 'a' }))))
    t.match(endless, { events: 2, tokenEvents: 1, firstEventIsError: false, midEvent: false }, 'passed on unjudged, and metering goes on')
    t.equal(passed, 3 * MAX_EVENT_BYTES + 10 + sse(delta({ content: 'a' })).length)
  }
})

t.test('R27: whole answers', async t => {
  const read = (dialect: Dialect, answer: unknown) => readAnswer(dialect, Buffer.from(typeof answer === 'string' ? answer : JSON.stringify(answer)))
  t.strictSame(read('openai-chat', { choices: [{ message: { content: '"usage":{' } }], usage: USAGE }), { complete: true, usage: { promptTokens: 5, cachedTokens: 4, outputTokens: 3 }, error: undefined })
  t.strictSame(read('openai-responses', { usage: { input_tokens: 5, output_tokens: 3 }, error: null }).usage, { promptTokens: 5, outputTokens: 3 })
  t.strictSame(read('anthropic-messages', { content: [{ input: { usage: { input_tokens: 99 } } }], usage: { input_tokens: 5, output_tokens: 3 } }).usage, { promptTokens: 5, outputTokens: 3 })
  t.strictSame(read('tgi-generate', [{ generated_text: 'a', details: { generated_tokens: 3, input_length: 5 } }]).usage, { promptTokens: 5, outputTokens: 3 })
  t.strictSame(read('tgi-generate', { generated_text: 'a' }), { complete: true, usage: undefined, error: undefined })
  t.strictSame(read('sglang-generate', { text: 'a', meta_info: { prompt_tokens: 5, completion_tokens: 3 } }).usage, { promptTokens: 5, outputTokens: 3 })
  t.strictSame(read('scored', { data: [], usage: { prompt_tokens: 5, total_tokens: 5 } }).usage, { promptTokens: 5 })
  t.match(read('openai-chat', { error: { message: 'x', code: 503 } }), { complete: true, error: { status: 503, overloaded: true } })
  t.equal(read('openai-chat', '{"choices":[').complete, false)
  t.equal(read('openai-chat', '').complete, false)
  t.equal(readAnswer('openai-chat', [Buffer.from('{"usage":{"comple'), Buffer.from('tion_tokens":3}}')]).usage?.outputTokens, 3)
})

t.test('streams that begin one after another do not take each other\'s events for their own', (t) => {
  // Of one length before the text and behind it, so that in the place of one frame the other would fit.
  const events = {
    'openai-chat': Buffer.from('data: {"choices":[{"delta":{"content":"a"}}]}\n\n'),
    'openai-completions': Buffer.from('data: {"choices":[{            "text":"a" }]}\n\n'),
  }
  t.equal(events['openai-chat'].indexOf('"a"'), events['openai-completions'].indexOf('"a"'))
  t.equal(events['openai-chat'].length, events['openai-completions'].length)
  const dialects = ['openai-chat', 'openai-completions'] as const
  const streams = Array.from({ length: 200 }, (_, i) => ({ own: events[dialects[i % 2]!], others: events[dialects[(i + 1) % 2]!], meter: createStreamMeter(dialects[i % 2]!, { stripUsage: false }) }))
  for (const { meter, own } of [...streams, ...streams]) meter.push(own)
  for (const { meter, others } of streams) meter.push(others)
  t.ok(streams.every(({ meter }) => meter.tokenEvents === 2 && meter.events === 3))
  t.end()
})
