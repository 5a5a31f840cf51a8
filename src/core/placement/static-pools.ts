import { leastWithRandomTies } from './least-requests.js'
import type { Placement, PlacementContext } from './placement.js'

/** Every class in its own pool and nowhere else; there, the backend with the fewest requests. */
export function staticPools({ random }: PlacementContext): Placement {
  return {
    reach: 'home',
    place: (_request, open) => leastWithRandomTies(open, (backend) => backend.requests, random),
  }
}
