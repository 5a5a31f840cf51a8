import type { BackendId } from '../core/index.js'
import type { Attempt } from '../relay/index.js'

/** Where a lease holds a place. */
export interface Place {
  leave(): void
}

/** Everything that one attempt holds: its place at the backend, its count, its upstream call. Released exactly once, here. */
export class Lease {
  readonly backend: BackendId
  attempt: Attempt | undefined
  #place: Place | undefined

  constructor(backend: BackendId) {
    this.backend = backend
  }

  get released(): boolean {
    return this.#released
  }

  #released = false

  /** Called when the attempt may run; the place is held until `release`. */
  hold(place: Place): void {
    this.#place = place
  }

  /** False when it had been released before. */
  release(): boolean {
    if (this.#released) return false
    this.#released = true
    this.attempt = undefined
    this.#place?.leave()
    return true
  }
}
