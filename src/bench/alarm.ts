import type { Clock, Ms } from '../core/index.js'

/** Node's timers may be this late; the rest of a wait is spent looking at the clock between turns of the event loop. */
const TIMER_SLACK_MS = 1.5

/** Calls back at a point in time, punctual to a turn of the event loop: a request that is sent late would be measured as slow. */
export class PunctualAlarm {
  #timer: NodeJS.Timeout | undefined
  #turn: NodeJS.Immediate | undefined

  constructor(private readonly clock: Clock) {}

  set(atMs: Ms, ring: () => void): void {
    this.cancel()
    const waitMs = atMs - this.clock.now() - TIMER_SLACK_MS
    if (waitMs >= 1) this.#timer = setTimeout(() => { this.#watch(atMs, ring) }, Math.floor(waitMs))
    else this.#watch(atMs, ring)
  }

  cancel(): void {
    clearTimeout(this.#timer)
    clearImmediate(this.#turn)
  }

  #watch(atMs: Ms, ring: () => void): void {
    if (this.clock.now() >= atMs) ring()
    else this.#turn = setImmediate(() => { this.#watch(atMs, ring) })
  }
}
