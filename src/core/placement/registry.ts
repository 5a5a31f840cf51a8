import type { PolicyName } from '../events.js'
import type { Random } from '../types.js'
import { leastPrefillTokens } from './least-prefill-tokens.js'
import { leastRequests } from './least-requests.js'
import type { Placement } from './placement.js'
import { powerOfTwo } from './power-of-two.js'
import { randomPlacement } from './random.js'
import { roundRobin } from './round-robin.js'

const REGISTRY: Record<PolicyName, (random: Random) => Placement> = {
  'slo': leastRequests,
  'random': randomPlacement,
  'round-robin': roundRobin,
  'power-of-two': powerOfTwo,
  'least-requests': leastRequests,
  'least-prefill-tokens': leastPrefillTokens,
  'session-hash': leastRequests,
  'cache-aware': leastRequests,
  'static-pools': leastRequests,
}

export function createPlacement(policy: PolicyName, random: Random): Placement {
  return REGISTRY[policy](random)
}
