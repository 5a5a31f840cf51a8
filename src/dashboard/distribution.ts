import type { Histogram } from '../core/index.js'
import type { DistributionView } from './types.js'

const BINS = 36

/** The shape of a distribution between its extremes, in bins that grow by a factor; undefined while it is empty. */
export function distributionOf(histogram: Histogram, over: DistributionView['over']): DistributionView | undefined {
  const { min, max } = histogram
  const percentiles = histogram.percentiles()
  if (percentiles === undefined || min === undefined || max === undefined) return undefined
  // What is far below the middle says no more on a chart than that it is little: it is in the first bin.
  const low = Math.max(min, percentiles.p50 / 20, max / 1e4, 0.01) / 1.05
  const high = Math.max(max, low) * 1.05
  const growth = Math.pow(high / low, 1 / BINS)
  const edges = Array.from({ length: BINS + 1 }, (_, i) => low * Math.pow(growth, i))
  let before = 0
  const counts = edges.slice(1).map((edge) => {
    const upTo = histogram.countUpTo(edge)
    const count = upTo - before
    before = upTo
    return count
  })
  return { count: histogram.count, percentiles, edges: edges.map((edge) => Number(edge.toPrecision(4))), counts, over }
}
