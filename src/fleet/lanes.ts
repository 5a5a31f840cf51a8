import PQueue from 'p-queue'

/** Probes at once to backends that answer, and to those that lately did not. */
const PROMPT_LANE = 16
const SUSPECT_LANE = 8

/**
 * Bounded concurrency for checks and scrapes. A backend whose last probe got no answer waits in a lane of its own, so that
 * any number of hung servers never delays a check of the others.
 */
export class ProbeLanes {
  readonly #prompt = new PQueue({ concurrency: PROMPT_LANE })
  readonly #suspect = new PQueue({ concurrency: SUSPECT_LANE })

  run<T>(suspect: boolean, task: () => Promise<T>): Promise<T> {
    return (suspect ? this.#suspect : this.#prompt).add(task)
  }
}
