import type { AttemptVerdict, Ms } from '../core/index.js'

export type BreakerState = 'closed' | 'open' | 'half_open'

export interface BreakerOptions {
  /** Faults in a row that open it. */
  readonly faults: number
  readonly openMs: Ms
}

/**
 * Circuit breaker of one backend. Faults alone feed it: a client's bad request and a busy server say nothing against a
 * backend. Closed → open after `faults` in a row; open → half open after `openMs`; half open → closed by the first
 * attempt dispatched since that shows life, → open by the first that faults. How many may probe at once is the
 * dispatcher's to keep; it is told by the fleet's `inflightLimit`.
 */
export class Breaker {
  #options: BreakerOptions
  #state: BreakerState = 'closed'
  #faults = 0
  /** Since when the present state holds. */
  #sinceMs: Ms = 0

  constructor(options: BreakerOptions) {
    this.#options = options
  }

  get state(): BreakerState {
    return this.#state
  }

  get consecutiveFaults(): number {
    return this.#faults
  }

  /** When `advance` next changes the state by itself; undefined = never. */
  get dueAtMs(): Ms | undefined {
    return this.#state === 'open' ? this.#sinceMs + this.#options.openMs : undefined
  }

  configure(options: BreakerOptions): void {
    this.#options = options
  }

  /** Let time pass: an open breaker becomes half open when due. */
  advance(nowMs: Ms): void {
    if (this.#state === 'open' && nowMs >= this.#sinceMs + this.#options.openMs) this.#enter('half_open', nowMs)
  }

  /** The first token of an attempt came: proof of life for a probe, but no success, since the stream may yet break. */
  progressed(dispatchedAtMs: Ms, nowMs: Ms): void {
    if (this.#state === 'half_open' && dispatchedAtMs >= this.#sinceMs) this.#close(nowMs)
  }

  ended(verdict: AttemptVerdict, dispatchedAtMs: Ms, nowMs: Ms): void {
    if (verdict === 'cancelled' || verdict === 'backpressure' || this.#state === 'open') return
    if (this.#state === 'half_open' && dispatchedAtMs < this.#sinceMs) return
    if (verdict === 'fault') {
      this.#faults++
      if (this.#state === 'half_open' || this.#faults >= this.#options.faults) this.#enter('open', nowMs)
    } else if (this.#state === 'half_open') this.#close(nowMs)
    else this.#faults = 0
  }

  /** The server process was replaced: what its predecessor did is no evidence. */
  reset(nowMs: Ms): void {
    if (this.#state !== 'closed') this.#close(nowMs)
    this.#faults = 0
  }

  #close(nowMs: Ms): void {
    this.#faults = 0
    this.#enter('closed', nowMs)
  }

  #enter(state: BreakerState, nowMs: Ms): void {
    this.#state = state
    this.#sinceMs = nowMs
  }
}
