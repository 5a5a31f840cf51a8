import type { Backend } from '../ledger/backend.js'
import type { TrackedRequest } from '../request.js'
import type { ServiceClass, Tokens } from '../types.js'
import { Heap } from './heap.js'

const byKey = (a: TrackedRequest, b: TrackedRequest): boolean =>
  a.key < b.key || (a.key === b.key && a.sequence < b.sequence)

/**
 * Where the requests of one class that any of the same backends can serve wait: a head that no backend can take holds up
 * its own lane only. Entries that left otherwise than by `shift()` are skipped when they come up.
 */
export class Lane {
  readonly class: ServiceClass
  /** Backends that serve it, by pool, most wanted pool first. */
  readonly tiers: readonly (readonly Backend[])[]
  /** The one tier that it may use when nothing is borrowed. */
  readonly home: readonly Backend[]
  queued = 0
  queuedTokens: Tokens = 0
  readonly #heap = new Heap<TrackedRequest>(byKey)

  constructor(serviceClass: ServiceClass, tiers: readonly (readonly Backend[])[], home: readonly Backend[]) {
    this.class = serviceClass
    this.tiers = tiers
    this.home = home
  }

  push(request: TrackedRequest): void {
    request.lane = this
    this.queued++
    this.queuedTokens += request.promptTokens
    this.#heap.push(request)
  }

  head(): TrackedRequest | undefined {
    let top = this.#heap.peek()
    while (top !== undefined && top.lane !== this) {
      this.#heap.pop()
      top = this.#heap.peek()
    }
    return top
  }

  /** Takes a request out, from wherever it stands. */
  remove(request: TrackedRequest): void {
    request.lane = undefined
    this.queued--
    this.queuedTokens -= request.promptTokens
    if (this.#heap.peek() === request) this.#heap.pop()
  }

  /** All that wait, in no order. */
  waiting(): readonly TrackedRequest[] {
    return this.#heap.items().filter(({ lane }) => lane === this)
  }

  /** Empties it, in order. */
  * drain(): Generator<TrackedRequest> {
    for (let request = this.head(); request !== undefined; request = this.head()) {
      this.remove(request)
      yield request
    }
  }
}
