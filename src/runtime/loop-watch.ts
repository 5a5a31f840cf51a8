import type { Clock, Ms } from '../core/index.js'

const INTERVAL_MS: Ms = 50
/** One long turn is a large body or a collection of garbage; saturation shows in every turn. */
const SAMPLES = 4

/**
 * How late the event loop runs, measured by a timer that knows when it was due. What is late for the timer is late for
 * every event of every stream. Told is the least of the last few delays: the loop has been at least that late all the time.
 */
export class LoopWatch {
  readonly #clock: Clock
  readonly #delays = new Float64Array(SAMPLES)
  readonly #timer: NodeJS.Timeout
  #dueAtMs: Ms
  #next = 0

  constructor(clock: Clock) {
    this.#clock = clock
    this.#dueAtMs = clock.now() + INTERVAL_MS
    this.#timer = setInterval(() => { this.#sample() }, INTERVAL_MS).unref()
  }

  get lagMs(): Ms {
    return Math.min(...this.#delays)
  }

  stop(): void {
    clearInterval(this.#timer)
  }

  #sample(): void {
    const nowMs = this.#clock.now()
    this.#delays[this.#next] = Math.max(0, nowMs - this.#dueAtMs)
    this.#next = (this.#next + 1) % SAMPLES
    this.#dueAtMs = nowMs + INTERVAL_MS
  }
}
