import type { Backend } from '../ledger/backend.js'
import type { Placement, PlacementContext } from './placement.js'

/** Two different open backends drawn at random; the one with fewer requests in flight. */
export function powerOfTwo({ random }: PlacementContext): Placement {
  return {
    reach: 'first-open',
    place(_request, open) {
      const i = Math.floor(random.next() * open.length)
      if (open.length === 1) return open[0]
      const j = (i + 1 + Math.floor(random.next() * (open.length - 1))) % open.length
      const a = open[i] as Backend
      const b = open[j] as Backend
      return b.requests < a.requests ? b : a
    },
  }
}
