import type { Backend } from './ledger/backend.js'
import type { Lane } from './ordering/lane.js'
import type { Reach } from './placement/placement.js'
import type { HeldBy, TrackedRequest } from './request.js'
import type { Ms } from './types.js'

/**
 * Which backends may take a request now, whatever the policy: they serve its model, are healthy, are not among those that
 * failed it, and are below every hard bound. A degraded backend gets one request at a time while a healthy one exists, and the rest
 * of no answer that a healthy one can go on with, be it a little later: whoever has that has waited for long enough.
 */
export class OpenBackends {
  /** Reused by every call. */
  readonly found: Backend[] = []
  /** Why there was none. */
  heldBy: HeldBy = 'no_backend'
  /** The earliest time at which a pause of an engine that refused ends; Infinity = none pauses. */
  resumesAtMs: Ms = Infinity

  find(request: TrackedRequest, lane: Lane, reach: Reach, nowMs: Ms): readonly Backend[] {
    this.#clear()
    if (reach === 'home') {
      this.#addTier(request, lane.home, nowMs)
      return this.found
    }
    for (const tier of lane.tiers) {
      this.#addTier(request, tier, nowMs)
      if (reach === 'first-open' && this.found.length > 0) break
    }
    return this.found
  }

  /** The same, of one backend only. */
  findOne(request: TrackedRequest, lane: Lane, reach: Reach, backend: Backend, nowMs: Ms): readonly Backend[] {
    this.#clear()
    const tier = lane.tierOf(backend, reach === 'home')
    if (tier !== undefined) this.#add(request, backend, tier, nowMs)
    return this.found
  }

  #clear(): void {
    this.found.length = 0
    this.heldBy = 'no_backend'
    this.resumesAtMs = Infinity
  }

  #addTier(request: TrackedRequest, tier: readonly Backend[], nowMs: Ms): void {
    for (let i = 0; i < tier.length; i++) this.#add(request, tier[i] as Backend, tier, nowMs)
  }

  #add(request: TrackedRequest, backend: Backend, tier: readonly Backend[], nowMs: Ms): void {
    const { state } = backend
    if (state === 'down' || state === 'draining') return
    if (request.excludes(backend)) return
    if (backend.backpressure.pausedUntilMs > nowMs) {
      this.resumesAtMs = Math.min(this.resumesAtMs, backend.backpressure.pausedUntilMs)
      this.heldBy = 'backpressure'
      return
    }
    const limit = backend.limit(nowMs)
    if ((limit !== undefined && backend.requests >= limit) || (state === 'degraded' && isSetBack(request, backend, tier, nowMs))) {
      if (this.heldBy === 'no_backend') this.heldBy = 'concurrency'
      return
    }
    this.found.push(backend)
  }
}

function isSetBack(request: TrackedRequest, degraded: Backend, tier: readonly Backend[], nowMs: Ms): boolean {
  if ((degraded.probing?.inFlight ?? degraded.requests) > 0 && tier.some(({ state }) => state === 'up')) return true
  return request.continues && tier.some((other) => other.state === 'up' && other.backpressure.pausedUntilMs <= nowMs && !request.excludes(other))
}

/** Does the lane have a backend that could ever take the request: one that is not down or draining, and is not excluded? */
export function servable(request: TrackedRequest, lane: Lane): boolean {
  return lane.tiers.some((tier) => tier.some((backend) =>
    backend.state !== 'down' && backend.state !== 'draining' && !request.excludes(backend)))
}

/** May the lane come to have one: is any of its backends merely down, and fit for the request? */
export function returnable({ spec: { unfit } }: TrackedRequest, lane: Lane): boolean {
  return lane.tiers.some((tier) => tier.some((backend) => backend.state !== 'draining' && unfit?.includes(backend.spec.id) !== true))
}
