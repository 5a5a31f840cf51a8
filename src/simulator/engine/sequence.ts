import type { Ms, Tokens } from '../../core/index.js'
import type { KvEntry } from './kv-cache.js'

export type SequenceState = 'waiting' | 'running' | 'finished' | 'aborted'

/** One prompt and its one answer. */
export interface EngineRequest<Tag = unknown> {
  readonly promptTokens: Tokens
  /** True length of the answer; 0 = prefill only (embeddings). */
  readonly outputTokens: Tokens
  /**
   * Chained hashes (integers below 2^53), one for each full prefix block of the prompt and, where known, of the answer.
   * Absent = shares nothing and leaves nothing in the prefix cache.
   */
  readonly prefixHashes?: ArrayLike<number> | undefined
  /** The caller's own handle; the engine only carries it. */
  readonly tag: Tag
}

/** A request inside the engine. Callers read it; only the engine writes. */
export class Sequence<Tag = unknown> {
  readonly tag: Tag
  readonly promptTokens: Tokens
  readonly outputTokens: Tokens
  readonly prefixHashes: ArrayLike<number>
  readonly submittedAtMs: Ms

  state: SequenceState = 'waiting'
  /** Tokens whose KV is in memory. */
  computed: Tokens = 0
  /** Answer tokens so far. */
  generated: Tokens = 0
  /** Prompt tokens that the prefix cache spared at the first admission. */
  cachedTokens: Tokens = 0
  preemptions = 0
  /** Start of the first step that worked on it; NaN before. */
  startedAtMs: Ms = NaN
  /** End of the step that made its first token; NaN before. */
  firstTokenAtMs: Ms = NaN
  lastTokenAtMs: Ms = NaN
  /** It came to its end or was let go. */
  endedAtMs: Ms = NaN

  // Work that was done for it, each token once per computation.
  prefillWork: Tokens = 0
  decodeWork: Tokens = 0
  /** The part of `prefillWork` that did again what a preemption had thrown away. */
  recomputeWork: Tokens = 0
  /** Tokens to compute before it decodes (again). */
  prefillLeft: Tokens
  /** The part of `prefillLeft` that was computed before and lost to a preemption. */
  recomputeLeft: Tokens = 0

  // Memory: shared entries cover the first tokens, private blocks the rest.
  readonly entries: KvEntry[] = []
  privateBlocks = 0

  constructor (request: EngineRequest<Tag>, nowMs: Ms) {
    this.tag = request.tag
    this.promptTokens = request.promptTokens
    this.outputTokens = request.outputTokens
    this.prefixHashes = request.prefixHashes ?? NO_HASHES
    this.submittedAtMs = nowMs
    this.prefillLeft = request.promptTokens
  }
}

const NO_HASHES: readonly number[] = []
