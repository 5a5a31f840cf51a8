import type { PolicyName } from '../events.js'
import { cacheAware } from './cache-aware.js'
import { leastPrefillTokens } from './least-prefill-tokens.js'
import { leastRequests } from './least-requests.js'
import type { Placement, PlacementContext } from './placement.js'
import { powerOfTwo } from './power-of-two.js'
import { randomPlacement } from './random.js'
import { roundRobin } from './round-robin.js'
import { sessionHash } from './session-hash.js'
import { slo } from './slo/slo.js'
import { staticPools } from './static-pools.js'

const REGISTRY: Record<PolicyName, (context: PlacementContext) => Placement> = {
  slo,
  'random': randomPlacement,
  'round-robin': roundRobin,
  'power-of-two': powerOfTwo,
  'least-requests': leastRequests,
  'least-prefill-tokens': leastPrefillTokens,
  'session-hash': sessionHash,
  'cache-aware': cacheAware,
  'static-pools': staticPools,
}

export function createPlacement(policy: PolicyName, context: PlacementContext): Placement {
  return REGISTRY[policy](context)
}
