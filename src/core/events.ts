/**
 * Events in, decisions out: the whole surface between the scheduler and whatever drives it
 * (src/runtime with real sockets, src/simulator with a heap).
 */
import type { AttemptVerdict, BackendId, BackendSpec, BackendState, EngineReport, Ms, PoolMode, PoolName, PoolSpec, RefusalReason, RequestId, RequestSpec, ServiceClass, Tokens, Usage } from './types.js'

export type SchedulerEvent =
  | { readonly type: 'arrival', readonly request: RequestSpec }
  /** The first generated token of the dispatched attempt; for an answer that is not streamed it never comes. */
  | { readonly type: 'first_token', readonly id: RequestId }
  /** Output tokens so far. Coalesced by the driver (some times a second per stream, not per token). */
  | { readonly type: 'progress', readonly id: RequestId, readonly outputTokens: Tokens }
  /**
   * The attempt failed, and the driver has budget to try elsewhere: wait again, in front. `continuesUntilMs`: the client has part of the
   * answer, so no target of it is judged any more, and the rest may begin until then.
   */
  | { readonly type: 'retry', readonly id: RequestId, readonly verdict: AttemptVerdict, readonly retryAfterMs?: Ms, readonly continuesUntilMs?: Ms }
  /** The dispatched attempt ended, whichever way, and will not be retried. */
  | { readonly type: 'end', readonly id: RequestId, readonly verdict: AttemptVerdict, readonly usage?: Usage, readonly retryAfterMs?: Ms }
  /** The client went away, queued or in flight. */
  | { readonly type: 'cancel', readonly id: RequestId }
  /** `inflightLimit`: most requests at once, beside those that it has, until the next such event, while a breaker probes; absent = no such cap. */
  | { readonly type: 'backend_state', readonly backend: BackendId, readonly state: BackendState, readonly inflightLimit?: number }
  /** The backend came back from a restart: what was learned about its cache is void, and about its speed a guess. */
  | { readonly type: 'backend_restarted', readonly backend: BackendId }
  | { readonly type: 'engine_report', readonly backend: BackendId, readonly report: EngineReport }
  | { readonly type: 'pool_mode', readonly pool: PoolName, readonly mode: PoolMode }
  /** A new configuration, atomically. What runs on a backend that is gone runs on; nothing new goes there. */
  | { readonly type: 'configure', readonly fleet: FleetSpec }
  /** The alarm that a `wake` decision asked for, or any reason to look again. */
  | { readonly type: 'tick' }

export interface FleetSpec {
  readonly classes: readonly ServiceClass[]
  readonly pools: readonly PoolSpec[]
  readonly backends: readonly BackendSpec[]
}

export type Decision =
  | { readonly type: 'dispatch', readonly id: RequestId, readonly backend: BackendId, readonly why: Explanation }
  /** Refused on arrival, before it ever waited. */
  | { readonly type: 'reject', readonly id: RequestId, readonly reason: RefusalReason, readonly retryAfterMs: Ms | undefined, readonly retryCanMeet: boolean, readonly why: Explanation }
  /** Left the queue unserved. */
  | { readonly type: 'expire', readonly id: RequestId, readonly reason: RefusalReason, readonly retryAfterMs: Ms | undefined, readonly retryCanMeet: boolean, readonly why: Explanation }
  /** Call `handle({type: 'tick'})` at this time; replaces any earlier wake. */
  | { readonly type: 'wake', readonly atMs: Ms }

export type Feasibility = 'feasible' | 'unknown' | 'infeasible'

/** The figures behind a decision; `explain()` in core/explain.ts puts them into words. */
export interface Explanation {
  readonly policy: string
  readonly verdict: Feasibility
  /** What admission would have done in `enforce`; differs from what was done in `observe`. */
  readonly wouldReject?: boolean | undefined
  /** Admitted although infeasible, to measure how often that is wrong. */
  readonly probe?: boolean | undefined
  readonly promptTokens?: Tokens | undefined
  readonly uncachedTokens?: Tokens | undefined
  readonly waitedMs?: Ms | undefined
  readonly predictedTtftMs?: Ms | undefined
  /** Half-width of the prediction's interval. */
  readonly predictedTtftErrorMs?: Ms | undefined
  readonly predictedTpotMs?: Ms | undefined
  /** Time left to the first target that binds at the predicted first token; without a prediction, now. */
  readonly slackMs?: Ms | undefined
  readonly chosen?: BackendId | undefined
  readonly score?: number | undefined
  readonly runnerUp?: BackendId | undefined
  readonly runnerUpScore?: number | undefined
  /** Why the request had to wait until now, if it had. */
  readonly heldBy?: 'prefill_in_flight' | 'slack_guard' | 'tpot' | 'warm_backend' | 'concurrency' | 'class_order' | 'backpressure' | 'no_backend' | undefined
}

export const POLICIES = ['slo', 'random', 'round-robin', 'power-of-two', 'least-requests', 'least-prefill-tokens', 'session-hash', 'cache-aware', 'static-pools'] as const
export type PolicyName = typeof POLICIES[number]

export type AdmissionMode = 'off' | 'observe' | 'enforce'

export interface SchedulerOptions {
  readonly policy: PolicyName
  readonly fleet: FleetSpec
  readonly admission: {
    readonly mode: AdmissionMode
    /** Share of would-be rejections admitted as probes, 0–1. */
    readonly probeShare: number
    /** Measured false-rejection ratio above which `enforce` falls back to `observe`. */
    readonly maxFalseRejectionRatio: number
  }
}

/** The scheduler's public face; core/scheduler.ts implements it. */
export interface Scheduler {
  /** Tell it what happened at `nowMs` (never earlier than the last call's); carry out what it answers, in order. */
  handle(event: SchedulerEvent, nowMs: Ms): readonly Decision[]
  /** A picture for /api/state, metrics and dashboards; plain data, made when asked. */
  state(nowMs: Ms): SchedulerState
}

export interface SchedulerState {
  readonly policy: PolicyName
  readonly admission: {
    readonly configured: AdmissionMode
    /** What is in force: `observe` when the guard has tripped. */
    readonly effective: AdmissionMode
    readonly probed: number
    readonly wouldHaveMet: number
  }
  readonly classes: readonly ClassState[]
  readonly backends: readonly BackendLedgerState[]
}

export interface ClassState {
  readonly name: string
  readonly queued: number
  readonly queuedTokens: Tokens
  readonly oldestWaitMs: Ms
  /** Requests that leave the queue per second, recent. */
  readonly drainPerSecond: number
}

export interface BackendLedgerState {
  readonly id: BackendId
  readonly state: BackendState
  readonly inflightRequests: number
  readonly inflightPrefillTokens: Tokens
  readonly decodingStreams: number
  readonly contextTokens: Tokens
  /** What it may be given now, where something bounds it; undefined = no bound. */
  readonly concurrencyLimit: number | undefined
  readonly model: {
    readonly prefillMsPerToken: number
    readonly decodeBaseMs: Ms
    readonly decodeMsPerStream: Ms
    readonly decodeMsPer1000ContextTokens: Ms
    readonly prefillSamples: number
    readonly decodeSamples: number
    readonly ageMs: Ms | undefined
    readonly predictionErrorRatio: number | undefined
  }
}
