import type { Ms } from '../core/index.js'
import type { EngineModel, EngineProfile } from './engine/index.js'
import type { SimulatedRequest } from './simulated-request.js'

interface Candidate {
  readonly profile: EngineProfile
  readonly speed: number
  readonly engine: EngineModel<SimulatedRequest>
  readonly up: boolean
}

/**
 * What only a simulator can know: would some backend, as it truly is at this moment, still have produced the first token of this
 * request in time, had it been sent there? It counts the prompts that are ahead and the streams that decode beside them; the harm
 * that the request would have done to those streams it does not count. False for requests without a TTFT target.
 */
export function hasRoom(candidates: readonly Candidate[], request: SimulatedRequest, nowMs: Ms, networkMs: Ms): boolean {
  const { ttftMs } = request.targets
  if (ttftMs === undefined) return false
  const leftMs = request.receivedAtMs + ttftMs - nowMs - 2 * networkMs
  return leftMs > 0 && candidates.some(candidate => candidate.up && firstTokenMs(candidate, request.promptTokens, nowMs) <= leftMs)
}

function firstTokenMs({ profile: { costs, limits }, speed, engine }: Candidate, promptTokens: number, nowMs: Ms): Ms {
  const { running, kvUsageRatio, queuedPromptTokens } = engine.gauges()
  const tokens = queuedPromptTokens + promptTokens
  const contextTokens = kvUsageRatio * limits.kvCapacityTokens
  const besides = costs.baseMs + costs.perStreamMs * running + costs.perKiloContextMs * contextTokens / 1000
  const prefill = tokens * costs.perPrefillTokenMs + costs.perPrefillKiloContextMs * promptTokens * promptTokens / 2000
  const steps = Math.ceil(tokens / Math.max(1, limits.stepTokenBudget - running))
  const underWayMs = engine.endsAtMs === Infinity ? 0 : engine.endsAtMs - nowMs
  return underWayMs + (steps * besides + prefill) / speed
}
