import { leastBy, type Placement, type PlacementContext } from './placement.js'
import type { Backend } from '../ledger/backend.js'
import type { Random } from '../types.js'

/** The backend with the fewest requests in flight; one of them at random where several have as few. */
export function leastRequests({ random }: PlacementContext): Placement {
  return {
    reach: 'first-open',
    place: (_request, open) => leastWithRandomTies(open, (backend) => backend.requests, random),
  }
}

/** Ties go to a random one: otherwise an idle fleet's first backend gets everything that is short. */
export function leastWithRandomTies(open: readonly Backend[], cost: (backend: Backend) => number, random: Random): Backend {
  const first = leastBy(open, cost)
  const least = cost(first)
  let ties = 0
  let chosen = first
  for (const backend of open) {
    if (cost(backend) === least && random.next() * ++ties < 1) chosen = backend
  }
  return chosen
}
