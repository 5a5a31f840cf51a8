import type { Decision } from '../../core/index.js'
import { outcomeOf } from '../../core/index.js'
import type { SimulatedRequest } from '../simulated-request.js'

/** One decision about one request, with what became of it. */
export interface Narration {
  readonly atMs: number
  readonly decision: Exclude<Decision, { type: 'wake' }>
  readonly request: SimulatedRequest
}

const ms = (value: number): string => `${Math.round(value)} ms`

/** A decision in words: what was known, what was decided and why, what came of it. */
export function narrate({ atMs, decision, request }: Narration): string {
  const { why } = decision
  const { targets } = request
  const facts = [
    `estimated ${why.promptTokens === undefined ? 'no size' : `${Math.round(why.promptTokens)} prompt tokens`} (truly ${request.promptTokens})`,
    ...why.uncachedTokens === undefined || why.uncachedTokens === why.promptTokens ? [] : [`${Math.round(why.uncachedTokens)} not cached`],
    ...why.waitedMs === undefined || why.waitedMs < 0.5 ? [] : [`waited ${ms(why.waitedMs)}${why.heldBy === undefined ? '' : ` (${why.heldBy.replaceAll('_', ' ')})`}`],
    ...why.predictedTtftMs === undefined ? [] : [`TTFT predicted ${ms(why.predictedTtftMs)}${why.predictedTtftErrorMs === undefined ? '' : ` ± ${ms(why.predictedTtftErrorMs)}`}${targets.ttftMs === undefined ? '' : ` of ${ms(targets.ttftMs)}`}`],
    ...why.predictedTpotMs === undefined ? [] : [`TPOT predicted ${why.predictedTpotMs.toFixed(1)} ms${targets.tpotMs === undefined ? '' : ` of ${targets.tpotMs} ms`}`],
    ...why.slackMs === undefined ? [] : [`slack ${ms(why.slackMs)}`],
    `${why.verdict}${why.probe === true ? ', admitted as a probe' : ''}`,
    ...why.runnerUp === undefined || why.runnerUp === why.chosen ? [] : [`runner-up ${why.runnerUp}${why.runnerUpScore === undefined || why.score === undefined ? '' : ` (${why.runnerUpScore.toFixed(2)} against ${why.score.toFixed(2)})`}`],
  ]
  const act = decision.type === 'dispatch' ? `dispatched to ${decision.backend}` : `${decision.type === 'reject' ? 'rejected' : 'expired'}: ${decision.reason}`
  return `${(atMs / 1000).toFixed(3).padStart(9)} s  request ${request.id} (${request.spec.class}) ${act}; ${facts.join(', ')}; in the end: ${outcomeOf(request, targets)}`
}
