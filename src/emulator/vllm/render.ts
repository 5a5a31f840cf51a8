import type { Choice, Generation, Piece, Renderer } from '../generation.js'
import { wordText } from '../language.js'

export interface OpenAiStreamOptions {
  readonly id: string
  readonly model: string
  /** Unix seconds. */
  readonly created: number
  readonly includeUsage: boolean
  /** Usage so far in every chunk; acts with `includeUsage` only. */
  readonly continuousUsage: boolean
  readonly returnTokenIds: boolean
  /** Report cached prompt tokens (a server flag). */
  readonly promptTokensDetails: boolean
}

const SSE_HEADERS = { 'content-type': 'text/event-stream; charset=utf-8' }

export function usageJson (generation: Generation, details: boolean): string {
  const prompt = generation.promptTokens
  const completion = generation.completionTokens
  const cached = details ? `{"cached_tokens":${generation.cachedTokens}}` : 'null'
  return `{"prompt_tokens":${prompt},"total_tokens":${prompt + completion},"completion_tokens":${completion},"prompt_tokens_details":${cached}}`
}

function finishReason (choice: Choice): string {
  return choice.done ? `"${choice.plan.finish}"` : 'null'
}

function stopReason (choice: Choice): string {
  if (!choice.done) return ''
  return `,"stop_reason":${choice.plan.stopped === undefined ? 'null' : JSON.stringify(choice.plan.stopped.text)}`
}

/** What chat and completions have in common. */
abstract class OpenAiRenderer implements Renderer {
  readonly streamHeaders = SSE_HEADERS
  readonly merges = true
  readonly terminator = 'data: [DONE]\n\n'
  protected readonly generation: Generation
  protected readonly options: OpenAiStreamOptions
  /** `"id":…,"object":…,"created":…,"model":…,"choices":` */
  protected readonly start: string

  constructor (generation: Generation, options: OpenAiStreamOptions, object: string) {
    this.generation = generation
    this.options = options
    this.start = `"id":${JSON.stringify(options.id)},"object":"${object}","created":${options.created},"model":${JSON.stringify(options.model)},"choices":`
  }

  abstract delta (choice: Choice, piece: Piece): string
  abstract body (generation: Generation): { json: string, headers: Readonly<Record<string, string>> }

  trailer (generation: Generation): string {
    return this.options.includeUsage ? `data: {${this.start}[],"usage":${usageJson(generation, this.options.promptTokensDetails)}}\n\n` : ''
  }

  errorEvent (status: number, message: string): string {
    const type = status === 429 || status === 503 ? 'ServiceUnavailable' : 'InternalServerError'
    return `data: {"error":{"message":${JSON.stringify(message)},"type":"${type}","param":null,"code":${status}}}\n\n`
  }

  protected get runningUsage (): string {
    const { includeUsage, continuousUsage } = this.options
    return includeUsage && continuousUsage ? `,"usage":${usageJson(this.generation, false)}` : ''
  }
}

export interface ChatStreamOptions extends OpenAiStreamOptions {
  /** So many first tokens are reasoning. */
  readonly reasoningTokens: number
  /** `reasoning` (new) or `reasoning_content` (old). */
  readonly reasoningMember: string
  /** The answer is the arguments of a call of this function. */
  readonly toolName: string | undefined
}

export class ChatRenderer extends OpenAiRenderer {
  readonly #chat: ChatStreamOptions

  constructor (generation: Generation, options: ChatStreamOptions) {
    super(generation, options, 'chat.completion.chunk')
    this.#chat = options
  }

  delta (choice: Choice, piece: Piece): string {
    const { index } = choice
    let events = ''
    if (piece.first) {
      // Built when the first token is there: prompt ids, and usage before any completion token.
      const ids = this.options.returnTokenIds ? `,"prompt_token_ids":[${choice.plan.promptIds.join(',')}]` : ''
      const usage = this.runningUsage === '' ? '' : `,"usage":{"prompt_tokens":${this.generation.promptTokens},"total_tokens":${this.generation.promptTokens},"completion_tokens":0}`
      events = `data: {${this.start}[{"index":${index},"delta":{"role":"assistant","content":""},"logprobs":null,"finish_reason":null}]${usage}${ids}}\n\n`
    }
    const ids = this.options.returnTokenIds ? `,"token_ids":[${piece.ids.join(',')}]` : ''
    return `${events}data: {${this.start}[{"index":${index},"delta":{${this.#content(choice, piece)}},"logprobs":null,"finish_reason":${this.#finish(choice)}${stopReason(choice)}${ids}}]${this.runningUsage}}\n\n`
  }

