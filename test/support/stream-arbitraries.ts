import fc from 'fast-check'
import type { Dialect } from '../../src/protocol/index.js'

export const STREAMED_DIALECTS: readonly Dialect[] =
  ['openai-chat', 'openai-completions', 'openai-responses', 'anthropic-messages', 'tgi-generate', 'sglang-generate']

/** Texts that a scanner without a parser's care would take for structure. */
export const treacherous = fc.oneof(
  { weight: 3, arbitrary: fc.string({ unit: 'grapheme', maxLength: 12 }) },
  {
    weight: 2,
    arbitrary: fc.constantFrom('', '"usage":{"completion_tokens":9}', '{"error":"x"}', '"error":{', '\\"', '\\\\', '\\', 'data: [DONE]\n\n', '\n\n', '\r\n\r\n',
      'data: x', '[DONE]', ': c', '"choices":[]', '}]}', '\u0000\u001f', '日本語🙂', '\u2028', '\ud800', 'finish_reason', 'event: error', '\ufeff'),
  },
)

/** Anything where a member's value was expected. */
const odd = fc.oneof(
  fc.constantFrom(null, true, false, 0, -1, 1.5, 1e21, '', [], {}, [[]], [{}], { error: 'nested' }, [null], [''], { a: { b: [1, 2] } }), treacherous,
)
const or = <T>(usual: fc.Arbitrary<T>): fc.Arbitrary<unknown> => fc.oneof({ weight: 6, arbitrary: usual }, { weight: 1, arbitrary: odd })
const some = (model: Record<string, fc.Arbitrary<unknown>>): fc.Arbitrary<Record<string, unknown>> =>
  fc.record(Object.fromEntries(Object.entries(model).map(([name, usual]) => [name, or(usual)])), { requiredKeys: [] })

const tokens = fc.oneof(fc.nat(5000), fc.constantFrom(1e9, 1e9 + 1, -1, 1.5, 1e300))
const error = fc.oneof(treacherous, some({ message: treacherous, type: fc.constantFrom('overloaded_error', 'BadRequestError', 'x'), code: fc.constantFrom(429, 503, 400, '503', 'y', null) }))
const openaiUsage = some({ prompt_tokens: tokens, completion_tokens: tokens, total_tokens: tokens, prompt_tokens_details: some({ cached_tokens: tokens }) })
const finish = fc.constantFrom(null, null, 'stop', 'length')
const toolCalls = fc.array(some({ index: fc.nat(3), id: treacherous, function: some({ name: treacherous, arguments: treacherous }) }), { maxLength: 2 })
const delta = some({ role: fc.constant('assistant'), content: treacherous, reasoning: treacherous, reasoning_content: treacherous, refusal: fc.constant(null), tool_calls: toolCalls })
const tokenIds = fc.array(fc.nat(50000), { maxLength: 3 })
const rarely = <T>(value: fc.Arbitrary<T>): fc.Arbitrary<T | null> => fc.option(value, { freq: 2 })
const openaiExtras = { id: fc.constant('chatcmpl-1'), object: fc.constantFrom('chat.completion.chunk', 'error'), model: treacherous, usage: fc.option(openaiUsage), error: rarely(error) }
const anthropicUsage = some({ input_tokens: tokens, output_tokens: tokens, cache_read_input_tokens: tokens, cache_creation_input_tokens: tokens })
const responsesUsage = some({ input_tokens: tokens, output_tokens: tokens, input_tokens_details: some({ cached_tokens: tokens }) })

const PAYLOADS: Readonly<Record<string, fc.Arbitrary<unknown>>> = {
  'openai-chat': some({ ...openaiExtras, choices: fc.array(some({ index: fc.nat(2), delta, logprobs: odd, finish_reason: finish, token_ids: tokenIds }), { maxLength: 2 }) }),
  'openai-completions': some({ ...openaiExtras, choices: fc.array(some({ index: fc.nat(2), text: treacherous, finish_reason: finish, token_ids: tokenIds }), { maxLength: 2 }) }),
  'openai-responses': some({
    type: fc.constantFrom('response.output_text.delta', 'response.reasoning_text.delta', '.delta', 'delta', 'response.completed', 'response.failed', 'response.created', 'error'),
    delta: treacherous, response: some({ usage: fc.option(responsesUsage), error: rarely(error) }), error: rarely(error), sequence_number: fc.nat(),
  }),
  'anthropic-messages': some({
    type: fc.constantFrom('message_start', 'content_block_start', 'content_block_delta', 'ping', 'message_delta', 'message_stop', 'error'),
    delta: some({ type: fc.constant('text_delta'), text: treacherous, thinking: treacherous, partial_json: treacherous, signature: treacherous }),
    message: some({ usage: anthropicUsage }), usage: anthropicUsage, error: rarely(error),
  }),
  'tgi-generate': some({
    index: fc.nat(), token: some({ id: fc.nat(), text: treacherous, special: fc.boolean() }), generated_text: fc.option(treacherous),
    details: fc.option(some({ finish_reason: finish, generated_tokens: tokens, input_length: tokens })), error: rarely(error), error_type: rarely(fc.constant('overloaded')),
  }),
  'sglang-generate': some({
    text: treacherous, output_ids: tokenIds, error: rarely(error),
    meta_info: some({ finish_reason: fc.option(some({ type: finish })), prompt_tokens: tokens, completion_tokens: tokens, cached_tokens: tokens }),
  }),
}

/** JSON text of a value, spelled in one of the ways that writers have. */
function spelled (value: unknown, style: number): string {
  switch (style) {
    case 1: return JSON.stringify(value, null, 1)
    case 2: return JSON.stringify(value).replace(/[\u0080-\uffff]/g, c => `\\u${c.charCodeAt(0).toString(16).padStart(4, '0')}`)
    case 3: return ` ${JSON.stringify(value)}\t `
    default: return JSON.stringify(value)
  }
}

