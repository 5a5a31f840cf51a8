import type { Explanation } from '../events.js'
import type { Backend } from '../ledger/backend.js'
import type { TrackedRequest } from '../request.js'
import type { Fleet } from '../fleet.js'
import type { Ms, Random } from '../types.js'

/** What policies are made with. */
export interface PlacementContext {
  readonly random: Random
  readonly fleet: Fleet
}

/**
 * How far a policy looks. `first-open`: the first pool, in the class's order, that has a backend to take the request;
 * `home`: the class's first pool and no other; `all`: every pool of the class at once.
 */
export type Reach = 'first-open' | 'home' | 'all'

/**
 * A placement policy. It decides where a request goes, or that it waits; the scheduler owns every ledger and carries it out.
 */
export interface Placement {
  readonly reach: Reach
  /**
   * `open`: backends that may take the request now, in the class's order of pools; never empty, valid during the call only.
   * Answers one of them, or undefined to let the request wait (and says why in `request.heldBy`).
   */
  place(request: TrackedRequest, open: readonly Backend[], nowMs: Ms): Backend | undefined
  /** The figures behind the last placement, where the policy has any. */
  readonly figures?: Partial<Explanation>
}

/** The best of `backends` by `cost` (lower is better); the first of equals. `backends` is not empty. */
export function leastBy(backends: readonly Backend[], cost: (backend: Backend) => number): Backend {
  let best = backends[0] as Backend
  let least = cost(best)
  for (let i = 1; i < backends.length; i++) {
    const backend = backends[i] as Backend
    const value = cost(backend)
    if (value < least) {
      best = backend
      least = value
    }
  }
  return best
}
