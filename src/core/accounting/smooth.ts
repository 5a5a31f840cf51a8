import type { Timeline } from '../timeline.js'
import type { Ms, Outcome, SloTargets, Tokens } from '../types.js'

/**
 * How late token number `index` (the first is 1) is, when it comes at `atMs`; 0 when it is in time. It is due at
 * t0 + ttft + (index − 1) · tpot. Without a TTFT target the flow is judged from the first token on; without a TPOT target
 * only the first token is due; the deadline is due time for every token that has no other.
 */
export function tokenLatenessMs(timeline: Timeline, targets: SloTargets, index: number, atMs: Ms): Ms {
  return Math.max(0, atMs - tokenDueAtMs(timeline, targets, index))
}

/**
 * Note new tokens at `atMs`, of which the first has number `firstIndex`, in the timeline's largest lateness. Tokens
 * that come together are as late as the first of them. Constant time, allocates nothing: fit for the path of every chunk.
 * Answers when that token was due: later ones are due no earlier, so that what comes up to then is in time, and need not be noted.
 */
export function noteLateness(timeline: Timeline, targets: SloTargets, firstIndex: number, atMs: Ms): Ms {
  const dueAtMs = tokenDueAtMs(timeline, targets, firstIndex)
  if (atMs - dueAtMs > timeline.maxLatenessMs) timeline.maxLatenessMs = atMs - dueAtMs
  return dueAtMs
}

/** `max(0, tokens − late / tpot)`: what `tokens` output tokens are worth when the latest came `lateMs` late. Without a TPOT a late answer is worth nothing. */
export function smoothTokens(tokens: Tokens, lateMs: Ms, tpotMs: Ms | undefined): Tokens {
  if (lateMs <= 0) return tokens
  return tpotMs === undefined || tpotMs <= 0 ? 0 : Math.max(0, tokens - lateMs / tpotMs)
}

/** Smooth goodput of a request that has ended: only answers that completed under targets earn. */
export function smoothGoodputTokens(timeline: Timeline, targets: SloTargets, outcome: Outcome): Tokens {
  if (timeline.ending !== 'completed' || outcome === 'untargeted') return 0
  return smoothTokens(timeline.outputTokens ?? 0, timeline.maxLatenessMs, timeline.streamed ? targets.tpotMs : undefined)
}

function tokenDueAtMs(timeline: Timeline, targets: SloTargets, index: number): Ms {
  return Math.min(flowDueAtMs(timeline, targets, index), timeline.receivedAtMs + (targets.deadlineMs ?? Infinity))
}

function flowDueAtMs(timeline: Timeline, targets: SloTargets, index: number): Ms {
  if (!timeline.streamed) return Infinity
  const start = targets.ttftMs !== undefined ? timeline.receivedAtMs + targets.ttftMs : timeline.firstTokenAtMs
  if (start === undefined) return Infinity
  if (targets.tpotMs !== undefined) return start + (index - 1) * targets.tpotMs
  return index === 1 ? start : Infinity
}
