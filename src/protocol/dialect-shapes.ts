import {
  CACHED, CACHE_WRITTEN, DELTA_EVENT, ERROR, FINISH, LAST, NO_CHOICES, OUTPUT, PROMPT, TOKEN, USAGE,
  count, each, filled, object, present, text, words, type Shape,
} from './event-shape.js'
import type { Dialect } from './types.js'

/** What is looked for in one event of a stream of the dialect. */
export interface EventShape {
  readonly shape: Shape
  /** Signs that together make a token event. */
  readonly token: number
}

const error = present(ERROR)
/** Old vLLM, SGLang, TensorRT-LLM: the error is the top level itself. */
const flatError = words({ error: ERROR })

const openaiUsage = object({
  prompt_tokens: count(PROMPT),
  completion_tokens: count(OUTPUT),
  prompt_tokens_details: object({ cached_tokens: count(CACHED) }),
}, USAGE)
const responsesUsage = object({
  input_tokens: count(PROMPT),
  output_tokens: count(OUTPUT),
  input_tokens_details: object({ cached_tokens: count(CACHED) }),
}, USAGE)
const anthropicUsage = object({
  input_tokens: count(PROMPT),
  output_tokens: count(OUTPUT),
  cache_read_input_tokens: count(CACHED),
  cache_creation_input_tokens: count(CACHE_WRITTEN),
}, USAGE)
const tgiDetails = object({ generated_tokens: count(OUTPUT), input_length: count(PROMPT) }, USAGE)
const sglangMeta = object({
  prompt_tokens: count(PROMPT),
  completion_tokens: count(OUTPUT),
  cached_tokens: count(CACHED),
  finish_reason: present(FINISH),
}, USAGE)

const chatDelta = object({
  content: text(TOKEN),
  reasoning: text(TOKEN),
  reasoning_content: text(TOKEN),
  refusal: text(TOKEN),
  tool_calls: filled(TOKEN),
  function_call: filled(TOKEN),
})

const RESPONSE_TYPES = words({
  '*.delta': DELTA_EVENT, error: ERROR, 'response.completed': LAST, 'response.incomplete': LAST, 'response.failed': LAST,
})

/** Generated text, reasoning and tool arguments are tokens; roles, empty deltas, pings and usage are not. */
export const EVENT_SHAPES: Readonly<Record<Dialect, EventShape>> = {
  'openai-chat': {
    token: TOKEN,
    shape: object({
      choices: each(object({ delta: chatDelta, finish_reason: present(FINISH), token_ids: filled(TOKEN) }), NO_CHOICES),
      usage: openaiUsage, error, object: flatError,
    }),
  },
  'openai-completions': {
    token: TOKEN,
    shape: object({
      choices: each(object({ text: text(TOKEN), finish_reason: present(FINISH), token_ids: filled(TOKEN) }), NO_CHOICES),
      usage: openaiUsage, error, object: flatError,
    }),
  },
  'openai-responses': {
    token: TOKEN | DELTA_EVENT,
    shape: object({
      type: RESPONSE_TYPES, delta: text(TOKEN), response: object({ usage: responsesUsage, error }), error, object: flatError,
    }),
  },
  'anthropic-messages': {
    token: TOKEN | DELTA_EVENT,
    shape: object({
      type: words({ content_block_delta: DELTA_EVENT, message_stop: LAST, error: ERROR }),
      delta: object({ text: text(TOKEN), thinking: text(TOKEN), partial_json: text(TOKEN) }),
      message: object({ usage: anthropicUsage }), usage: anthropicUsage, error,
    }),
  },
  'tgi-generate': {
    token: TOKEN,
    shape: object({ token: filled(TOKEN), generated_text: present(LAST), details: tgiDetails, error }),
  },
  'sglang-generate': {
    token: TOKEN,
    shape: object({ text: text(TOKEN), output_ids: filled(TOKEN), meta_info: sglangMeta, error, object: flatError }),
  },
  scored: { token: TOKEN, shape: object({ usage: openaiUsage, error, object: flatError }) },
}

const tgiAnswer = object({ generated_text: present(LAST), details: tgiDetails, error })
const sglangAnswer = object({ meta_info: sglangMeta, error, object: flatError })

/** What is looked for in a whole JSON answer; TGI and SGLang may answer with a list, told apart by its first byte. */
export const ANSWER_SHAPES: Readonly<Record<Dialect, { readonly single: Shape, readonly list: Shape | undefined }>> = {
  'openai-chat': { single: object({ usage: openaiUsage, error, object: flatError }), list: undefined },
  'openai-completions': { single: object({ usage: openaiUsage, error, object: flatError }), list: undefined },
  'openai-responses': { single: object({ usage: responsesUsage, error }), list: undefined },
  'anthropic-messages': { single: object({ usage: anthropicUsage, type: words({ error: ERROR }), error }), list: undefined },
  'tgi-generate': { single: tgiAnswer, list: each(tgiAnswer) },
  'sglang-generate': { single: sglangAnswer, list: each(sglangAnswer) },
  scored: { single: object({ usage: openaiUsage, error, object: flatError }), list: undefined },
}
