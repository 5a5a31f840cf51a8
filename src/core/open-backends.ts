import type { Backend } from './ledger/backend.js'
import type { Lane } from './ordering/lane.js'
import type { Reach } from './placement/placement.js'
import type { HeldBy, TrackedRequest } from './request.js'
import type { Ms } from './types.js'

/**
 * Which backends may take a request now, whatever the policy: they serve its model, are healthy, have not failed it before,
 * and are below every hard bound. A degraded backend gets one request at a time while a healthy one exists.
 */
export class OpenBackends {
  /** Reused by every call. */
  readonly found: Backend[] = []
  /** Why there was none. */
  heldBy: HeldBy = 'no_backend'
  /** The earliest time at which a pause of an engine that refused ends; Infinity = none pauses. */
  resumesAtMs: Ms = Infinity

  /** `only`: the one backend to look at; undefined = all. */
  find(request: TrackedRequest, lane: Lane, reach: Reach, only: Backend | undefined, nowMs: Ms): readonly Backend[] {
    this.found.length = 0
    this.heldBy = 'no_backend'
    this.resumesAtMs = Infinity
    if (reach === 'home') {
      this.#add(request, lane.home, only, nowMs)
      return this.found
    }
    for (const tier of lane.tiers) {
      this.#add(request, tier, only, nowMs)
      if (reach === 'first-open' && this.found.length > 0) break
    }
    return this.found
  }

  #add(request: TrackedRequest, tier: readonly Backend[], only: Backend | undefined, nowMs: Ms): void {
    for (let i = 0; i < tier.length; i++) {
      const backend = tier[i] as Backend
      if (only !== undefined && backend !== only) continue
      const { state } = backend
      if (state === 'down' || state === 'draining') continue
      if (request.failedOn.length > 0 && request.failedOn.includes(backend.spec.id)) continue
      if (backend.backpressure.pausedUntilMs > nowMs) {
        this.resumesAtMs = Math.min(this.resumesAtMs, backend.backpressure.pausedUntilMs)
        this.heldBy = 'backpressure'
        continue
      }
      const limit = backend.limit(nowMs)
      if ((limit !== undefined && backend.requests >= limit) || (state === 'degraded' && backend.requests > 0 && tier.some((other) => other.state === 'up'))) {
        if (this.heldBy === 'no_backend') this.heldBy = 'concurrency'
        continue
      }
      this.found.push(backend)
    }
  }
}

/** Does the lane have a backend that could ever take the request: one that is not down or draining, and did not fail it? */
export function servable(request: TrackedRequest, lane: Lane): boolean {
  return lane.tiers.some((tier) => tier.some((backend) =>
    backend.state !== 'down' && backend.state !== 'draining' && !request.failedOn.includes(backend.spec.id)))
}
