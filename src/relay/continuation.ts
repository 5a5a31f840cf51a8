import type { Ms, Tokens, Usage } from '../core/index.js'
import { errorEvent, MAX_EVENT_BYTES, type ErrorCode, type RequestFields } from '../protocol/index.js'
import type { ClientFeeder, ClientStream } from './client-stream.js'
import { ContinuableBody, type ContinuationWays } from './continuation-body.js'
import type { ClientSide } from './types.js'
import * as verdict from './verdict.js'
import type { Failure } from './verdict.js'

const BLANK_LINE = Buffer.from('\n\n')
const DONE = Buffer.from('data: [DONE]\n\n')

interface Chunk {
  id?: unknown
  created?: unknown
  model?: unknown
  system_fingerprint?: unknown
  object?: unknown
  error?: unknown
  prompt_token_ids?: number[] | null
  choices?: Choice[]
  usage?: Counts | null
}

interface Choice {
  delta?: { role?: unknown, content?: unknown } & Record<string, unknown>
  text?: unknown
  finish_reason?: unknown
  token_ids?: number[] | null
  prompt_token_ids?: number[] | null
}

interface Counts {
  prompt_tokens: Tokens
  completion_tokens: Tokens
  total_tokens: Tokens
  prompt_tokens_details?: unknown
}

/** Members of a delta with which it is still nothing but text. */
const PLAIN_DELTA: ReadonlySet<string> = new Set(['role', 'content'])

/**
 * The client's side of a request whose answer another backend may finish. It stands between the attempts and the client,
 * lets whole events through alone, and remembers what the client has: the text, and the token ids where the engine tells
 * them. What a later attempt sends is made to look like the rest of the first stream: its id, time and model, no second
 * role, usage added up. Ordinary requests never come here.
 */
export class Continuation implements ClientSide {
  readonly #client: ClientStream
  readonly #body: ContinuableBody
  readonly #fields: RequestFields
  #partial: Buffer[] = []
  #partialBytes = 0
  #streams = false
  /** Nothing but text so far, every event understood. */
  #exact = true
  #finished = false
  #usageCame = false
  /** The mark of the end has gone out. */
  #marked = false
  /** An error event and all behind it, kept back as long as the answer may go on. */
  #kept: Buffer[] = []
  #text = ''
  #promptIds: readonly number[] | undefined
  /** Ids whose text the client has; `#pendingIds` came with events that did not show theirs yet. */
  #ids: number[] = []
  #pendingIds: number[] = []
  #allIds = true
  #tokens: Tokens = 0
  #face: Pick<Chunk, 'id' | 'created' | 'model' | 'system_fingerprint'> | undefined
  #asksIds = false
  /** Another attempt than the first to reach the client has been made. */
  continued = false
  /** The backend's latest bytes were no event; the client has not seen them, and another backend can go on. */
  garbled = false
  /** Output tokens of earlier attempts. */
  carriedTokens: Tokens = 0

  /** Undefined where the request's answer cannot be continued exactly. */
  static of(client: ClientStream, fields: RequestFields, body: Buffer): Continuation | undefined {
    const continuable = ContinuableBody.of(body, fields)
    return continuable === undefined ? undefined : new Continuation(client, fields, continuable)
  }

  private constructor(client: ClientStream, fields: RequestFields, body: ContinuableBody) {
    this.#client = client
    this.#fields = fields
    this.#body = body
  }

  /** The client has part of an answer: it can be gone on with, or broken off, and no other answer can take its place. */
  get begun(): boolean {
    return this.#client.headWritten
  }

  /** What to send to the backend for this attempt; undefined: that backend cannot take the answer over. */
  body(ways: ContinuationWays | undefined, askUsage: boolean): Buffer | undefined {
    if (this.begun && ways === undefined) return undefined
    this.#asksIds = ways?.tokenIds === true
    return this.#body.write(ways, askUsage, this.#progress)
  }

  get #progress() {
    const ids = this.#promptIds === undefined || !this.#allIds ? undefined : [...this.#promptIds, ...this.#ids]
    return { text: this.#text, tokens: this.#tokens, ids }
  }

