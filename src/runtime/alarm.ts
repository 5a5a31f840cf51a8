import type { Clock, Ms } from '../core/index.js'

/** The longest delay that Node's timers take. */
const MAX_DELAY_MS = 2 ** 31 - 1

/** One re-armable timer: the only one that the scheduler ever needs, since it knows what is due next. */
export class Alarm {
  readonly #clock: Clock
  readonly #ring: () => void
  #timer: NodeJS.Timeout | undefined

  constructor(clock: Clock, ring: () => void) {
    this.#clock = clock
    this.#ring = ring
  }

  set(atMs: Ms): void {
    clearTimeout(this.#timer)
    // Rounded up: a timer that fires before its time would have to be set again.
    const delayMs = Math.min(MAX_DELAY_MS, Math.max(0, Math.ceil(atMs - this.#clock.now())))
    this.#timer = setTimeout(this.#ring, delayMs)
  }

  clear(): void {
    clearTimeout(this.#timer)
    this.#timer = undefined
  }
}
