import type { Registry } from 'prom-client'
import type { Logger } from 'pino'
import type { AttemptVerdict, BackendId, BackendState, ClassName, EngineReport, Explanation, GoodputLedger, Histogram, Ms, PoolName, RequestId, SchedulerState, TenantName, Work } from '../core/index.js'
import type { Config } from '../config/index.js'
import type { Pace } from './pace.js'
import type { RequestRecord } from './record.js'
import type { RecentRequests } from './recent.js'

/** A handle on one ITL distribution, made for the relay's hot path: `record` allocates nothing. */
export interface IntervalRecorder {
  /** Gap between two successive token events. */
  record(gapMs: Ms): void
}

/** What became of a request on arrival, or of a queued one later. `would_reject`: `observe` let through what `enforce` would refuse. */
export type AdmissionVerdict = 'dispatch' | 'queue' | 'reject' | 'would_reject' | 'probe'

/** One line of the audit log: an action of an operator, or a refusal. */
export interface AuditEntry {
  readonly action: string
  /** Who: `operator` (by admin token), `signal`, `file` or the name of a tenant. */
  readonly actor: string
  /** What it was done to: a backend, a pool, a request. */
  readonly subject?: string
  readonly result: 'done' | 'refused'
  readonly detail?: string
}

/** The gauges of one backend, as the fleet tells them. */
export interface BackendGauges {
  readonly id: BackendId
  readonly pool: PoolName
  readonly state: BackendState
  readonly operatorDrain: boolean
  readonly breaker: 'closed' | 'open' | 'half_open'
  readonly slowdownRatio?: number | undefined
  readonly report: EngineReport
  readonly gpuUtilizationRatio?: number | undefined
  readonly costPerHour: number | undefined
}

/** Where gauges are read from when somebody scrapes. */
export interface GaugeSources {
  scheduler(): SchedulerState
  backends(): readonly BackendGauges[]
}

/** Observes the gateway: counts, measures, logs. Nothing here can fail a request or wait for a sink. */
export interface Telemetry {
  readonly registry: Registry
  readonly log: Logger
  /** The books of goodput: totals, windows, distributions per class. */
  readonly ledger: GoodputLedger
  /** The last requests, newest first, for /api/requests. */
  readonly recent: RecentRequests
  /** A request has its route and class. Every request is offered once, whatever becomes of it. */
  offered(route: string, className: ClassName, model: string | undefined): void
  /** A verdict of admission. `reason`: a refusal's code, what holds a queued request, or '' for a dispatch. */
  admission(className: ClassName, verdict: AdmissionVerdict, reason: string): void
  /** Handle for a stream's gaps between token events; take it once per attempt. */
  intervals(className: ClassName, pool: PoolName, backend: BackendId): IntervalRecorder
  /** Distribution of the class's gaps between token events since the start; undefined = none yet. */
  intervalsOf(className: ClassName): Histogram | undefined
  /** The first token of a stream came, `upstreamMs` after its dispatch and `ttftMs` after t0. */
  firstToken(backend: BackendId, className: ClassName, upstreamMs: Ms, ttftMs: Ms, explanation: Explanation | undefined): void
  /** What running streams show of each backend's speed, by class. */
  paces(): readonly Pace[]
  /** Called with every finished request, after it was counted; until the returned function is called. */
  onFinished(listener: (record: RequestRecord) => void): () => void
  /** How an attempt on a backend ended. */
  attempt(backend: BackendId, result: AttemptVerdict): void
  /** An attempt was given up although its request goes on elsewhere: its work is lost. */
  attemptLost(className: ClassName, work: Work): void
  /** The one call at a request's end: metrics, log line, request file, recent list. */
  finished(record: RequestRecord): void
  reloaded(result: 'applied' | 'rejected'): void
  audit(entry: AuditEntry): void
  /** An admission refusal for the audit log. */
  refused(id: RequestId, tenant: TenantName, reason: string): void
  /** Tell where gauges come from; before that they have no values. */
  observe(sources: GaugeSources): void
  /** Models whose names may be labels: those of the configuration and those that backends list. */
  models(names: readonly string[]): void
  /** A new configuration: names that may be labels, targets, objectives, log level. */
  configure(config: Config): void
  /** The Prometheus text in UTF-8, made in turns of the event loop; calls that overlap share one. */
  metricsText(): Promise<Buffer>
  /** Open the log files anew after a rotation. */
  reopen(): void
  /** Write out what is buffered and close files. */
  close(): Promise<void>
}

export interface TelemetryOptions {
  readonly config: Config
  readonly version: string
  /** Monotonic milliseconds. */
  readonly now: () => Ms
  /** Milliseconds since the epoch. */
  readonly wallNow: () => Ms
  /** Takes log lines; absent: standard output. For tests and embedding. */
  readonly logStream?: { write(line: string): void }
}
