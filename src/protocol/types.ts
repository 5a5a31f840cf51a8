import type { Bytes, PromptShape, Tokens, Usage } from '../core/index.js'

/** Wire shapes of generation that Sluice meters. */
export type Dialect =
  | 'openai-chat' | 'openai-completions' | 'openai-responses' | 'anthropic-messages'
  | 'tgi-generate' | 'sglang-generate'
  /** Embeddings, rerank, score, classify: one JSON answer, scheduled by deadline, no token metering. */
  | 'scored'

/** The three shapes of error bodies: see contract errors. */
export type ErrorShape = 'openai' | 'anthropic' | 'tgi'

/** What the gateway needs of a generation request's body, found by scanning its bytes. Nothing here is text of the prompt. */
export interface RequestFields {
  /** Of the path, or of the body where a path has two owners (`/generate`). */
  readonly dialect: Dialect
  readonly model: string | undefined
  /** Will the answer stream: as path and body say. */
  readonly stream: boolean
  /**
   * Bytes of prompt text in UTF-8, escapes resolved: messages' content, `prompt`, `input`, `inputs`, `system`. Of
   * messages JSON syntax, names, roles, ids, URLs and inline media are left out; tools count as the JSON they are, since
   * templates render them so.
   */
  readonly promptBytes: Bytes
  /** What the same text is made of: a far better measure of its tokens than its size. */
  readonly promptShape: PromptShape
  /** Where the whole prompt was given as token ids. */
  readonly promptTokens: Tokens | undefined
  /** Images, audio and other parts whose tokens the bytes do not tell. */
  readonly mediaParts: number
  /** The client's cap times `n` (or `best_of`) times the number of prompts, undefined = not given. */
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
  /** Start and end of each member's value, two entries per name: what splices need. */
  readonly memberSpans: readonly number[]
  /** Position of the object's closing brace. */
  readonly closingBrace: number
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
   * Scan the next bytes: of `bytes`, from `from` up to `to`. Returns undefined when just these are to be forwarded (the rule), else what is, in
   * pieces: a usage event is stripped from it, or `stripUsage` holds an unfinished one back, and its bytes come with a later call.
   * Nothing is kept of `bytes`, but the pieces are parts of it.
   */
  push(bytes: Buffer, from?: number, to?: number): readonly Buffer[] | undefined
  /** The upstream ended cleanly: what was held back, if anything. */
  flush(): Buffer | undefined
  /** Content events so far: each carries at least one token. */
  readonly tokenEvents: number
  /** Complete events so far that are not comments (pings, role-only, usage included). */
  readonly events: number
  /** First event that is not a comment: decides whether the head may go out. `undefined` until one is complete. */
  readonly firstEventIsError: boolean | undefined
  /** From the engine's `usage` (or TGI details), once seen; built at each read. */
  readonly usage: Usage | undefined
  readonly error: EngineError | undefined
  /** A terminal sign of the dialect was seen (`[DONE]`, message_stop, response.completed, generated_text, finish_reason of each choice); an end without it is a truncation. */
  readonly finished: boolean
  /** Bytes of an unfinished event went out: what comes next (an error event) has to close it first. */
  readonly midEvent: boolean
}

export interface MeterOptions {
  /** Choices that the answer has (`n`, times prompts), 1 where not given: it is finished when each has its finish_reason. */
  readonly choices?: number
  /** Remove the usage-only event (because the gateway asked for it and the client did not). */
  readonly stripUsage: boolean
}
