import type { Ms } from '../types.js'
import type { Lane } from './lane.js'

/** Work without a first-token target is as urgent as any other once so much of its time is gone. */
const LATE_SHARE = 0.5
/** Rank of what may not make its targets, and of what won't. */
const DOUBTFUL = 2
const BEST_EFFORT = 3

/**
 * The order in which lanes are asked for their heads: interactive work and what has become urgent, then work that has time,
 * then best effort. Among equals the one whose head has the smallest share of its time left, so that classes wait in proportion
 * to what they allow; a class of twice the weight is treated as if half of that were left.
 *
 * Every head's share shrinks while it waits and reaches the front in the end: nothing starves longer than its own limit.
 */
export function inOrder(lanes: readonly Lane[], nowMs: Ms, into: Lane[]): readonly Lane[] {
  into.length = 0
  for (const lane of lanes) {
    if (lane.queued === 0) continue
    lane.urgency = urgency(lane, nowMs)
    let at = into.length
    while (at > 0 && (into[at - 1] as Lane).urgency > lane.urgency) {
      into[at] = into[at - 1] as Lane
      at--
    }
    into[at] = lane
  }
  return into
}

/** Smaller goes first. The whole part is a rank, the rest a share of time left. */
function urgency(lane: Lane, nowMs: Ms): number {
  const head = lane.head()
  if (head === undefined) return Infinity
  if (head.key === -Infinity) return -1
  const startMs = head.spec.receivedAtMs
  if (lane.prospect === 'doubtful') return DOUBTFUL
  if (lane.prospect === 'none') {
    const left = (head.expiresAtMs - nowMs) / Math.max(1, head.expiresAtMs - startMs)
    return left < LATE_SHARE ? Math.max(0, left) : BEST_EFFORT
  }
  const left = (head.dueAtMs - nowMs) / Math.max(1, head.dueAtMs - startMs)
  const share = Math.min(0.999, Math.max(0, left) / lane.class.weight)
  return head.interactive || left < LATE_SHARE ? share : 1 + share
}
