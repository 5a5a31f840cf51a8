import type { FastifyRequest } from 'fastify'
import type { BackendId, Clock, Ending, Outcome, PoolName } from '../core/index.js'
import type { ErrorCode } from '../protocol/index.js'
import { DEFAULT_CLASS } from '../runtime/index.js'
import type { RequestRecord } from '../telemetry/index.js'
import { pathOf } from './errors.js'

export interface Unscheduled {
  /** What stands for the route: what the gateway did with the request. */
  readonly route: 'refused' | 'passthrough'
  readonly status: number
  readonly ending: Ending
  readonly code?: ErrorCode | undefined
  readonly pool?: PoolName
  readonly backend?: BackendId
}

/** The story of a request that was never scheduled: refused on sight, or passed through. No promise was made for it. */
export function unscheduledRecord(request: FastifyRequest, clock: Clock, { route, status, ending, code, pool, backend }: Unscheduled): RequestRecord {
  const outcome: Outcome = ending === 'completed' ? 'untargeted' : ending
  return {
    wallTimeMs: request.wallTimeMs,
    timeline: {
      id: request.requestId,
      receivedAtMs: request.receivedAtMs,
      classifiedAtMs: undefined, queuedAtMs: undefined, dispatchedAtMs: undefined, connectedAtMs: undefined,
      firstTokenAtMs: undefined, lastTokenAtMs: undefined, endedAtMs: clock.now(),
      ending,
      streamed: false,
      promptTokens: undefined, cachedTokens: undefined, outputTokens: undefined, outputTokensEstimated: false,
      attempts: backend === undefined ? 0 : 1,
      pool, backend,
      maxLatenessMs: 0,
    },
    route,
    class: DEFAULT_CLASS,
    tenant: request.tenant.name,
    model: undefined,
    path: pathOf(request.url),
    targets: {},
    outcome,
    status,
    code,
    detail: undefined,
    explanation: undefined,
    estimatedPromptTokens: undefined,
    gatewayOverheadMs: undefined,
    traceparent: undefined,
  }
}
