import { OPTIMISTIC } from '../estimation/backend-model.js'
import type { Feasibility } from '../events.js'
import type { Backend } from '../ledger/backend.js'
import type { Lane } from '../ordering/lane.js'
import type { TrackedRequest } from '../request.js'
import type { Ms } from '../types.js'

/** Quantile that must make the target for a request to count as likely to. */
const CAUTIOUS = 0.9

export interface Forecast {
  readonly verdict: Feasibility
  /** Expected time from t0 to the first token on the best backend. */
  readonly ttftMs: Ms
  /** The same, if all goes well. */
  readonly optimisticTtftMs: Ms
  /** Is it more likely than not to make its targets, if it goes now? */
  readonly likely: boolean
}

/**
 * Can the request still make its targets? `infeasible` needs a fresh, measured model of every backend that could serve it, and
 * that even the optimistic bound misses on each; a model that is a guess, or old, gives `unknown`. With `waitedMs` 0: could it, if it came anew?
 */
export function forecast(request: TrackedRequest, lane: Lane, nowMs: Ms, waitedMs: Ms = nowMs - request.spec.receivedAtMs): Forecast {
  const { targets, streamed } = request.spec
  let ttftMs = Infinity
  let optimisticTtftMs = Infinity
  let cautiousTtftMs = Infinity
  let hopeless = true
  let measured = true
  let candidates = 0
  for (const tier of lane.tiers) {
    for (const backend of tier) {
      if (backend.state === 'down' || backend.state === 'draining') continue
      candidates++
      const uncached = backend.uncachedTokens(request)
      const backlogMs = backend.backlogMs(nowMs)
      const optimisticMs = waitedMs + backend.model.prefillQuantileMs(uncached, OPTIMISTIC)
      ttftMs = Math.min(ttftMs, waitedMs + backlogMs + backend.model.prefillMs(uncached))
      optimisticTtftMs = Math.min(optimisticTtftMs, optimisticMs)
      cautiousTtftMs = Math.min(cautiousTtftMs, waitedMs + backlogMs + backend.model.prefillQuantileMs(uncached, CAUTIOUS))
      if (!backend.model.prefillMeasured(nowMs)) measured = false
      else if (streamed && targets.ttftMs !== undefined && optimisticMs > targets.ttftMs) continue
      else if (targets.deadlineMs !== undefined && optimisticMs + leastDecodeMs(request, backend, nowMs) > targets.deadlineMs) continue
      else if (isTooSlow(request, backend, nowMs)) continue
      hopeless = false
    }
  }
  const ttftTargetMs = streamed ? targets.ttftMs ?? Infinity : Infinity
  const likely = cautiousTtftMs <= ttftTargetMs && (targets.deadlineMs === undefined || nowMs <= request.dueAtMs)
  if (candidates === 0 || !measured) return { verdict: 'unknown', ttftMs, optimisticTtftMs, likely: true }
  if (hopeless) return { verdict: 'infeasible', ttftMs, optimisticTtftMs, likely: false }
  return { verdict: ttftMs <= ttftTargetMs ? 'feasible' : 'unknown', ttftMs, optimisticTtftMs, likely }
}

/** A short answer, alone on the backend; 0 while its decode step is not measured. */
function leastDecodeMs(request: TrackedRequest, backend: Backend, nowMs: Ms): Ms {
  if (request.spec.kind !== 'generation' || !backend.model.decodeMeasured(nowMs)) return 0
  const tokens = request.lengths.remaining(0, OPTIMISTIC, request.spec.maxOutputTokens)
  return Math.max(0, tokens - 1) * backend.model.decodeEstimate(1, request.promptTokens, nowMs).lower
}

/** Is the target per token out of reach even alone on the backend? */
function isTooSlow(request: TrackedRequest, backend: Backend, nowMs: Ms): boolean {
  if (request.tpotMs === Infinity || !backend.model.decodeMeasured(nowMs)) return false
  return backend.model.decodeEstimate(1, request.promptTokens, nowMs).lower > request.tpotMs
}
