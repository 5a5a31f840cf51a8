import type { AttemptVerdict, BackendId, ClassName, Explanation, Ms, Outcome, PoolName, SloTargets, TenantName, Timeline, Tokens } from '../core/index.js'

/** Where a request stands in a trace; ids are lower-case hex of 32 and 16 digits. */
export interface TraceIds {
  readonly traceId: string
  /** The request's own span. */
  readonly spanId: string
  /** The caller's span; undefined = the trace begins here. */
  readonly parentId: string | undefined
  /** Two hex digits; 01 = sampled. */
  readonly flags: string
}

/** One attempt on a backend, from its dispatch to its end. */
export interface AttemptRecord {
  readonly backend: BackendId
  readonly pool: PoolName
  readonly dispatchedAtMs: Ms
  readonly endedAtMs: Ms
  readonly verdict: AttemptVerdict
}

/** The whole story of one request, made once, at its end: source of metrics, log line, /api/requests, traces and the request log. */
export interface RequestRecord {
  /** Wall clock of t0, milliseconds since the epoch; for people only. */
  readonly wallTimeMs: number
  readonly timeline: Timeline
  readonly route: string
  readonly class: ClassName
  readonly tenant: TenantName
  readonly model: string | undefined
  readonly path: string
  readonly targets: SloTargets
  readonly outcome: Outcome
  /** Status sent to the client; 499 when it was gone before one could be. */
  readonly status: number
  /** `code` of the error vocabulary, where the gateway refused or failed it. */
  readonly code: string | undefined
  /** What happened, in words, where it did not go well. Never text of a prompt or a secret. */
  readonly detail: string | undefined
  readonly explanation: Explanation | undefined
  readonly estimatedPromptTokens: Tokens | undefined
  /** Time in the gateway that was neither queue nor upstream. */
  readonly gatewayOverheadMs: Ms | undefined
  readonly traceparent: string | undefined
  /** Absent where traces are off. */
  readonly trace?: TraceIds | undefined
  /** In order, retried ones included, where traces or a request file are to tell of them; absent for what was never scheduled. */
  readonly attempts?: readonly AttemptRecord[]
}
