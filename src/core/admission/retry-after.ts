import type { Ms, Random } from '../types.js'

const SHORTEST_MS = 100
const LONGEST_MS = 30_000

/**
 * When it is worth trying again: the time in which the queue ahead drains at the measured rate, spread by ±25 % so that
 * those refused together do not come back together. Without a measured rate, the longest.
 */
export function retryAfterMs(queued: number, drainPerSecond: number, random: Random): Ms {
  const drained = drainPerSecond > 0 ? (queued + 1) / drainPerSecond * 1000 : LONGEST_MS
  return Math.round(Math.min(LONGEST_MS, Math.max(SHORTEST_MS, drained)) * (0.75 + 0.5 * random.next()))
}
