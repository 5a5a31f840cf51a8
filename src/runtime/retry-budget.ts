import type { Ms } from '../core/index.js'

export interface RetryBudgetOptions {
  /** Retries allowed per request. */
  readonly ratio: number
  /** Retries always allowed per second. */
  readonly minPerSecond: number
}

/** Most that is saved up, in retries: a quiet hour must not pay for a storm. */
const SAVED_SECONDS = 10

/**
 * Gateway-wide token bucket: each request pays in `ratio`, each second `minPerSecond`, a retry takes out one. When most
 * attempts fail it bounds the load that retries add to `ratio`.
 */
export class RetryBudget {
  #options: RetryBudgetOptions
  #tokens: number
  #atMs: Ms

  constructor(options: RetryBudgetOptions, nowMs: Ms) {
    this.#options = options
    this.#tokens = this.#cap()
    this.#atMs = nowMs
  }

  configure(options: RetryBudgetOptions): void {
    this.#options = options
  }

  request(): void {
    this.#tokens = Math.min(this.#cap(), this.#tokens + this.#options.ratio)
  }

  /** Takes one retry out; false when there is none. */
  take(nowMs: Ms): boolean {
    this.#tokens = Math.min(this.#cap(), this.#tokens + (nowMs - this.#atMs) / 1000 * this.#options.minPerSecond)
    this.#atMs = nowMs
    if (this.#tokens < 1) return false
    this.#tokens -= 1
    return true
  }

  #cap(): number {
    return Math.max(1, SAVED_SECONDS * this.#options.minPerSecond, 100 * this.#options.ratio)
  }
}
