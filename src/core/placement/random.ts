import type { Random } from '../types.js'
import type { Placement } from './placement.js'

/** Any open backend, each as likely. */
export function randomPlacement(random: Random): Placement {
  return {
    reach: 'first-open',
    place: (_request, open) => open[Math.floor(random.next() * open.length)],
  }
}
