/**
 * The words that every room shares. Shapes only; times are monotonic milliseconds.
 */

/** Milliseconds, monotonic when a point in time, else a duration. */
export type Ms = number
/** A count of model tokens. */
export type Tokens = number
/** A count of bytes. */
export type Bytes = number

export type RequestId = string
export type BackendId = string
export type ClassName = string
export type PoolName = string
export type TenantName = string

/** The one clock. Read only in the composition root (src/cli); everything else is handed one. */
export interface Clock {
  /** Monotonic milliseconds, fractional. */
  now(): Ms
}

/** A seeded source of randomness: `next()` is uniform in [0, 1). */
export interface Random {
  next(): number
}

/** Targets of one request. A missing target is no constraint. */
export interface SloTargets {
  readonly ttftMs?: Ms
  readonly tpotMs?: Ms
  /** End to end, from t0. */
  readonly deadlineMs?: Ms
}

export type BatchMode = 'hold' | 'guarded' | 'shared'
export type InfeasibleTreatment = 'reject' | 'best_effort'

/** A named SLO and how to treat it. */
export interface ServiceClass {
  readonly name: ClassName
  readonly targets: SloTargets
  /** Share of the class's requests that must meet the SLO, 0–1. */
  readonly objective: number
  /** Share under contention, relative to the other classes. */
  readonly weight: number
  /** Least part of its requests that is served in time, relative to that of all classes, 0–1; below it, the class may cost others more. */
  readonly minShare: number
  readonly sheddable: boolean
  /** Pools in order of preference; empty = every pool. */
  readonly pools: readonly PoolName[]
  readonly onInfeasible: InfeasibleTreatment
  /** Most requests of the class that may wait; one more is refused with `queue_full`. */
  readonly queueLimit: number
  /** Longest wait in the queue for a request without a target that bounds it. */
  readonly maxQueueMs: Ms
  /** How work without a TTFT target shares backends with interactive work. */
  readonly batchMode: BatchMode
}

/** What an operator wants of a pool, switchable while running; from lowest TTFT to highest throughput. */
export type PoolMode = 'lowest-ttft' | 'balanced' | 'highest-throughput'
export type PoolRole = 'latency' | 'throughput'

export interface PoolSpec {
  readonly name: PoolName
  readonly role: PoolRole
  readonly mode: PoolMode
}

export interface BackendSpec {
  readonly id: BackendId
  readonly pool: PoolName
  /** Models that it serves; undefined = unknown, takes any. */
  readonly models: readonly string[] | undefined
  /** Hard cap on requests in flight; undefined = none. */
  readonly maxInflight: number | undefined
  /** For cost per million tokens; undefined = unknown, never zero. */
  readonly costPerHour: number | undefined
}

export type BackendState = 'up' | 'degraded' | 'draining' | 'down'

/** A generation is scheduled and metered in tokens; a scored one (embeddings, rerank) is scheduled by deadline only. */
export type RequestKind = 'generation' | 'scored'

/** What text is made of, in units worth about a token each: letters, digits and marks apart from the scripts beyond ASCII. */
export interface PromptShape {
  readonly asciiUnits: number
  readonly wideUnits: number
}

/** A request as the scheduler sees it: known sizes and estimates only, never its text. */
export interface RequestSpec {
  readonly id: RequestId
  readonly kind: RequestKind
  readonly class: ClassName
  readonly tenant: TenantName
  readonly model: string | undefined
  /** t0: the gateway had the request's head. */
  readonly receivedAtMs: Ms
  readonly targets: SloTargets
  /** Bytes of prompt text, as found in the body; the estimator turns them into tokens. */
  readonly promptBytes: Bytes
  /** What the prompt's text is made of; undefined = not counted. */
  readonly promptShape?: PromptShape | undefined
  /** Exact count where known beforehand (a prompt given as token ids); else undefined. */
  readonly promptTokens: Tokens | undefined
  /** The client's cap on output (already times n), undefined = not given. */
  readonly maxOutputTokens: Tokens | undefined
  /** Does the client see tokens as they come? Only then do TTFT and TPOT apply. */
  readonly streamed: boolean
  /** Chained hashes of the prompt's blocks, first block first; empty = unknown. */
  readonly prefixHashes: readonly number[]
  /** Prompt bytes that one entry of `prefixHashes` covers. */
  readonly prefixBlockBytes: Bytes
  /** Stable key of a conversation or user, where one is known. */
  readonly sessionKey: string | undefined
  /** Backends that do not speak its protocol, and so are never asked; absent = none. */
  readonly unfit?: readonly BackendId[] | undefined
}

/** What an engine says of itself. A field that is missing is unknown: never zero, never full. */
export interface EngineReport {
  readonly running?: number
  readonly waiting?: number
  readonly kvUsageRatio?: number
  readonly kvCapacityTokens?: Tokens
  readonly prefixHitRatio?: number
}

/** Token counts as the engine reported them at the end; a missing field is unknown. */
export interface Usage {
  readonly promptTokens?: Tokens
  readonly cachedTokens?: Tokens
  readonly outputTokens?: Tokens
}

/** The end of one attempt, judged when the stream has ended. */
export type AttemptVerdict = 'success' | 'backpressure' | 'fault' | 'client_error' | 'cancelled'

/** Exactly one per request. */
export const OUTCOMES = ['met', 'missed_ttft', 'missed_tpot', 'missed_both', 'missed_deadline',
  'rejected', 'expired', 'cancelled', 'failed', 'untargeted'] as const
export type Outcome = typeof OUTCOMES[number]

/** Why the scheduler refuses; each is a `code` of the error vocabulary. */
export type RefusalReason = 'queue_full' | 'deadline_infeasible' | 'queue_expired' | 'shed_lower_class' | 'no_healthy_backend' | 'model_not_found'
