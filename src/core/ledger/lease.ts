import type { TrackedRequest } from '../request.js'
import type { Ms, Tokens } from '../types.js'
import type { Backend } from './backend.js'

/**
 * What one dispatched request holds on one backend. Charged when made, released phase by phase:
 * its prefill at the first token, the rest by `release()`, once.
 */
export class Lease {
  readonly request: TrackedRequest
  readonly backend: Backend
  readonly dispatchedAtMs: Ms
  /** Prompt tokens that the backend must compute, as charged. */
  readonly uncachedTokens: Tokens
  /** Prompt tokens and output tokens so far: what it holds of the KV cache. */
  contextTokens: Tokens
  outputTokens: Tokens = 0
  firstTokenAtMs: Ms | undefined
  /** When `outputTokens` was last heard. */
  progressAtMs: Ms
  phase: 'prefill' | 'decode' | 'released' = 'prefill'
  /** Index in the backend's list of its phase. */
  position: number

  constructor(request: TrackedRequest, backend: Backend, uncachedTokens: Tokens, nowMs: Ms) {
    this.request = request
    this.backend = backend
    this.dispatchedAtMs = nowMs
    this.progressAtMs = nowMs
    this.uncachedTokens = uncachedTokens
    this.contextTokens = request.promptTokens
    this.position = backend.prefills.length
    backend.charge(this)
  }

  /** From prefill to decode. */
  firstToken(nowMs: Ms): void {
    if (this.phase !== 'prefill') return
    this.backend.prefillEnds(this)
    this.phase = 'decode'
    this.firstTokenAtMs = nowMs
    this.progress(1, nowMs)
  }

  /** `outputTokens` so far; a count that falls back is ignored. */
  progress(outputTokens: Tokens, nowMs: Ms): void {
    if (this.phase !== 'decode') return
    const more = outputTokens - this.outputTokens
    if (more <= 0) return
    this.outputTokens = outputTokens
    this.contextTokens += more
    this.backend.contextTokens += more
    this.progressAtMs = nowMs
  }

  release(): void {
    if (this.phase === 'released') return
    this.backend.release(this)
    this.phase = 'released'
  }
}
