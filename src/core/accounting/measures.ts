import type { Timeline } from '../timeline.js'
import type { Ms, SloTargets } from '../types.js'

/** Time to first token: t0 → first generated token. Undefined for an answer that is not streamed, or had no token. */
export function ttftMs(timeline: Timeline): Ms | undefined {
  if (!timeline.streamed || timeline.firstTokenAtMs === undefined) return undefined
  return timeline.firstTokenAtMs - timeline.receivedAtMs
}

/** Time per output token after the first. Undefined for fewer than two tokens and for an answer that is not streamed. */
export function tpotMs(timeline: Timeline): Ms | undefined {
  const { streamed, firstTokenAtMs, lastTokenAtMs, outputTokens } = timeline
  if (!streamed || firstTokenAtMs === undefined || lastTokenAtMs === undefined) return undefined
  if (outputTokens === undefined || outputTokens < 2) return undefined
  return (lastTokenAtMs - firstTokenAtMs) / (outputTokens - 1)
}

/** End to end: t0 → last byte. Undefined while it runs. */
export function e2eMs(timeline: Timeline): Ms | undefined {
  return timeline.endedAtMs === undefined ? undefined : timeline.endedAtMs - timeline.receivedAtMs
}

/** t0 → dispatch; for a request that was never dispatched t0 → its end. Undefined while it waits. */
export function queueMs(timeline: Timeline): Ms | undefined {
  const until = timeline.dispatchedAtMs ?? timeline.endedAtMs
  return until === undefined ? undefined : until - timeline.receivedAtMs
}

/** Dispatch → first token: the part of TTFT that the backend (and the way to it) took. */
export function upstreamTtftMs(timeline: Timeline): Ms | undefined {
  if (ttftMs(timeline) === undefined || timeline.dispatchedAtMs === undefined) return undefined
  return timeline.firstTokenAtMs! - timeline.dispatchedAtMs
}

/** Do any of the targets bind this request? TTFT and TPOT are promises about a stream; the deadline binds every answer. */
export function isTargeted(timeline: Timeline, targets: SloTargets): boolean {
  if (targets.deadlineMs !== undefined) return true
  return timeline.streamed && (targets.ttftMs !== undefined || targets.tpotMs !== undefined)
}
