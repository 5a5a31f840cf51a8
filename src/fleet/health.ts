import type { Ms } from '../core/index.js'
import type { HealthReading } from './engines/adapter.js'

export interface HealthOptions {
  /** Failed checks in a row before it is down. */
  readonly downAfter: number
  /** Good checks in a row before it is up again. */
  readonly upAfter: number
}

export type HealthStatus = 'unchecked' | 'up' | 'down'

/** What active checks say of one backend. Before the first check nothing is known, and nothing is promised. */
export class Health {
  #options: HealthOptions
  #status: HealthStatus = 'unchecked'
  #failures = 0
  #successes = 0
  #okAtMs: Ms | undefined
  #recoveredAtMs: Ms | undefined

  constructor(options: HealthOptions) {
    this.#options = options
  }

  get status(): HealthStatus {
    return this.#status
  }

  get okAtMs(): Ms | undefined {
    return this.#okAtMs
  }

  /** When it last came back after having been down; undefined = never. */
  get recoveredAtMs(): Ms | undefined {
    return this.#recoveredAtMs
  }

  configure(options: HealthOptions): void {
    this.#options = options
  }

  observe(reading: HealthReading, nowMs: Ms): void {
    if (reading === 'failed') {
      this.#successes = 0
      this.#failures++
      // The very first check decides alone: there is nothing to be patient with.
      if (this.#status === 'unchecked' || this.#failures >= this.#options.downAfter) this.#status = 'down'
      return
    }
    this.#okAtMs = nowMs
    this.#failures = 0
    this.#successes++
    if (this.#status === 'unchecked') this.#status = 'up'
    else if (this.#status === 'down' && this.#successes >= this.#options.upAfter) {
      this.#status = 'up'
      this.#recoveredAtMs = nowMs
    }
  }
}
