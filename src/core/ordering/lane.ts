import type { Backend } from '../ledger/backend.js'
import type { TrackedRequest } from '../request.js'
import type { ServiceClass, TenantName, Tokens } from '../types.js'
import type { FairShare } from './fair-share.js'
import { Heap } from './heap.js'

const byKey = (a: TrackedRequest, b: TrackedRequest): boolean =>
  a.key < b.key || (a.key === b.key && a.sequence < b.sequence)

/**
 * What is expected of requests that wait: to make their targets, maybe to make them, or not to; a `probe` is not expected to
 * either, and goes as if it were.
 */
export type Prospect = 'good' | 'probe' | 'doubtful' | 'none'

/** Backends that a lane's requests may go to. */
export interface Reachable {
  /** By pool, most wanted pool first. */
  readonly tiers: readonly (readonly Backend[])[]
  /** The one tier that is used when nothing is borrowed. */
  readonly home: readonly Backend[]
}

/**
 * Where the requests of one class that any of the same backends can serve wait: a head that no backend can take holds up
 * its own lane only. Inside, tenants take turns by what they were served, and a tenant's own requests go by key.
 *
 * Entries that left otherwise than from the head are skipped when they come up.
 */
export class Lane {
  readonly class: ServiceClass
  readonly tiers: readonly (readonly Backend[])[]
  readonly home: readonly Backend[]
  readonly prospect: Prospect
  /** Where it stands among lanes at this moment; smaller goes first. */
  urgency = 0
  queued = 0
  queuedTokens: Tokens = 0
  readonly #tierOf = new Map<Backend, readonly Backend[]>()
  readonly #tenants = new Map<TenantName, Heap<TrackedRequest>>()
  readonly #shares: FairShare
  readonly #aside: TrackedRequest[] = []
  #head: TrackedRequest | undefined

  constructor(serviceClass: ServiceClass, { tiers, home }: Reachable, prospect: Prospect, shares: FairShare) {
    this.class = serviceClass
    this.tiers = tiers
    this.home = home
    this.prospect = prospect
    this.#shares = shares
    for (const tier of tiers) {
      for (const backend of tier) this.#tierOf.set(backend, tier)
    }
  }

  /** The tier that a backend belongs to here; undefined = the lane's requests may not go there. */
  tierOf(backend: Backend, homeOnly: boolean): readonly Backend[] | undefined {
    if (homeOnly) return this.home.includes(backend) ? this.home : undefined
    return this.#tierOf.get(backend)
  }

  push(request: TrackedRequest): void {
    request.lane = this
    this.queued++
    this.queuedTokens += request.promptTokens
    this.#insert(request)
    this.#shares.waits(request.spec.tenant)
  }

  /** Whose turn it is; stays the same until it leaves or another comes. */
  head(): TrackedRequest | undefined {
    if (this.queued === this.#aside.length) return undefined
    return this.#head ??= this.#nextHead()
  }

  /** Takes a request out, from wherever it stands. */
  remove(request: TrackedRequest): void {
    request.lane = undefined
    this.queued--
    this.queuedTokens -= request.promptTokens
    this.#head = undefined
    const { tenant } = request.spec
    this.#shares.left(tenant)
    const heap = this.#tenants.get(tenant)
    if (heap?.peek() === request) heap.pop()
    // The heaps stay: with a fresh one per request, and a fresh table for it, requests outlive their end (see `ById`).
    if (this.queued === 0) for (const waiting of this.#tenants.values()) waiting.clear()
  }

  /** Lets the next one become the head, until `restore()`. */
  setAside(request: TrackedRequest): void {
    this.#tenants.get(request.spec.tenant)?.pop()
    this.#aside.push(request)
    this.#head = undefined
  }

  restore(): void {
    for (const request of this.#aside) this.#insert(request)
    this.#aside.length = 0
  }

  /** All that wait, in no order. */
  waiting(): readonly TrackedRequest[] {
    return [...this.#tenants.values()].flatMap((heap) => heap.items().filter(({ lane }) => lane === this))
  }

  /** Empties it, in order. */
  * drain(): Generator<TrackedRequest> {
    for (let request = this.head(); request !== undefined; request = this.head()) {
      this.remove(request)
      yield request
    }
  }

  #insert(request: TrackedRequest): void {
    const { tenant } = request.spec
    let heap = this.#tenants.get(tenant)
    if (heap === undefined) {
      heap = new Heap(byKey)
      this.#tenants.set(tenant, heap)
    }
    heap.push(request)
    this.#head = undefined
  }

  #nextHead(): TrackedRequest | undefined {
    let next: TrackedRequest | undefined
    let least = Infinity
    for (const [tenant, heap] of this.#tenants) {
      const top = this.#top(heap)
      if (top === undefined) {
        this.#tenants.delete(tenant)
        continue
      }
      // What comes back from an attempt has had its turn already.
      const served = top.key === -Infinity ? -Infinity : this.#shares.served(tenant)
      if (next === undefined || served < least || (served === least && byKey(top, next))) {
        next = top
        least = served
      }
    }
    return next
  }

  #top(heap: Heap<TrackedRequest>): TrackedRequest | undefined {
    let top = heap.peek()
    while (top !== undefined && top.lane !== this) {
      heap.pop()
      top = heap.peek()
    }
    return top
  }
}
