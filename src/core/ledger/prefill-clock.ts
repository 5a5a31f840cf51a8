import type { Ms } from '../types.js'

/** Memory of how much prefill a backend was given. */
const SHARE_TIME_CONSTANT_MS = 5000

/** When a backend's outstanding prefill ends, and what share of its time prefill took of late. All in predicted milliseconds. */
export class PrefillClock {
  /** Prefill finished here since the start: what streams stood still for. */
  doneMs: Ms = 0
  #endsAtMs: Ms = -Infinity
  #injectedMs: Ms = 0
  #injectedAtMs: Ms = 0
  /** The share as last asked for, and when: every head that waits asks the same again. */
  #share = 0
  #shareAtMs: Ms = NaN

  /** More prefill was sent. */
  charge(workMs: Ms, baseMs: Ms, nowMs: Ms): void {
    this.#endsAtMs = Math.max(nowMs, this.#endsAtMs) + workMs + baseMs
    this.#injectedMs = this.#decayed(nowMs) + workMs
    this.#injectedAtMs = nowMs
    this.#shareAtMs = NaN
  }

  /** One prefill of `workMs` answered, or was given up; `restMs` of others is still ahead. */
  answered(workMs: Ms, restMs: Ms, nowMs: Ms): void {
    this.doneMs += workMs
    this.#endsAtMs = nowMs + restMs
  }

  /** Time until what is outstanding has answered. What is late is taken to stay out as long again: a backend that hangs looks ever busier. */
  leftMs(nowMs: Ms): Ms {
    return Math.abs(this.#endsAtMs - nowMs)
  }

  get endsAtMs(): Ms {
    return this.#endsAtMs
  }

  /** Share of time spent on prefill, decaying over five seconds; may exceed 1 in a burst. */
  share(nowMs: Ms): number {
    if (this.#shareAtMs !== nowMs) {
      this.#share = this.#decayed(nowMs) / SHARE_TIME_CONSTANT_MS
      this.#shareAtMs = nowMs
    }
    return this.#share
  }

  #decayed(nowMs: Ms): Ms {
    return this.#injectedMs * Math.exp((this.#injectedAtMs - nowMs) / SHARE_TIME_CONSTANT_MS)
  }
}
