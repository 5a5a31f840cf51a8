import type { Ms } from '../../core/index.js'

const MINUTE_MS: Ms = 60_000
/** Deepest debt, in minutes of the rate: what an engine claims was used must not shut a tenant out for ever. */
const MAX_DEBT_MINUTES = 60

/**
 * A rate per minute: up to a minute's worth may be used at once, and it comes back evenly. What turns out to cost more than
 * was taken leaves a debt that time pays off. `nowMs` is monotonic; a clock that jumps back adds nothing.
 */
export class TokenBucket {
  #capacity: number
  #level: number
  #atMs: Ms

  constructor(perMinute: number, nowMs: Ms) {
    this.#capacity = perMinute
    this.#level = perMinute
    this.#atMs = nowMs
  }

  get limit(): number {
    return this.#capacity
  }

  /** A new rate from now on; what was used stays used. */
  configure(perMinute: number, nowMs: Ms): void {
    this.#refill(nowMs)
    this.#level += perMinute - this.#capacity
    this.#capacity = perMinute
    this.#bound()
  }

  /** Time until `amount` may be taken; 0 = now. What is larger than the whole bucket may be taken when that is full. */
  waitMs(amount: number, nowMs: Ms): Ms {
    this.#refill(nowMs)
    const missing = Math.min(amount, this.#capacity) - this.#level
    return missing <= 0 ? 0 : missing / this.#capacity * MINUTE_MS
  }

  /** Takes `amount` out, room or not; a negative one is given back. */
  take(amount: number, nowMs: Ms): void {
    if (!Number.isFinite(amount)) return
    this.#refill(nowMs)
    this.#level -= amount
    this.#bound()
  }

  /** Whole units that may be taken now. */
  remaining(nowMs: Ms): number {
    this.#refill(nowMs)
    return Math.max(0, Math.floor(this.#level))
  }

  /** Time until it is full again. */
  resetMs(nowMs: Ms): Ms {
    this.#refill(nowMs)
    return (this.#capacity - this.#level) / this.#capacity * MINUTE_MS
  }

  #refill(nowMs: Ms): void {
    if (!(nowMs > this.#atMs)) return
    this.#level += (nowMs - this.#atMs) / MINUTE_MS * this.#capacity
    this.#atMs = nowMs
    this.#bound()
  }

  #bound(): void {
    this.#level = Math.min(this.#capacity, Math.max(-MAX_DEBT_MINUTES * this.#capacity, this.#level))
  }
}
