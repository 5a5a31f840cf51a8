import type { BackendLedgerState, ClassState, SchedulerOptions, SchedulerState } from './events.js'
import type { Fleet } from './fleet.js'
import type { Backend } from './ledger/backend.js'
import type { DrainRate } from './ordering/drain-rate.js'
import type { ClassName, Ms } from './types.js'

/** The picture that dashboards and metrics show. */
export function schedulerState(options: SchedulerOptions, fleet: Fleet, drain: ReadonlyMap<ClassName, DrainRate>, nowMs: Ms): SchedulerState {
  const names = new Set([...fleet.classes.keys(), ...fleet.lanes.map((lane) => lane.class.name)])
  return {
    policy: options.policy,
    admission: { configured: options.admission.mode, effective: options.admission.mode, probed: 0, wouldHaveMet: 0 },
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
  return {
    id: backend.spec.id,
    state: backend.state,
    inflightRequests: backend.requests,
    inflightPrefillTokens: backend.prefillTokens,
    decodingStreams: backend.decodes.length,
    contextTokens: backend.contextTokens,
    concurrencyLimit: backend.limit(nowMs),
    model: {
      prefillMsPerToken: 0, decodeBaseMs: 0, decodeMsPerStream: 0, decodeMsPer1000ContextTokens: 0,
      prefillSamples: 0, decodeSamples: 0, ageMs: undefined, predictionErrorRatio: undefined,
    },
  }
}
