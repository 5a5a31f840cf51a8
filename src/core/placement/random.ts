import type { Placement, PlacementContext } from './placement.js'

/** Any open backend, each as likely. */
export function randomPlacement({ random }: PlacementContext): Placement {
  return {
    reach: 'first-open',
    place: (_request, open) => open[Math.floor(random.next() * open.length)],
  }
}
