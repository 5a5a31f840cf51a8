import type { Ms } from '../types.js'

/** Share of what was in flight that is left after a refusal. */
const CUT = 0.8
/** Refusals within this time of each other are one event: they were all sent under the same limit. */
const SAME_EVENT_MS = 100
/** Share of the limit that is given back per second. */
const REGROWTH_PER_SECOND = 0.1
/** Pause after a refusal of the engine that named no time. */
const DEFAULT_PAUSE_MS = 50

/**
 * An engine that refuses (429, 503, overload inside a 200) says that it has enough: it is given less, and then slowly more
 * until the bound is well past what it refused. No fault, and never less than one request.
 */
export class Backpressure {
  #limit: number | undefined
  #refusedAt = 0
  #cutAtMs = -Infinity
  #pausedUntilMs = -Infinity

  /** `inflight`: requests that it had when it refused, the refused one left out. */
  refused(inflight: number, retryAfterMs: Ms | undefined, nowMs: Ms): void {
    this.#pausedUntilMs = Math.max(this.#pausedUntilMs, nowMs + (retryAfterMs ?? DEFAULT_PAUSE_MS))
    if (nowMs - this.#cutAtMs < SAME_EVENT_MS) return
    this.#limit = Math.max(1, Math.floor(inflight * CUT))
    this.#refusedAt = Math.max(1, inflight)
    this.#cutAtMs = nowMs
  }

  /** Most requests in flight now; undefined = it never refused, or long ago. */
  limit(nowMs: Ms): number | undefined {
    if (this.#limit === undefined) return undefined
    const seconds = (nowMs - this.#cutAtMs) / 1000
    const grown = this.#limit + Math.max(1, this.#refusedAt * REGROWTH_PER_SECOND) * seconds
    if (grown > 2 * this.#refusedAt + 1) {
      this.#limit = undefined
      return undefined
    }
    return Math.floor(grown)
  }

  /** When it may next be given anything; in the past = now. */
  get pausedUntilMs(): Ms {
    return this.#pausedUntilMs
  }
}
