import type { Admission } from './admission/admission.js'
import type { BackendLedgerState, ClassState, SchedulerOptions, SchedulerState } from './events.js'
import type { Fleet } from './fleet.js'
import type { Backend } from './ledger/backend.js'
import type { DrainRate } from './ordering/drain-rate.js'
import type { ClassName, Ms } from './types.js'

/** Size for which the error of predictions is shown. */
const TYPICAL_PROMPT_TOKENS = 1000

/** The picture that dashboards and metrics show. */
export function schedulerState(options: SchedulerOptions, admission: Admission, fleet: Fleet, drain: ReadonlyMap<ClassName, DrainRate>, nowMs: Ms): SchedulerState {
  const names = new Set([...fleet.classes.keys(), ...fleet.lanes.map((lane) => lane.class.name)])
  return {
    policy: options.policy,
    admission: { configured: options.admission.mode, effective: admission.effectiveMode(nowMs), ...admission.counts() },
    classes: [...names].map((name) => classState(name, fleet, drain.get(name), nowMs)),
    backends: [...fleet.backends.values()].map((backend) => backendState(backend, nowMs)),
  }
}

function classState(name: ClassName, fleet: Fleet, drain: DrainRate | undefined, nowMs: Ms): ClassState {
  const lanes = fleet.lanes.filter((lane) => lane.class.name === name)
  let oldest = nowMs
  for (const lane of lanes) {
    for (const request of lane.waiting()) oldest = Math.min(oldest, request.queuedAtMs)
  }
  return {
    name,
    queued: lanes.reduce((sum, lane) => sum + lane.queued, 0),
    queuedTokens: lanes.reduce((sum, lane) => sum + lane.queuedTokens, 0),
    oldestWaitMs: nowMs - oldest,
    drainPerSecond: drain?.perSecond(nowMs) ?? 0,
  }
}

function backendState(backend: Backend, nowMs: Ms): BackendLedgerState {
  const { model } = backend
  const { prefillMsPerToken, decodeBaseMs, decodeMsPerStream, decodeMsPer1000ContextTokens } = model.coefficients()
  return {
    id: backend.spec.id,
    state: backend.state,
    inflightRequests: backend.requests,
    inflightPrefillTokens: backend.prefillTokens,
    decodingStreams: backend.decodes.length,
    contextTokens: backend.contextTokens,
    concurrencyLimit: backend.limit(nowMs),
    model: {
      prefillMsPerToken, decodeBaseMs, decodeMsPerStream, decodeMsPer1000ContextTokens,
      prefillSamples: model.prefillSamples,
      decodeSamples: model.decodeSamples,
      ageMs: model.ageMs(nowMs),
      predictionErrorRatio: model.prefillErrorRatio(TYPICAL_PROMPT_TOKENS),
    },
  }
}