  body (generation: Generation): { json: string, headers: Readonly<Record<string, string>> } {
    const { id, model, created, returnTokenIds, promptTokensDetails } = this.options
    const choices = generation.choices.map(choice => {
      const reasoning = this.#reasoningChars(choice)
      const text = choice.text.slice(reasoning)
      return {
        index: choice.index,
        message: {
          role: 'assistant',
          content: this.#chat.toolName === undefined ? text : null,
          refusal: null,
          tool_calls: this.#chat.toolName === undefined ? [] : [{ id: `call-${id}`, type: 'function', function: { name: this.#chat.toolName, arguments: `{"text":${JSON.stringify(text)}}` } }],
          ...(reasoning > 0 ? { [this.#chat.reasoningMember]: choice.text.slice(0, reasoning) } : {})
        },
        logprobs: null,
        finish_reason: this.#chat.toolName !== undefined && choice.plan.finish === 'stop' ? 'tool_calls' : choice.plan.finish,
        stop_reason: choice.plan.stopped?.text ?? null,
        ...(returnTokenIds ? { token_ids: choice.ids } : {})
      }
    })
    const prompt = returnTokenIds ? `,"prompt_token_ids":[${generation.choices[0]?.plan.promptIds.join(',') ?? ''}]` : ''
    const json = `{"id":${JSON.stringify(id)},"object":"chat.completion","created":${created},"model":${JSON.stringify(model)},"choices":${JSON.stringify(choices)},"usage":${usageJson(generation, promptTokensDetails)}${prompt}}`
    return { json, headers: {} }
  }

  #finish (choice: Choice): string {
    return choice.done && this.#chat.toolName !== undefined && choice.plan.finish === 'stop' ? '"tool_calls"' : finishReason(choice)
  }

  /** The delta's members. */
  #content (choice: Choice, piece: Piece): string {
    const { reasoningTokens, reasoningMember, toolName } = this.#chat
    if (choice.tokens <= reasoningTokens && !choice.done) return `"${reasoningMember}":"${piece.json}"`
    if (toolName === undefined) return `"content":"${piece.json}"`
    // Arguments are JSON inside JSON: {"text":"…"}, opened by the first piece and closed by the last.
    const opening = piece.first ? '{\\"text\\":\\"' : ''
    const closing = choice.done ? '\\"}' : ''
    const text = JSON.stringify(piece.json).slice(1, -1)
    const head = piece.first ? `"id":"call-${this.options.id}","type":"function",` : ''
    const name = piece.first ? `"name":${JSON.stringify(toolName)},` : ''
    return `"tool_calls":[{"index":0,${head}"function":{${name}"arguments":"${opening}${text}${closing}"}}]`
  }

  #reasoningChars (choice: Choice): number {
    const { reasoningTokens } = this.#chat
    if (reasoningTokens === 0) return 0
    let state = choice.plan.state
    let chars = 0
    for (let i = 0; i < Math.min(reasoningTokens, choice.plan.words); i++) {
      const word = this.generation.language.word(state)
      state = this.generation.language.after(state, word)
      chars += wordText(word).length
    }
    return Math.min(chars, choice.text.length)
  }
}

export interface CompletionStreamOptions extends OpenAiStreamOptions {
  /** Prompt text to repeat before each answer, by choice; empty = no echo. */
  readonly echo: readonly string[]
}

export class CompletionRenderer extends OpenAiRenderer {
  readonly #echo: readonly string[]

  constructor (generation: Generation, options: CompletionStreamOptions) {
    super(generation, options, 'text_completion')
    this.#echo = options.echo
  }

  delta (choice: Choice, piece: Piece): string {
    const echo = piece.first ? JSON.stringify(this.#echo[choice.index] ?? '').slice(1, -1) : ''
    let ids = ''
    if (this.options.returnTokenIds) {
      ids = `,"token_ids":[${piece.ids.join(',')}]`
      if (piece.first) ids += `,"prompt_token_ids":[${choice.plan.promptIds.join(',')}]`
    }
    return `data: {${this.start}[{"index":${choice.index},"text":"${echo}${piece.json}","logprobs":null,"finish_reason":${finishReason(choice)}${stopReason(choice)}${ids}}]${this.runningUsage}}\n\n`
  }

  body (generation: Generation): { json: string, headers: Readonly<Record<string, string>> } {
    const { returnTokenIds, promptTokensDetails } = this.options
    const choices = generation.choices.map(choice => ({
      index: choice.index,
      text: (this.#echo[choice.index] ?? '') + choice.text,
      logprobs: null,
      finish_reason: choice.plan.finish,
      stop_reason: choice.plan.stopped?.text ?? null,
      ...(returnTokenIds ? { token_ids: choice.ids, prompt_token_ids: choice.plan.promptIds } : {}),
      prompt_logprobs: null
    }))
    return { json: `{${this.start}${JSON.stringify(choices)},"usage":${usageJson(generation, promptTokensDetails)}}`, headers: {} }
  }
}
