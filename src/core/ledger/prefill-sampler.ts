import type { BackendModel } from '../estimation/backend-model.js'
import type { Ms, Tokens } from '../types.js'
import type { Lease } from './lease.js'

/** First tokens this close together came out of one step: their prompts were computed together. */
const SAME_STEP_MS = 2

/**
 * Times prefills by their first tokens: from the previous first token (before that the engine worked on others), or the dispatch
 * if that was later. Prompts that answer in one step make one sample of all their tokens.
 */
export class PrefillSampler {
  readonly #model: BackendModel
  #tokens: Tokens = 0
  #startMs: Ms = 0
  #endMs: Ms = -Infinity

  constructor(model: BackendModel) {
    this.#model = model
  }

  firstToken(lease: Lease, nowMs: Ms): void {
    if (nowMs - this.#endMs <= SAME_STEP_MS) {
      this.#startMs = Math.min(this.#startMs, Math.max(lease.dispatchedAtMs, this.#previousEndMs))
    } else {
      this.flush(nowMs)
      this.#previousEndMs = this.#endMs
      this.#startMs = Math.max(lease.dispatchedAtMs, this.#previousEndMs)
    }
    this.#tokens += lease.uncachedTokens
    this.#endMs = nowMs
  }

  /** Nothing more can belong to the last sample. */
  flush(nowMs: Ms): void {
    if (this.#tokens > 0) this.#model.observePrefill(this.#tokens, this.#endMs - this.#startMs, nowMs)
    this.#tokens = 0
  }

  #previousEndMs: Ms = -Infinity
}
