import type { Backend } from '../ledger/backend.js'
import type { Placement } from './placement.js'

/** The open backend that was served longest ago: strict rotation while all are open, and fair when some are not. */
export function roundRobin(): Placement {
  const turns = new WeakMap<Backend, number>()
  let turn = 0
  return {
    reach: 'first-open',
    place(_request, open) {
      let next = open[0] as Backend
      let oldest = turns.get(next) ?? 0
      for (let i = 1; i < open.length && oldest > 0; i++) {
        const backend = open[i] as Backend
        const last = turns.get(backend) ?? 0
        if (last < oldest) {
          next = backend
          oldest = last
        }
      }
      turns.set(next, ++turn)
      return next
    },
  }
}
