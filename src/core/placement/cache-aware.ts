import type { Backend } from '../ledger/backend.js'
import { leastRequests } from './least-requests.js'
import { leastBy, type Placement, type PlacementContext } from './placement.js'

/** The fleet is out of balance when the busiest backend has this many requests more than the idlest, */
const IMBALANCE_REQUESTS = 32
/** and this many times as many. */
const IMBALANCE_RATIO = 1.5
/** A prefix found on a backend counts from this share of the prompt on. */
const MATCH_SHARE = 0.3

/**
 * The backend that holds the longest part of the prompt, if that is a good part of it; else the one that caches least, so
 * that prefixes spread. While the fleet is out of balance, the one with the fewest requests.
 */
export function cacheAware(context: PlacementContext): Placement {
  const balanced = leastRequests(context)
  return {
    reach: 'first-open',
    place(request, open, nowMs) {
      const { prefixHashes } = request.spec
      if (prefixHashes.length === 0 || isImbalanced(open)) return balanced.place(request, open, nowMs)
      const longest = leastBy(open, (backend) => -backend.prefixes.cachedBlocks(prefixHashes))
      if (longest.prefixes.cachedBlocks(prefixHashes) >= MATCH_SHARE * prefixHashes.length) return longest
      return leastBy(open, (backend) => backend.prefixes.blocks)
    },
  }
}

function isImbalanced(open: readonly Backend[]): boolean {
  let fewest = Infinity
  let most = 0
  for (const { requests } of open) {
    fewest = Math.min(fewest, requests)
    most = Math.max(most, requests)
  }
  return most - fewest > IMBALANCE_REQUESTS && most > IMBALANCE_RATIO * fewest
}