const junk = fc.constantFrom('{"choices":', '{', 'null', '[]', '"error"', '1', '{"a":1}}', '<html>', '{"choices":[{"delta":{"content":"x}}]}', '{"error":"a"', '\ufeff{}', '{}{}', '{"usage":{"prompt_tokens":01}}')

const event = (dialect: Dialect): fc.Arbitrary<readonly string[]> => {
  const data = fc.tuple(fc.oneof({ weight: 8, arbitrary: PAYLOADS[dialect]!.map(value => [value]) }, { weight: 1, arbitrary: junk }), fc.nat(3))
    .map(([value, style]) => (Array.isArray(value) ? spelled(value[0], style) : value as string).split(/\r\n|\r|\n/))
  const prefix = fc.constantFrom('data: ', 'data: ', 'data: ', 'data:')
  const extra = fc.constantFrom('event: message', 'event: error', 'event:error', 'id: 1', ': comment', ':', 'data', 'dat', 'datas: x', 'retry: 5', 'event')
  return fc.oneof(
    { weight: 8, arbitrary: fc.tuple(data, prefix).map(([lines, start]) => lines.map(line => start + line)) },
    { weight: 2, arbitrary: fc.tuple(data, prefix, extra, extra).map(([lines, start, before, after]) => [before, ...lines.map(line => start + line), after]) },
    { weight: 1, arbitrary: fc.constantFrom(['data: [DONE]'], ['data:[DONE]'], [': keep-alive'], [], ['event: error'], ['event: error', 'data: broken'], ['data:'], ['data: ', 'data: ']) },
    {
      weight: 2,
      arbitrary: openaiUsage.map(usage => [`data: ${JSON.stringify({ choices: [], usage })}`]),
    },
  )
}

/** A token event as engines repeat it, now and then with a difference that matters. */
const repeatedEvent = (dialect: Dialect): fc.Arbitrary<readonly string[]> => {
  const wrap = (content: string, odd: number): unknown => {
    const finish = odd === 0 ? 'stop' : null
    switch (dialect) {
      case 'openai-chat': return { id: 'a', choices: [{ index: 0, delta: { content, ...(odd === 1 && { reasoning: 'r' }) }, finish_reason: finish }], usage: odd === 2 ? { completion_tokens: 4 } : null }
      case 'openai-completions': return { id: 'a', choices: [{ index: 0, text: content, finish_reason: finish }], ...(odd === 1 && { error: 'x' }) }
      case 'openai-responses': return { type: odd === 1 ? 'response.output_text.done' : 'response.output_text.delta', delta: content, ...(odd === 0 && { error: {} }) }
      case 'anthropic-messages': return { type: 'content_block_delta', delta: { type: 'text_delta', text: content, ...(odd === 1 && { thinking: 't' }) } }
      case 'tgi-generate': return { token: { text: content }, generated_text: finish }
      default: return { text: content, meta_info: { finish_reason: finish, ...(odd === 2 && { completion_tokens: 3 }) } }
    }
  }
  return fc.tuple(treacherous, fc.nat(20)).map(([content, odd]) => [`data: ${JSON.stringify(wrap(content, odd))}`])
}

/** A whole stream of a dialect: mostly as engines write it, some of it as none should. */
export const streamOf = (dialect: Dialect): fc.Arbitrary<Buffer> => {
  const newline = fc.constantFrom('\n', '\n', '\n', '\r\n', '\r')
  return fc.record({ events: fc.array(fc.oneof(event(dialect), repeatedEvent(dialect)), { maxLength: 6 }), newline, bom: fc.integer({ min: 0, max: 9 }), cut: fc.integer({ min: 0, max: 9 }), mixed: fc.boolean() })
    .map(({ events, newline, bom, cut, mixed }) => {
      const ends = mixed && newline !== '\n' ? [newline, '\n'] : [newline]
      let n = 0
      const end = (): string => ends[n++ % ends.length]!
      const text = (bom === 0 ? '\ufeff' : '') + events.map(lines => lines.map(line => line + end()).join('') + end()).join('')
      const bytes = Buffer.from(text)
      return cut === 0 ? bytes.subarray(0, Math.max(0, bytes.length - 3)) : bytes
    })
}

/** The same with some bytes changed, doubled or lost. */
export const damaged = (bytes: fc.Arbitrary<Buffer>): fc.Arbitrary<Buffer> =>
  fc.tuple(bytes, fc.array(fc.tuple(fc.nat(), fc.constantFrom(...Buffer.from('"\\{}[]:,\n\r 0a\u0001d')), fc.nat(2)), { minLength: 1, maxLength: 4 }))
    .map(([whole, changes]) => {
      let result = whole
      for (const [where, byte, how] of changes) {
        const at = where % (result.length + 1)
        result = Buffer.concat([result.subarray(0, at), how === 1 ? Buffer.alloc(0) : Buffer.from([byte]), result.subarray(how === 0 ? at : at + 1)])
      }
      return result
    })

/** Cuts as sizes of successive chunks, repeated to the end: 1-byte chunks included. */
export const chunkSizes = fc.oneof(fc.constantFrom([1], [2], [3], [100000]), fc.array(fc.integer({ min: 1, max: 120 }), { minLength: 1, maxLength: 8 }))

export function chunksOf (bytes: Buffer, sizes: readonly number[]): Buffer[] {
  const chunks = []
  for (let at = 0, k = 0; at < bytes.length; k++) {
    const size = sizes[k % sizes.length]!
    chunks.push(bytes.subarray(at, at + size))
    at += size
  }
  return chunks
}