  /** Another attempt follows. */
  restart(): void {
    this.continued = true
    this.garbled = false
    this.#kept = []
    this.#dropPartial()
    this.#pendingIds = []
    if (this.#allIds && this.#promptIds !== undefined) this.#tokens = this.#ids.length
    this.carriedTokens = this.#tokens
  }

  /** The engine's count of an attempt, with what earlier ones made. */
  total(usage: Usage | undefined): Usage | undefined {
    if (!this.continued || usage === undefined) return usage
    const { promptTokens, outputTokens } = usage
    return {
      ...usage,
      ...(promptTokens !== undefined && { promptTokens: this.#promptTokens(promptTokens) }),
      ...(outputTokens !== undefined && { outputTokens: outputTokens + this.carriedTokens }),
    }
  }

  /** No other attempt will be made. */
  giveUp(code: ErrorCode, message: string | undefined): void {
    if (this.#client.ended) return
    this.#client.write(errorEvent(this.#fields.dialect, code, message))
    this.#client.end()
  }

  // What an attempt calls.

  get feeder(): ClientFeeder | undefined {
    return this.#client.feeder
  }

  set feeder(feeder: ClientFeeder | undefined) {
    this.#client.feeder = feeder
  }

  stalledForMs(nowMs: Ms): Ms {
    return this.#client.stalledForMs(nowMs)
  }

  goesOn(failure: Failure): boolean {
    return this.#streams && this.#exact && !this.#finished && failure !== verdict.totalTimeout
      && (failure.verdict === 'fault' || failure.verdict === 'backpressure') && this.#body.allows(this.#progress)
  }

  head(status: number, headers: string[]): void {
    if (this.begun) return
    this.#streams = headers.some((value, i) => i % 2 === 0 && value === 'content-type' && headers[i + 1]!.startsWith('text/event-stream'))
    this.#client.head(status, headers)
  }

  /** Not after part of an answer: what is no stream cannot go on with one. */
  answer(status: number, headers: string[], body: Buffer): void {
    if (!this.begun) this.#client.answer(status, headers, body)
  }

  write(given: Buffer, start = 0, to = given.length): boolean {
    if (!this.#streams) return this.#client.write(given, start, to)
    // What came behind it, in the same read or the next.
    if (this.garbled) return true
    // Some of it is kept.
    const bytes = Buffer.from(given.subarray(start, to))
    let from = 0
    for (let end = this.#eventEnd(bytes, from); end > 0; end = this.#eventEnd(bytes, from)) {
      const event = this.#take(bytes.subarray(from, end))
      from = end
      const out = this.#rewrite(event)
      if (this.garbled) return true
      if (out !== undefined) this.#client.write(out)
    }
    if (from < bytes.length) this.#keepPartial(bytes.subarray(from))
    return this.#client.write(NOTHING)
  }

  get whole(): boolean {
    return this.#finished && (this.#usageCame || !this.#fields.includeUsage)
  }

  hurry(): void {
    this.#client.hurry()
  }

  /** Where the backend broke before it marked the end of what is whole, that is made good. */
  end(): void {
    if (this.whole && !this.#marked && this.#kept.length === 0) this.#client.write(DONE)
    for (const event of this.#kept) this.#client.write(event)
    this.#client.end()
  }

  cut(): void {
    this.#client.cut()
  }

  // Events.

  /** Position after the blank line that ends the event; its first line feed may be the last byte of what was kept. */
  #eventEnd(bytes: Buffer, from: number): number {
    if (from === 0 && this.#partialBytes > 0 && this.#partial.at(-1)!.at(-1) === 0x0a && bytes[0] === 0x0a) return 1
    const at = bytes.indexOf(BLANK_LINE, from)
    return at < 0 ? -1 : at + 2
  }

  #take(rest: Buffer): Buffer {
    if (this.#partialBytes === 0) return rest
    const event = Buffer.concat([...this.#partial, rest])
    this.#dropPartial()
    return event
  }

  #keepPartial(bytes: Buffer): void {
    this.#partial.push(bytes)
    this.#partialBytes += bytes.length
    if (this.#partialBytes <= MAX_EVENT_BYTES) return
    // No event of an answer is that large: from here on all passes as it is.
    this.#exact = this.#streams = false
    this.#client.write(this.#take(NOTHING))
  }

  #dropPartial(): void {
    this.#partial = []
    this.#partialBytes = 0
  }

  /** The event as the client is to see it; undefined: not (yet). */
  #rewrite(event: Buffer): Buffer | undefined {
    if (this.#kept.length > 0) {
      this.#kept.push(event)
      return undefined
    }
    const text = event.toString()
    this.#marked ||= text.startsWith('data: [DONE]')
    if (text.startsWith(':') || this.#marked) return event
    let chunk: Chunk
    try {
      chunk = JSON.parse(text.slice(text.indexOf('data:') + 5)) as Chunk
    } catch {
      this.garbled = text.startsWith('data:') && this.goesOn(verdict.unreadable)
      this.#exact = this.garbled
      return event
    }
    if ((chunk.error !== undefined && chunk.error !== null) || chunk.object === 'error') {
      this.#kept.push(event)
      return undefined
    }
    const passes = this.#read(chunk)
    if (!this.continued && !this.#asksIds) return event
    return passes ? Buffer.from(`data: ${JSON.stringify(chunk)}\n\n`) : undefined
  }

  /** Takes note of what an event says, and makes it fit. False: the client has had its like. */
  #read(chunk: Chunk): boolean {
    const { id, created, model, system_fingerprint } = chunk
    this.#face ??= { id, created, model, ...(system_fingerprint !== undefined && { system_fingerprint }) }
    if (this.continued) Object.assign(chunk, this.#face)
    const choice = chunk.choices?.[0]
    const promptIds = chunk.prompt_token_ids ?? choice?.prompt_token_ids
    if (!this.continued) this.#promptIds ??= promptIds ?? undefined
    if (this.#asksIds) delete chunk.prompt_token_ids
    if (chunk.usage !== undefined && chunk.usage !== null) {
      this.#usageCame = true
      if (this.continued) this.#addUp(chunk.usage)
    }
    if (choice === undefined) return true
    const ids = choice.token_ids
    if (this.#asksIds) {
      delete choice.token_ids
      delete choice.prompt_token_ids
    }
    const { delta } = choice
    const text = delta === undefined ? choice.text : delta.content
    for (const name in delta) if (!PLAIN_DELTA.has(name) && !isNothing(delta[name])) this.#exact = false
    this.#note(typeof text === 'string' ? text : '', ids)
    if (choice.finish_reason !== undefined && choice.finish_reason !== null) this.#finished = true
    else if (this.continued && delta?.role !== undefined && isNothing(text)) return false
    if (this.continued && delta !== undefined) delete delta.role
    return true
  }

  #note(text: string, ids: readonly number[] | null | undefined): void {
    for (const id of ids ?? []) this.#pendingIds.push(id)
    if (text === '') return
    this.#text += text
    if (ids === undefined || ids === null || ids.length === 0) this.#allIds = false
    this.#tokens += Math.max(1, this.#pendingIds.length)
    for (const id of this.#pendingIds) this.#ids.push(id)
    this.#pendingIds = []
  }

  #addUp(usage: Counts): void {
    usage.prompt_tokens = this.#promptTokens(usage.prompt_tokens)
    usage.completion_tokens += this.carriedTokens
    usage.total_tokens = usage.prompt_tokens + usage.completion_tokens
  }

  /** The continued prompt holds what was answered before. */
  #promptTokens(told: Tokens): Tokens {
    return this.#promptIds?.length ?? Math.max(0, told - this.carriedTokens)
  }
}

const NOTHING = Buffer.alloc(0)

const isNothing = (value: unknown): boolean => value === undefined || value === null || value === '' || (Array.isArray(value) && value.length === 0)
