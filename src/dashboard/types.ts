/** What the page is sent. Plain data; a figure that is not known is absent, never zero. Times in milliseconds, shares 0–1. */
import type { BackendId, BackendLedgerState, BackendState, ClassName, EngineReport, Ms, Outcome, Percentiles, PoolMode, PoolName, PoolRole, SchedulerState, SloTargets, Tokens, WasteReason, WindowName } from '../core/index.js'

/** Whose view: everything, a class, a pool or a tenant. */
export const PERSONA_KINDS = ['all', 'class', 'pool', 'tenant'] as const
export type PersonaKind = typeof PERSONA_KINDS[number]

/** A backend as the fleet tells it; the fleet's snapshots have this shape. */
export interface DashboardBackend {
  readonly id: BackendId
  readonly pool: PoolName
  readonly engine: string
  readonly state: BackendState
  readonly why: string
  readonly stateAgeMs: Ms
  readonly operatorDrain: boolean
  readonly breaker: 'closed' | 'open' | 'half_open'
  readonly models: readonly { readonly id: string }[] | undefined
  readonly restarts: number
  readonly reportAgeMs: Ms | undefined
  readonly reportError: string | undefined
  readonly reportFrozen: boolean
  readonly report: EngineReport
  /** Mean of its GPUs; undefined where no exporter is configured, or what it said is old. */
  readonly gpuUtilizationRatio: number | undefined
  readonly costPerHour: number | undefined
}

export interface DashboardPool {
  readonly name: PoolName
  readonly role: PoolRole
  readonly mode: PoolMode
}

export interface WindowView {
  readonly offeredPerS: number
  readonly metPerS: number
  readonly outputTokensPerS: number
  readonly goodTokensPerS: number
  readonly attainment: number | undefined
  readonly burnRate: number | undefined
}

export interface QueueView {
  readonly depth: number
  readonly tokens: Tokens
  readonly oldestWaitMs: Ms
  readonly drainPerS: number
}

/** TTFT and TPOT of the requests that ended within the last half minute. */
export interface LiveView {
  readonly ttft: Percentiles | undefined
  readonly tpot: Percentiles | undefined
}

/** One line of the overview. */
export interface PersonaSummary {
  readonly kind: PersonaKind
  readonly name: string
  readonly targets: SloTargets
  /** Undefined: nothing was promised. */
  readonly objective: number | undefined
  readonly windows: Readonly<Record<WindowName, WindowView>>
  readonly queue: QueueView | undefined
  readonly live: LiveView
  /** Attainment over a minute, one point each ten seconds, oldest first; null where nothing counted. */
  readonly spark: readonly (number | null)[]
}

/** A distribution: percentiles, and how many samples fell between neighbouring `edges`. */
export interface DistributionView {
  readonly count: number
  readonly percentiles: Percentiles
  readonly edges: readonly Ms[]
  readonly counts: readonly number[]
  /** What it covers: the last five minutes, or everything since the start. */
  readonly over: '5m' | 'start'
}

export interface CostView {
  readonly perMillion: number | undefined
  readonly perMillionGood: number | undefined
}

/** All there is on one persona. */
export interface PersonaDetail {
  readonly kind: PersonaKind
  readonly name: string
  readonly offered: number
  readonly outcomes: Readonly<Record<Outcome, number>>
  readonly promptTokens: Tokens
  readonly outputTokens: Tokens
  readonly goodTokens: Tokens
  readonly wastedTokens: Readonly<Record<WasteReason, Tokens>>
  readonly goodputRatio: number | undefined
  readonly distributions: Readonly<Partial<Record<'ttft' | 'tpot' | 'itl' | 'queue' | 'e2e', DistributionView>>>
  readonly cost: CostView | undefined
}

/** A point of the batch–latency curve: the mean time of a token while about so many streams ran. */
export interface CurvePoint {
  readonly streams: number
  readonly tokenMs: Ms
  /** What the learned model says of it; 0 before there is one. */
  readonly modelMs: Ms
  readonly tokensPerS: number
  /** Seconds of measurement behind it. */
  readonly samples: number
  readonly costPerMillion: number | undefined
}

