import type { Clock, Ms } from '../core/index.js'

/** Node's timers may be this late; the rest of a wait is spent looking at the clock between turns of the event loop. */
const TIMER_SLACK_MS = 1.5
/**
 * Slept between two looks, and with it the most that an answer's arrival is noted late. Without a rest the looks would take the core, which
 * the servers under test may share, and leave so much garbage that collecting it stops the clock for milliseconds.
 */
const REST_MS = 0.1
const NEVER = new Int32Array(new SharedArrayBuffer(4))

/** Calls back at a point in time, punctual to a turn of the event loop: a request that is sent late would be measured as slow. */
export class PunctualAlarm {
  #timer: NodeJS.Timeout | undefined
  #turn: NodeJS.Immediate | undefined
  #atMs: Ms = 0
  #ring: () => void = () => {}

  constructor(private readonly clock: Clock) {}

  set(atMs: Ms, ring: () => void): void {
    this.cancel()
    this.#atMs = atMs
    this.#ring = ring
    const waitMs = atMs - this.clock.now() - TIMER_SLACK_MS
    if (waitMs >= 1) this.#timer = setTimeout(this.#watch, Math.floor(waitMs))
    else this.#watch()
  }

  cancel(): void {
    clearTimeout(this.#timer)
    clearImmediate(this.#turn)
  }

  readonly #watch = (): void => {
    const leftMs = this.#atMs - this.clock.now()
    if (leftMs <= 0) {
      this.#ring()
      return
    }
    Atomics.wait(NEVER, 0, 0, Math.min(REST_MS, leftMs))
    this.#turn = setImmediate(this.#watch)
  }
}
