import type { Choice, Generation, Piece, Renderer } from '../generation.js'
import { END_TOKEN } from '../tokenizer.js'

const STREAM_HEADERS = { 'content-type': 'text/event-stream', 'cache-control': 'no-cache', 'x-accel-buffering': 'no', 'x-compute-type': 'cpu+emulated' }

function usage (generation: Generation): string {
  const prompt = generation.promptTokens
  const completion = generation.completionTokens
  return `{"prompt_tokens":${prompt},"completion_tokens":${completion},"total_tokens":${prompt + completion}}`
}

/** TGI's own names for the ends of an answer. */
function nativeFinish (choice: Choice): string {
  if (choice.plan.finish === 'length') return 'length'
  return choice.plan.stopped === undefined ? 'eos_token' : 'stop_sequence'
}

export interface NativeOptions {
  readonly details: boolean
  readonly returnFullText: boolean
  readonly promptText: string
  /** The body of `/` is a list. */
  readonly asList: boolean
}

/** `/generate` and `/generate_stream`: one event a token, the last with the whole text, no terminator. */
export class NativeRenderer implements Renderer {
  readonly streamHeaders = STREAM_HEADERS
  readonly merges = false
  readonly terminator = ''
  readonly #options: NativeOptions

  constructor (options: NativeOptions) {
    this.#options = options
  }

  delta (choice: Choice, piece: Piece): string {
    const special = choice.tokens > choice.plan.words
    const id = special ? END_TOKEN : piece.ids[0] ?? END_TOKEN
    const text = special ? '</s>' : piece.json
    const generated = choice.done ? JSON.stringify(this.#text(choice)) : 'null'
    const details = choice.done && this.#options.details
      ? `{"finish_reason":"${nativeFinish(choice)}","generated_tokens":${choice.tokens},"seed":null,"input_length":${choice.plan.promptIds.length}}`
      : 'null'
    return `data: {"index":${choice.tokens},"token":{"id":${id},"text":"${text}","logprob":-0.25,"special":${special}},"generated_text":${generated},"details":${details}}\n\n`
  }

  trailer (): string {
    return ''
  }

  errorEvent (status: number, message: string): string {
    return tgiErrorEvent(status === 429 ? 'overloaded' : 'generation', message)
  }

  body (generation: Generation): { json: string, headers: Readonly<Record<string, string>> } {
    const choice = generation.choices[0] as Choice
    const details = this.#options.details
      ? {
          details: {
            finish_reason: nativeFinish(choice),
            generated_tokens: choice.tokens,
            seed: null,
            prefill: [],
            tokens: choice.ids.map(id => ({ id, text: '', logprob: -0.25, special: false }))
          }
        }
      : {}
    const answer = { generated_text: this.#text(choice), ...details }
    const { sequence } = choice
    const ms = (value: number): string => String(Math.max(0, Math.round(value)))
    const headers: Record<string, string> = { 'x-compute-type': 'cpu+emulated', 'x-compute-characters': String(this.#options.promptText.length) }
    if (sequence !== undefined) {
      const { submittedAtMs, startedAtMs, endedAtMs } = sequence
      headers['x-total-time'] = ms(endedAtMs - submittedAtMs)
      headers['x-validation-time'] = '0'
      headers['x-queue-time'] = ms(startedAtMs - submittedAtMs)
      headers['x-inference-time'] = ms(endedAtMs - startedAtMs)
      headers['x-time-per-token'] = ms((endedAtMs - startedAtMs) / choice.tokens)
      headers['x-prompt-tokens'] = String(choice.plan.promptIds.length)
      headers['x-generated-tokens'] = String(choice.tokens)
    }
    return { json: JSON.stringify(this.#options.asList ? [answer] : answer), headers }
  }

  #text (choice: Choice): string {
    return (this.#options.returnFullText ? this.#options.promptText : '') + choice.text
  }
}

export function tgiErrorEvent (type: string, message: string): string {
  return `data: ${JSON.stringify({ error: message, error_type: type })}\n\n`
}

export interface TgiOpenAiOptions {
  readonly chat: boolean
  readonly model: string
  readonly created: number
  readonly includeUsage: boolean
}

/** TGI's OpenAI routes: the role in every delta, usage on the last chunk, an empty id, errors lost. */
export class TgiOpenAiRenderer implements Renderer {
  readonly streamHeaders = STREAM_HEADERS
  readonly merges = false
  readonly terminator = 'data: [DONE]\n\n'
  readonly #options: TgiOpenAiOptions
  readonly #generation: Generation
  readonly #start: string

  constructor (generation: Generation, options: TgiOpenAiOptions) {
    this.#generation = generation
    this.#options = options
    const object = options.chat ? 'chat.completion.chunk' : 'text_completion'
    this.#start = `"object":"${object}","id":"","created":${options.created},"model":${JSON.stringify(options.model)},"system_fingerprint":"3.3.4-emulated","choices":`
  }

  delta (choice: Choice, piece: Piece): string {
    const { chat, includeUsage } = this.#options
    const last = choice.done && this.#generation.choices.every(other => other.done)
    const finish = choice.done ? `"${choice.plan.finish}"` : 'null'
    const counted = last && (includeUsage || !chat) ? `,"usage":${usage(this.#generation)}` : chat ? ',"usage":null' : ''
    const content = chat ? `"delta":{"role":"assistant","content":"${piece.json}"}` : `"text":"${piece.json}"`
    return `data: {${this.#start}[{"index":${choice.index},${content},"logprobs":null,"finish_reason":${finish}}]${counted}}\n\n`
  }

  trailer (): string {
    return ''
  }

  errorEvent (): string {
    return ''
  }

  body (generation: Generation): { json: string, headers: Readonly<Record<string, string>> } {
    const { chat } = this.#options
    const choices = generation.choices.map(choice => ({
      index: choice.index,
      ...(chat ? { message: { role: 'assistant', content: choice.text } } : { text: choice.text }),
      logprobs: null,
      finish_reason: choice.plan.finish
    }))
    const start = chat ? this.#start.replace('chat.completion.chunk', 'chat.completion') : this.#start
    return { json: `{${start}${JSON.stringify(choices)},"usage":${usage(generation)}}`, headers: {} }
  }
}
