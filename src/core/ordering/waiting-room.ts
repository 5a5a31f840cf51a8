import type { Fleet } from '../fleet.js'
import type { TrackedRequest } from '../request.js'
import type { ClassName, Ms } from '../types.js'
import { DrainRate } from './drain-rate.js'
import { Heap } from './heap.js'
import type { Lane } from './lane.js'

/** Everything that waits, in whichever lane: how many by class, how fast they leave, and who has waited too long. */
export class WaitingRoom {
  /** How fast each class's queue empties. */
  readonly drain = new Map<ClassName, DrainRate>()
  /** Requests that wait. */
  size = 0
  readonly #fleet: Fleet
  readonly #byClass = new Map<ClassName, number>()
  readonly #expiries = new Heap<TrackedRequest>((a, b) => a.expiresAtMs < b.expiresAtMs || (a.expiresAtMs === b.expiresAtMs && a.sequence < b.sequence))

  constructor(fleet: Fleet) {
    this.#fleet = fleet
  }

  enter(request: TrackedRequest, lane: Lane, nowMs: Ms): void {
    request.queuedAtMs = nowMs
    lane.push(request)
    this.size++
    if (request.interactive) this.#fleet.interactiveQueued++
    this.#byClass.set(request.class.name, this.queued(request.class.name) + 1)
  }

  /** Out of the queue, for whatever reason; `hopeful` = sent, with its targets in reach. */
  leave(request: TrackedRequest, hopeful: boolean, nowMs: Ms): void {
    request.lane?.remove(request)
    this.size--
    if (request.interactive) this.#fleet.interactiveQueued--
    const { name } = request.class
    this.#byClass.set(name, this.queued(name) - 1)
    this.drainRate(name, nowMs).departed(nowMs)
    if (request.targeted && request.attempts === 0) this.#fleet.minShares.left(request.class, hopeful, nowMs)
  }

  queued(name: ClassName): number {
    return this.#byClass.get(name) ?? 0
  }

  drainRate(name: ClassName, nowMs: Ms): DrainRate {
    let rate = this.drain.get(name)
    if (rate === undefined) {
      rate = new DrainRate(nowMs)
      this.drain.set(name, rate)
    }
    return rate
  }

  /** It was not sent at once: it will be given up at its `expiresAtMs`. */
  watch(request: TrackedRequest): void {
    if (this.#expiries.size > 2 * this.size + 64) this.#expiries.retain(({ lane }) => lane !== undefined)
    this.#expiries.push(request)
  }

  /** It has come back, and its `expiresAtMs` is about to change. */
  unwatch(request: TrackedRequest): void {
    this.#expiries.retain((other) => other !== request)
  }

  /** The waiting request that expires first; entries of those that left are dropped on the way. */
  nextExpiry(): TrackedRequest | undefined {
    let next = this.#expiries.peek()
    while (next !== undefined && next.lane === undefined) {
      this.#expiries.pop()
      next = this.#expiries.peek()
    }
    return next
  }
}
