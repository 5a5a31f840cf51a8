import type { Bytes, Tokens, Usage } from '../core/index.js'

/** Wire shapes of generation that Sluice meters. */
export type Dialect =
  | 'openai-chat' | 'openai-completions' | 'openai-responses' | 'anthropic-messages'
  | 'tgi-generate' | 'sglang-generate'
  /** Embeddings, rerank, score, classify: one JSON answer, scheduled by deadline, no token metering. */
  | 'scored'

/** What the gateway needs of a generation request's body, found by scanning its bytes. Nothing here is text of the prompt. */
export interface RequestFields {
  readonly model: string | undefined
  /** As the body says; the dialect's own default where it is silent. */
  readonly stream: boolean
  /** Bytes of prompt text: messages' content, `prompt`, `input`, `inputs`, `system`, tools. JSON syntax and field names excluded. */
  readonly promptBytes: Bytes
  /** Where the prompt was given as token ids. */
  readonly promptTokens: Tokens | undefined
  /** The client's cap times `n` (or `best_of`), undefined = not given. */
  readonly maxOutputTokens: Tokens | undefined
  readonly n: number
  readonly bestOf: number | undefined
  /** Number of prompts in one completions call. */
  readonly promptCount: number
  readonly includeUsage: boolean
  readonly hasTools: boolean
  readonly hasStructuredOutput: boolean
  /** `user`, `session_id`, `prompt_cache_key` or the like. */
  readonly sessionKey: string | undefined
  /** Chained hashes over fixed-size blocks of the prompt bytes, in order. */
  readonly prefixHashes: readonly number[]
  readonly prefixBlockBytes: Bytes
  /** Names of the members at the top level, for the deny-list. */
  readonly memberNames: readonly string[]
}

/** An error that an engine put inside a 200 stream, or in an error body, whatever its shape. */
export interface EngineError {
  readonly message: string
  readonly type: string | undefined
  /** HTTP status that it stands for: its own `code` if that is one, else by `error_type` (TGI), else 500. */
  readonly status: number
  /** 429, 503, queue full, TGI `overloaded`: the engine is busy, not broken. */
  readonly overloaded: boolean
}

/**
 * Meters one streamed answer by scanning its bytes. Chunk borders fall anywhere. Bounded memory whatever comes.
 * The caller reads the counters after each `push`; nothing is allocated per event.
 */
export interface StreamMeter {
  /**
   * Scan the next chunk. Returns what is to be forwarded: the very same buffer when nothing is stripped (the rule), else
   * the pieces around a stripped usage event. While `stripUsage` holds an event back its bytes come with a later call.
   */
  push(chunk: Buffer): Buffer | readonly Buffer[]
  /** The upstream ended cleanly: what was held back, if anything. */
  flush(): Buffer | undefined
  /** Content events so far: each carries at least one token. */
  readonly tokenEvents: number
  /** Complete events so far that are not comments (pings, role-only, usage included). */
  readonly events: number
  /** First event that is not a comment: decides whether the head may go out. `undefined` until one is complete. */
  readonly firstEventIsError: boolean | undefined
  /** From the engine's `usage` (or TGI details), once seen. */
  readonly usage: Usage | undefined
  readonly error: EngineError | undefined
  /** A terminal sign of the dialect was seen (`[DONE]`, message_stop, response.completed, generated_text, finish_reason); an end without it is a truncation. */
  readonly finished: boolean
}

export interface MeterOptions {
  /** Remove the usage-only event (because the gateway asked for it and the client did not). */
  readonly stripUsage: boolean
}
