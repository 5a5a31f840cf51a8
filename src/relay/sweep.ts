import type { Clock, Ms } from '../core/index.js'

/** Something with deadlines or counters that wants a look some times a second. */
export interface Swept {
  sweep(nowMs: Ms): void
}

/**
 * One timer for all streams. A timer per chunk would be re-armed tens of thousands of times a second; a deadline that is
 * looked at every `intervalMs` costs one comparison, and is late by at most that.
 */
export class Sweep {
  readonly #items = new Set<Swept>()
  readonly #clock: Clock
  readonly #intervalMs: Ms
  #timer: NodeJS.Timeout | undefined

  constructor(clock: Clock, intervalMs: Ms = 100) {
    this.#clock = clock
    this.#intervalMs = intervalMs
  }

  get size(): number {
    return this.#items.size
  }

  add(item: Swept): void {
    this.#items.add(item)
    // After a standstill of this process timers come before what has arrived meanwhile; nobody is late whose bytes wait to be read.
    this.#timer ??= setInterval(() => { setImmediate(() => this.#run()) }, this.#intervalMs)
  }

  /** Nothing is left running when nothing is watched, so that a process can end. */
  remove(item: Swept): void {
    if (this.#items.delete(item) && this.#items.size === 0) {
      clearInterval(this.#timer)
      this.#timer = undefined
    }
  }

  #run(): void {
    const nowMs = this.#clock.now()
    for (const item of this.#items) item.sweep(nowMs)
  }
}
