import type { BackendId, Ms } from '../core/index.js'
import type { Attempt } from '../relay/index.js'

/** Everything that one attempt holds: its place in the backend's executor, its count, its upstream call. Released exactly once, here. */
export class Lease {
  readonly backend: BackendId
  readonly dispatchedAtMs: Ms
  attempt: Attempt | undefined
  #release: (() => void) | undefined

  constructor(backend: BackendId, dispatchedAtMs: Ms) {
    this.backend = backend
    this.dispatchedAtMs = dispatchedAtMs
  }

  get released(): boolean {
    return this.#released
  }

  #released = false

  /** Called when the executor lets the attempt run; what it holds until `release`. */
  hold(release: () => void): void {
    this.#release = release
  }

  /** False when it had been released before. */
  release(): boolean {
    if (this.#released) return false
    this.#released = true
    this.attempt = undefined
    this.#release?.()
    return true
  }
}
