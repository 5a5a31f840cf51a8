import { outcomeOf } from '../core/index.js'
import type { RequestRecord } from '../telemetry/index.js'
import type { Run } from './run.js'

/** The story of a run that has ended. */
export function requestRecord(run: Run): RequestRecord {
  const { job, timeline } = run
  const { status, code, detail } = run.end!
  const beforeQueueMs = (timeline.queuedAtMs ?? timeline.classifiedAtMs ?? timeline.receivedAtMs) - job.bodyReadAtMs
  const beforeStartMs = timeline.startedAtMs === undefined || timeline.dispatchedAtMs === undefined ? 0 : timeline.startedAtMs - timeline.dispatchedAtMs
  return {
    wallTimeMs: job.wallTimeMs,
    timeline,
    route: job.route,
    class: job.spec.class,
    tenant: job.spec.tenant,
    model: job.spec.model,
    path: job.path,
    targets: job.spec.targets,
    outcome: outcomeOf(timeline, job.spec.targets),
    status,
    code,
    detail,
    explanation: run.explanation,
    estimatedPromptTokens: run.explanation?.promptTokens,
    gatewayOverheadMs: beforeQueueMs + Math.max(0, beforeStartMs),
    traceparent: job.traceparent,
    trace: job.trace,
    attempts: run.attempts,
  }
}
