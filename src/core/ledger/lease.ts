import { known } from '../known.js'
import type { TrackedRequest } from '../request.js'
import type { Ms, Tokens, Usage } from '../types.js'
import type { Backend, Probing } from './backend.js'

/** Times of a lease. */
const DISPATCHED = 0
const PREFILL = 1
const EXPECTED_FIRST_TOKEN = 2
const FIRST_TOKEN = 3
const PROGRESS = 4
const TPOT = 5

/**
 * What one dispatched request holds on one backend. Charged when made, released phase by phase:
 * its prefill at the first token, the rest by `release()`, once.
 */
export class Lease {
  readonly request: TrackedRequest
  readonly backend: Backend
  /** It was sent while a breaker was half open. */
  readonly probing: Probing | undefined
  /** Prompt tokens that the backend must compute, as charged. */
  readonly uncachedTokens: Tokens
  /** Prompt tokens and output tokens so far: what it holds of the KV cache. */
  contextTokens: Tokens
  outputTokens: Tokens = 0
  phase: 'prefill' | 'decode' | 'released' = 'prefill'
  /** Index in the backend's list of decoding streams. */
  position = 0
  /** Its row in the backend's `pacedStreams`, if it has a target per token. */
  row = 0
  /** In one array, see `TrackedRequest`. */
  readonly #ms: number[]

  constructor(request: TrackedRequest, backend: Backend, nowMs: Ms) {
    this.request = request
    this.backend = backend
    this.probing = backend.probing
    this.uncachedTokens = backend.uncachedTokens(request)
    this.contextTokens = request.promptTokens
    this.#ms = [nowMs, backend.model.prefillWorkMs(this.uncachedTokens), nowMs, NaN, nowMs, request.tpotMs]
    backend.charge(this, nowMs)
    this.#ms[EXPECTED_FIRST_TOKEN] = backend.prefill.endsAtMs
  }

  get dispatchedAtMs(): Ms { return this.#ms[DISPATCHED]! }

  /** Prefill time that `uncachedTokens` were predicted to take, without the constant part. */
  get prefillMs(): Ms { return this.#ms[PREFILL]! }

  /** When the first token was expected. */
  get expectedFirstTokenAtMs(): Ms { return this.#ms[EXPECTED_FIRST_TOKEN]! }

  get firstTokenAtMs(): Ms | undefined { return known(this.#ms[FIRST_TOKEN]!) }

  /** When `outputTokens` was last heard. */
  get progressAtMs(): Ms { return this.#ms[PROGRESS]! }

  /** Target per token; Infinity = none, or nobody sees the tokens come. */
  get tpotMs(): Ms { return this.#ms[TPOT]! }

  /** From prefill to decode; `false` if it was there already. */
  firstToken(nowMs: Ms): boolean {
    if (this.phase !== 'prefill') return false
    this.#ms[FIRST_TOKEN] = nowMs
    this.backend.prefillEnds(this, nowMs)
    this.phase = 'decode'
    this.progress(1, nowMs)
    return true
  }

  /** `outputTokens` so far; a count that falls back is ignored. */
  progress(outputTokens: Tokens, nowMs: Ms): void {
    if (this.phase !== 'decode') return
    const more = outputTokens - this.outputTokens
    if (more <= 0) return
    this.outputTokens = outputTokens
    this.contextTokens += more
    this.backend.contextTokens += more
    this.#ms[PROGRESS] = nowMs
    if (this.tpotMs < Infinity) this.backend.pacedStreams.progress(this, nowMs - this.firstTokenAtMs!, this.backend.prefill.doneMs)
    this.backend.slack.reported(nowMs)
  }

  /** Of an answer that is complete at `nowMs`. */
  metTargets(usage: Usage | undefined, nowMs: Ms): boolean {
    const { targets, streamed, receivedAtMs } = this.request.spec
    const tokens = usage?.outputTokens ?? this.outputTokens
    const firstTokenAtMs = this.firstTokenAtMs ?? nowMs
    if (targets.deadlineMs !== undefined && nowMs - receivedAtMs > targets.deadlineMs) return false
    if (!streamed) return true
    if (targets.ttftMs !== undefined && firstTokenAtMs - receivedAtMs > targets.ttftMs) return false
    return targets.tpotMs === undefined || tokens < 2 || (nowMs - firstTokenAtMs) / (tokens - 1) <= targets.tpotMs
  }

  release(nowMs: Ms): void {
    if (this.phase === 'released') return
    this.backend.release(this, nowMs)
    this.phase = 'released'
  }
}
