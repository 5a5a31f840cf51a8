import type { Ms } from '../types.js'

/** Time over which departures are averaged. */
const TIME_CONSTANT_MS = 5000

/** How fast a queue empties: departures per second, exponentially decayed. */
export class DrainRate {
  #count = 0
  #atMs: Ms

  constructor(nowMs: Ms) {
    this.#atMs = nowMs
  }

  departed(nowMs: Ms): void {
    this.#decay(nowMs)
    this.#count++
  }

  perSecond(nowMs: Ms): number {
    this.#decay(nowMs)
    return this.#count / TIME_CONSTANT_MS * 1000
  }

  #decay(nowMs: Ms): void {
    this.#count *= Math.exp((this.#atMs - nowMs) / TIME_CONSTANT_MS)
    this.#atMs = nowMs
  }
}
