/** What the rest of the gateway sees of the model servers as they are. */
import type { AttemptVerdict, BackendId, BackendSpec, BackendState, EngineReport, Ms, PoolMode, PoolName, PoolSpec, Tokens } from '../core/index.js'
import type { Config, EngineKind } from '../config/index.js'
import type { EngineAdapter } from './engines/adapter.js'
import type { Names } from './names.js'
import type { BreakerState } from './breaker.js'

/** PEM material of a backend's TLS, read from the configured files. */
export interface TlsMaterial {
  readonly ca?: Buffer
  readonly cert?: Buffer
  readonly key?: Buffer
}

/** A backend as the relay needs it. The object lives as long as the backend is configured; its getters tell the present. */
export interface FleetBackend {
  readonly id: BackendId
  readonly pool: PoolName
  /** Scheme, host and port; what undici connects to. */
  readonly origin: string
  /** Path of the configured URL without its final slash; goes before every request path. Usually ''. */
  readonly basePath: string
  readonly apiKey: string | undefined
  readonly tls: TlsMaterial | undefined
  /** Looks the host's name up; absent: the system does. */
  readonly names?: Pick<Names, 'lookup' | 'holds'> | undefined
  readonly costPerHour: number | undefined
  /** The configured kind, or the detected one where the configuration says `openai`. */
  readonly engine: EngineKind
  readonly adapter: EngineAdapter
  readonly state: BackendState
  /** Most requests at once while the breaker probes; undefined = no such cap. */
  readonly inflightLimit: number | undefined
  /** Served models; undefined = unknown, takes any. */
  readonly models: readonly string[] | undefined
}

export interface StreamPace {
  readonly tokens: Tokens
  readonly tookMs: Ms
}

/** Sent to listeners in order, synchronously, from timers and answers of probes: never from inside a call of the fleet's own methods but `configure`, `drain`, `undrain`, `setPoolMode`, `attemptEnded` and `attemptProgressed`. */
export type FleetChange =
  | {
    readonly type: 'state'
    readonly backend: BackendId
    readonly state: BackendState
    /** In words, for logs and people. */
    readonly why: string
    /** Most requests at once while the breaker probes; undefined = no such cap. */
    readonly inflightLimit: number | undefined
  }
  /** A field that is missing is unknown; `{}` when readings have become stale. */
  | { readonly type: 'report', readonly backend: BackendId, readonly report: EngineReport }
  /** The server process was replaced: its cache is empty. */
  | { readonly type: 'restarted', readonly backend: BackendId }
  /** Membership, models, a pool's mode or an engine's kind have changed: take `pools` and `specs()` anew. States of new backends follow. */
  | { readonly type: 'specs' }

export interface ModelEntry {
  readonly id: string
  readonly created: number | undefined
  readonly ownedBy: string | undefined
  /** Context length; undefined = unknown. */
  readonly maxModelTokens: Tokens | undefined
}

/** Plain data for /api/state and the gauges. Ages are as of the call. */
export interface BackendSnapshot {
  readonly id: BackendId
  readonly pool: PoolName
  readonly url: string
  readonly engine: EngineKind
  readonly engineDetected: boolean
  readonly state: BackendState
  readonly why: string
  readonly stateAgeMs: Ms
  readonly operatorDrain: boolean
  readonly breaker: BreakerState
  readonly consecutiveFaults: number
  /** Slower than usual, beside its pool, by this factor; undefined = not known. */
  readonly slowdownRatio: number | undefined
  readonly models: readonly ModelEntry[] | undefined
  readonly restarts: number
  /** Time since a check last succeeded; undefined = never. */
  readonly healthAgeMs: Ms | undefined
  readonly healthError: string | undefined
  readonly checkMs: Ms | undefined
  /** Time since metrics were last read; undefined = never, or the engine has none. */
  readonly reportAgeMs: Ms | undefined
  readonly reportError: string | undefined
  /** Figures repeat although work went through: not believed. */
  readonly reportFrozen: boolean
  readonly report: EngineReport
  /** Of its GPUs, 0 to 1; undefined = no source configured, or it says nothing. */
  readonly gpuUtilizationRatio: number | undefined
  readonly costPerHour: number | undefined
}

export interface Fleet {
  /** Begin checks; resolves when every backend has been checked once (each within its timeout). */
  start(): Promise<void>
  /** End timers, abort probes, close connections. */
  stop(): Promise<void>
  /** A new configuration, atomically. Backends that stay keep their state. */
  configure(config: FleetConfig): void
  readonly backends: readonly FleetBackend[]
  readonly pools: readonly PoolSpec[]
  get(id: BackendId): FleetBackend | undefined
  specs(): readonly BackendSpec[]
  /** Models of backends that are not down, each once. */
  models(): readonly ModelEntry[]
  onChange(listener: (change: FleetChange) => void): () => void
  /**
   * Tell the breaker how an attempt ended. `dispatchedAtMs` keeps late news of old attempts from judging a recovering backend.
   * `pace`: the tokens of its stream, and the time from the first to the last; absent where that says nothing of the backend.
   */
  attemptEnded(id: BackendId, verdict: AttemptVerdict, dispatchedAtMs: Ms, pace?: StreamPace): void
  /** First token, of a prompt with so many tokens to compute: enough for a probing breaker to close, long before a stream ends. */
  attemptProgressed(id: BackendId, dispatchedAtMs: Ms, promptTokens: Tokens): void
  /** No new requests; running streams finish. False: no such backend. */
  drain(id: BackendId): boolean
  undrain(id: BackendId): boolean
  /** Holds until the next `configure`. False: no such pool. */
  setPoolMode(pool: PoolName, mode: PoolMode): boolean
  snapshot(): readonly BackendSnapshot[]
}

export type FleetConfig = Pick<Config, 'pools' | 'health' | 'scrape' | 'breaker' | 'outliers'>
