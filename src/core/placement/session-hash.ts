import type { Backend } from '../ledger/backend.js'
import { leastRequests } from './least-requests.js'
import type { Placement, PlacementContext } from './placement.js'

/**
 * The same session on the same backend, by rendezvous hashing: when a backend comes or goes, only its own sessions move. A request
 * without a session goes to the backend with the fewest requests.
 */
export function sessionHash(context: PlacementContext): Placement {
  const sessionless = leastRequests(context)
  return {
    reach: 'first-open',
    place(request, open, nowMs) {
      const { sessionKey } = request.spec
      if (sessionKey === undefined) return sessionless.place(request, open, nowMs)
      let best: Backend | undefined
      let highest = -1
      for (const backend of open) {
        const weight = hash(sessionKey, backend.spec.id)
        if (weight > highest) {
          best = backend
          highest = weight
        }
      }
      return best
    },
  }
}

/** 32 bits of FNV-1a over both, mixed so that close keys are far apart (the finaliser of MurmurHash3). */
function hash(key: string, id: string): number {
  let h = 0x811c9dc5
  for (let i = 0; i < key.length; i++) h = Math.imul(h ^ key.charCodeAt(i), 0x01000193)
  h = Math.imul(h ^ 0xff, 0x01000193)
  for (let i = 0; i < id.length; i++) h = Math.imul(h ^ id.charCodeAt(i), 0x01000193)
  h = Math.imul(h ^ (h >>> 16), 0x85ebca6b)
  h = Math.imul(h ^ (h >>> 13), 0xc2b2ae35)
  return (h ^ (h >>> 16)) >>> 0
}
