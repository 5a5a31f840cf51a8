import type { Timeline } from '../timeline.js'
import type { Ms, Outcome, SloTargets } from '../types.js'
import { e2eMs, isTargeted, tpotMs, ttftMs } from './measures.js'

/**
 * The one outcome of a request that has ended. How it ended comes first: what was rejected, expired, cancelled or failed is
 * that, with targets or without. What completed is `untargeted` or judged by its targets; a target reached to the very
 * millisecond is met. With more than one broken promise TTFT and TPOT name the outcome, as they broke before the deadline did.
 */
export function outcomeOf(timeline: Timeline, targets: SloTargets): Outcome {
  // Without a recorded ending nobody knows that the answer was whole: never a success.
  const ending = timeline.ending ?? 'failed'
  if (ending !== 'completed') return ending
  if (!isTargeted(timeline, targets)) return 'untargeted'
  const missedTtft = isTtftMissed(timeline, targets)
  const missedTpot = targets.tpotMs !== undefined && (tpotMs(timeline) ?? 0) > targets.tpotMs
  if (missedTtft && missedTpot) return 'missed_both'
  if (missedTtft) return 'missed_ttft'
  if (missedTpot) return 'missed_tpot'
  return isDeadlineMissed(timeline, targets) ? 'missed_deadline' : 'met'
}

/** An answer that ended well without any token has no TTFT; its end is the first the client heard of it, and is judged instead. */
function isTtftMissed(timeline: Timeline, targets: SloTargets): boolean {
  if (!timeline.streamed || targets.ttftMs === undefined) return false
  const took = ttftMs(timeline) ?? e2eMs(timeline)
  return took === undefined || took > targets.ttftMs
}

function isDeadlineMissed(timeline: Timeline, targets: SloTargets): boolean {
  if (targets.deadlineMs === undefined) return false
  const took = e2eMs(timeline)
  return took === undefined || took > targets.deadlineMs
}

/**
 * When the first of the targets that bind is due: t0 + TTFT or t0 + deadline, whichever is earlier; with a TPOT target alone
 * the second token's time, so not before there is a first. Undefined: nothing was due yet, or nothing binds.
 */
export function firstTargetDueAtMs(timeline: Timeline, targets: SloTargets): Ms | undefined {
  const ttft = timeline.streamed ? targets.ttftMs : undefined
  const due = Math.min(ttft ?? Infinity, targets.deadlineMs ?? Infinity)
  if (due < Infinity) return timeline.receivedAtMs + due
  if (!timeline.streamed || targets.tpotMs === undefined || timeline.firstTokenAtMs === undefined) return undefined
  return timeline.firstTokenAtMs + targets.tpotMs
}

/**
 * Is the request in the denominator of attainment? Everything offered is, rejected, expired and failed included, except what
 * has no target that binds it and what its client cancelled before the first target was due.
 */
export function countsForAttainment(timeline: Timeline, targets: SloTargets, outcome: Outcome): boolean {
  if (!isTargeted(timeline, targets)) return false
  if (outcome !== 'cancelled') return true
  const due = firstTargetDueAtMs(timeline, targets)
  return due !== undefined && timeline.endedAtMs !== undefined && timeline.endedAtMs >= due
}
