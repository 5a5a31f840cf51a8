import type { Ms } from '../types.js'

/** Probes are forgotten at this rate: the last ones count most. */
const MEMORY_PROBES = 100
/** Fewer probes prove nothing. */
const MIN_PROBES = 20
/** How long enforcement stays off after a measurement above the limit. */
const TRIPPED_MS = 30_000

/** How often a verdict `infeasible` was wrong, measured on the requests that were admitted in spite of it. */
export class FalseRejections {
  probed = 0
  wouldHaveMet = 0
  #weight = 0
  #metWeight = 0
  readonly #maxRatio: number
  #trippedUntilMs: Ms = -Infinity

  constructor(maxRatio: number) {
    this.#maxRatio = maxRatio
  }

  /** A probe ended; `met` = it made its targets. */
  measured(met: boolean, nowMs: Ms): void {
    const keep = 1 - 1 / MEMORY_PROBES
    this.probed++
    this.#weight = this.#weight * keep + 1
    this.#metWeight *= keep
    if (met) {
      this.wouldHaveMet++
      this.#metWeight++
    }
    if (this.probed >= MIN_PROBES && this.#metWeight / this.#weight > this.#maxRatio) this.#trippedUntilMs = nowMs + TRIPPED_MS
  }

  /** Enforcement is off. Probes go on, and each that finds the ratio still above the limit keeps it off. */
  tripped(nowMs: Ms): boolean {
    return nowMs < this.#trippedUntilMs
  }
}
