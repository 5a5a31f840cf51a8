import { setImmediate as nextTurn } from 'node:timers/promises'
import type { Clock, Ms } from '../core/index.js'

/** Work in small pieces: it pauses where streams may go on. */
export type Work<T = void> = Generator<undefined, T, undefined>

/** Time of one turn; a piece of work is well below it. */
const TURN_MS: Ms = 0.25

/** Does one work after another, each in turns, so that none of them holds up streams for longer than a turn. */
export class Turns {
  readonly #clock: Clock
  #last: Promise<unknown> = Promise.resolve()

  constructor(clock: Clock) {
    this.#clock = clock
  }

  /** Resolves when the work is done; what was given before it is done first. */
  do<T>(work: Work<T>): Promise<T> {
    const done = this.#last.then(() => this.#run(work))
    this.#last = done.catch(() => undefined)
    return done
  }

  async #run<T>(work: Work<T>): Promise<T> {
    for (;;) {
      await nextTurn()
      const untilMs = this.#clock.now() + TURN_MS
      do {
        const step = work.next()
        if (step.done === true) return step.value
      } while (this.#clock.now() < untilMs)
    }
  }
}

/** The whole of it now. */
export function atOnce<T>(work: Work<T>): T {
  for (;;) {
    const step = work.next()
    if (step.done === true) return step.value
  }
}
