import { mean } from './columns.js'
import type { QueueAlarm } from './types.js'

/** Seconds that count as now, and the seconds before them that they are held against. */
const NOW = 15
const GAP = 15
const BEFORE = 90
/** Fewer seconds than this before them are no past to be held against. */
const MIN_BEFORE = 30
/** p99 has risen when it grew by this much; p50 holds while it grew by less than that. */
const P99_RISES = 1.5
const P50_HOLDS = 1.2
/** Below this a p99 moves by itself. */
const NOTICEABLE_MS = 20

/**
 * The tail grows before the middle does: p99 of TTFT up by half while p50 stays says that a queue begins to build. Takes one
 * value a second, oldest first, NaN where nothing was measured. Undefined: no such sign, or too little known.
 */
export function earlyQueueing(p50: readonly number[], p99: readonly number[]): Omit<QueueAlarm, 'class'> | undefined {
  const now50 = mean(p50.slice(-NOW)), now99 = mean(p99.slice(-NOW))
  const from = -(NOW + GAP + BEFORE), to = -(NOW + GAP)
  if (p99.slice(from, to).filter((value) => !Number.isNaN(value)).length < MIN_BEFORE) return undefined
  const before50 = mean(p50.slice(from, to)), before99 = mean(p99.slice(from, to))
  if (now50 === undefined || now99 === undefined || before50 === undefined || before99 === undefined) return undefined
  const rises = now99 > before99 * P99_RISES && now99 - before99 > NOTICEABLE_MS
  const holds = now50 < before50 * P50_HOLDS
  return rises && holds ? { p50Ms: now50, p99Ms: now99, beforeP50Ms: before50, beforeP99Ms: before99 } : undefined
}
