import { explain, outcomeOf, type Decision } from '../../core/index.js'
import type { SimulatedRequest } from '../simulated-request.js'

/** One decision about one request; told when the run is over, it comes with what became of the request. */
export interface Narration {
  readonly atMs: number
  readonly decision: Exclude<Decision, { type: 'wake' }>
  readonly request: SimulatedRequest
}

/** A decision in words: what was decided and why, then the truth that the scheduler did not have. */
export function narrate({ atMs, decision, request }: Narration): string {
  const act = decision.type === 'dispatch' ? `dispatched to ${decision.backend}` : `${decision.type === 'reject' ? 'rejected' : 'expired'}, ${decision.reason}`
  const { firstTokenAtMs, promptTokens, trueOutputTokens, receivedAtMs } = request
  const first = firstTokenAtMs === undefined ? '' : `, first token after ${Math.round(firstTokenAtMs - receivedAtMs)} ms`
  return [
    `${(atMs / 1000).toFixed(3)} s  request ${request.id} (${request.spec.class}): ${act}. ${explain(decision.why)}`,
    `    In truth: ${promptTokens} prompt tokens, ${trueOutputTokens} to answer${first}; ${outcomeOf(request, request.targets)}.`,
  ].join('\n')
}
