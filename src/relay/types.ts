import type { AttemptVerdict, Ms, Tokens, Usage } from '../core/index.js'
import type { Dialect, ErrorCode } from '../protocol/index.js'
import type { ClientStream } from './client-stream.js'
import type { ContinuationWays } from './continuation-body.js'

export type { ContinuationWays }

/** What an attempt sees of the client: the client itself, or the one who keeps a broken answer going. */
export type ClientSide = Pick<ClientStream, 'head' | 'write' | 'hurry' | 'end' | 'answer' | 'cut' | 'feeder' | 'stalledForMs' | 'goesOn' | 'garbled' | 'whole'>

/** Limits per phase of one attempt. */
export interface AttemptTimeouts {
  readonly connectMs: Ms
  /** From sending the request to the first event (or to the whole head, where the answer is not streamed). */
  readonly firstTokenMs: Ms
  /** Between two chunks. */
  readonly idleMs: Ms
  /** For a client that does not read. */
  readonly writeStallMs: Ms
}

/** What is sent to the backend, and how its answer is read. */
export interface AttemptRequest {
  readonly method: string
  readonly path: string
  readonly headers: string[]
  readonly body: Buffer
  readonly dialect: Dialect
  /** Usage was asked for on the client's behalf: take the event out again. */
  readonly stripUsage: boolean
}

/** `code`s of the error vocabulary that an attempt can end with. */
export type AttemptCode = Extract<ErrorCode, 'backend_error' | 'backend_overloaded' | 'first_token_timeout' | 'stream_stalled' | 'draining' | 'internal_error'>

/** How one attempt ended: judged at its end, once. */
export interface AttemptResult {
  readonly verdict: AttemptVerdict
  /** Nothing has reached the client and another backend may do better. */
  readonly retryable: boolean
  /** Did any byte of this attempt reach the client? */
  readonly committed: boolean
  /** Status to answer with, where nothing was sent. */
  readonly status: number
  readonly code: AttemptCode | undefined
  /** In words, for people. Never text of a prompt or an answer. */
  readonly detail: string | undefined
  readonly usage: Usage | undefined
  readonly retryAfterMs: Ms | undefined
  /** The backend's own refusal of a bad request, to be passed on untouched. */
  readonly refusal: { readonly status: number, readonly headers: string[], readonly body: Buffer } | undefined
}

/** Gaps between token events of one stream, in ms. */
export interface GapRecorder {
  record(gapMs: Ms): void
}

/** Who runs attempts, and is told what happens. Times are of the attempt's clock. */
export interface AttemptOwner {
  /** The connection is there and the request is being written. */
  connected(nowMs: Ms): void
  /** Adds the gateway's own headers to the backend's, names and values in turn; asked once, when the head goes out. */
  headers(out: string[]): string[]
  firstToken(nowMs: Ms): void
  /** `added` token events came, `total` so far. Answers up to when it need not be told of more. */
  tokens(total: Tokens, added: Tokens, nowMs: Ms): Ms
  /** Token events so far, some times a second. */
  progress(tokens: Tokens): void
  /** Once, and last. Not called after `abort`. */
  attemptEnded(result: AttemptResult): void
  /** The client takes nothing for too long. */
  writeStalled(): void
  /** Asked for once, at the first token. */
  readonly gaps: GapRecorder
}
