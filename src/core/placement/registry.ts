import type { PolicyName } from '../events.js'
import { leastPrefillTokens } from './least-prefill-tokens.js'
import { leastRequests } from './least-requests.js'
import type { Placement, PlacementContext } from './placement.js'
import { powerOfTwo } from './power-of-two.js'
import { randomPlacement } from './random.js'
import { roundRobin } from './round-robin.js'
import { slo } from './slo/slo.js'

const REGISTRY: Record<PolicyName, (context: PlacementContext) => Placement> = {
  slo,
  'random': randomPlacement,
  'round-robin': roundRobin,
  'power-of-two': powerOfTwo,
  'least-requests': leastRequests,
  'least-prefill-tokens': leastPrefillTokens,
  'session-hash': leastRequests,
  'cache-aware': leastRequests,
  'static-pools': leastRequests,
}

export function createPlacement(policy: PolicyName, context: PlacementContext): Placement {
  return REGISTRY[policy](context)
}
