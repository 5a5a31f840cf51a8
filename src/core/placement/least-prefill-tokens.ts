import { leastWithRandomTies } from './least-requests.js'
import type { Placement, PlacementContext } from './placement.js'

/** The backend with the fewest prompt tokens that it has not answered yet; fewest requests among equals. */
export function leastPrefillTokens({ random }: PlacementContext): Placement {
  return {
    reach: 'first-open',
    place: (_request, open) => leastWithRandomTies(open, (backend) => backend.prefillTokens + backend.requests * 1e-6, random),
  }
}