export interface SpeedFault {
  readonly backend: BackendId
  readonly pool: PoolName
  readonly phase: 'prefill' | 'decode'
  /** Slower than its own past, or than the rest of its pool at the same load. */
  readonly against: 'past' | 'pool'
  readonly sinceMs: Ms
  readonly ageMs: Ms
  readonly ratio: number
  readonly nowMs: Ms
  readonly expectedMs: Ms
  readonly pays: readonly PayingClass[]
}

/** A class that a slow backend costs: late tokens, or promises broken, since it is slow. */
export interface PayingClass {
  readonly class: ClassName
  readonly missed: number
  readonly ended: number
  /** The slowest that its tokens came since. */
  readonly tokenMs: Ms | undefined
  readonly tpotTargetMs: Ms | undefined
}

export interface BackendView extends Omit<DashboardBackend, 'models'> {
  readonly models: readonly string[] | undefined
  readonly inflight: BackendLedgerState['inflightRequests'] | undefined
  readonly prefillTokens: BackendLedgerState['inflightPrefillTokens'] | undefined
  readonly streams: BackendLedgerState['decodingStreams'] | undefined
  readonly limit: BackendLedgerState['concurrencyLimit']
  readonly learned: BackendLedgerState['model'] | undefined
  /** Over the last seconds; what nothing ran for is undefined. */
  readonly now: {
    readonly tokensPerS: number
    readonly tokenMs: Ms | undefined
    /** What the learned model says of a token at the present load. */
    readonly predictedTokenMs: Ms | undefined
    /** Dispatch → first token: measured and predicted. */
    readonly prefillMs: Ms | undefined
    readonly predictedPrefillMs: Ms | undefined
    /** Share of time spent on prompts and on output, by learned speeds. */
    readonly prefillShare: number | undefined
    readonly decodeShare: number | undefined
  }
  readonly curve: readonly CurvePoint[]
  /** Streams from which more of them add little throughput. */
  readonly kneeStreams: number | undefined
}

export interface MatrixPoint {
  readonly kind: 'class' | 'backend'
  readonly name: string
  readonly ttftMs: Ms
  readonly tokensPerS: number
}

export interface MatrixView {
  readonly points: readonly MatrixPoint[]
  /** The lines between the quadrants. */
  readonly ttftLineMs: Ms
  readonly tokensLine: number
}

/** Why a class's promises broke in the last minutes. */
export interface MissView {
  readonly class: ClassName
  readonly ended: number
  readonly missed: number
  /** The most frequent way. */
  readonly outcome: { readonly name: Outcome, readonly count: number }
  /** Share of the time to the first token that was spent in the queue. */
  readonly queueShare: number | undefined
  /** The backend that most of them ran on; undefined when none ran. */
  readonly backend: { readonly name: BackendId, readonly count: number } | undefined
}

export interface QueueAlarm {
  readonly class: ClassName
  readonly p50Ms: Ms
  readonly p99Ms: Ms
  readonly beforeP50Ms: Ms
  readonly beforeP99Ms: Ms
}

export type AdviceLevel = 'act' | 'watch' | 'ok' | 'unknown'

/** One line of the tuning checklist, with the figure that it rests on. */
export interface Advice {
  readonly id: string
  readonly level: AdviceLevel
  readonly title: string
  readonly figure: string
  readonly what: string
}

export interface Snapshot {
  readonly version: string
  readonly uptimeMs: Ms
  readonly draining: boolean
  readonly policy: SchedulerState['policy']
  readonly admission: SchedulerState['admission']
  readonly pools: readonly DashboardPool[]
  readonly personas: readonly PersonaSummary[]
  readonly detail: PersonaDetail
  readonly backends: readonly BackendView[]
  readonly faults: readonly SpeedFault[]
  readonly queueAlarms: readonly QueueAlarm[]
  readonly misses: readonly MissView[]
  readonly matrix: MatrixView | undefined
  readonly advice: readonly Advice[]
  /** Every backend's cost per hour; undefined while one is not known. */
  readonly costPerHour: number | undefined
}

/** The recent past, one entry a second, oldest first. Sent once; then each snapshot comes with one more entry. */
export interface HistoryView {
  readonly uptimeMs: readonly Ms[]
  readonly persona: Readonly<Record<string, readonly (number | null)[]>>
  readonly backends: Readonly<Record<BackendId, Readonly<Record<string, readonly (number | null)[]>>>>
}
