import type { EngineReport, Ms, Tokens } from '../../core/index.js'
import type { EngineKind } from '../../config/index.js'
import type { Dialect } from '../../protocol/index.js'
import type { MetricSet } from '../prometheus.js'

/** One answer to a health probe. A server that shuts down answers like one that is down: it wants nothing new either way. */
export type HealthReading = 'ok' | 'failed'

export interface HealthProbe {
  readonly path: string
  /** Where a check costs the engine work or takes long, however short the configured interval and timeout are. */
  readonly minIntervalMs?: Ms
  readonly minTimeoutMs?: Ms
  read(status: number): HealthReading
}

/** What one read of an engine's metrics says. Missing = unknown, never zero. */
export interface EngineReading {
  readonly report: EngineReport
  /** `process_start_time_seconds`, where exported: a change is a restart. */
  readonly startedAtSeconds?: number
  /** Counters that only grow while the process lives: a fall is a restart. */
  readonly counters: readonly number[]
  /** Tokens found in the prefix cache, and tokens looked up, since the start. */
  readonly prefixHitTokens?: number
  readonly prefixQueryTokens?: number
  /** A counter that moves with every step while requests run; standing still means a hung engine. */
  readonly steps?: number
}

/** Facts that do not change while a server runs. */
export interface EngineFacts {
  readonly models?: readonly ModelFact[]
  readonly kvCapacityTokens?: Tokens
  readonly contextTokens?: Tokens
}

export interface ModelFact {
  readonly id: string
  readonly created?: number
  readonly ownedBy?: string
  readonly maxModelTokens?: Tokens
}

/** Everything that differs between kinds of model servers, as data and pure functions. One file per engine. */
export interface EngineAdapter {
  readonly engine: EngineKind
  readonly health: HealthProbe
  /** Undefined: the engine exports none. */
  readonly metrics: {
    readonly path: string
    /** Canonical names (see `canonicalName`) that `read` looks at; every other line is skipped. */
    readonly names: ReadonlySet<string>
    read(metrics: MetricSet): EngineReading
  } | undefined
  /** Sources of facts, all asked; later ones add what earlier ones did not say. */
  readonly facts: readonly { readonly path: string, read(body: unknown): EngineFacts }[]
  /** Names that the server takes for a model that it lists, beside the listed one. */
  aliases(model: string): readonly string[]
  /** Does it honour `stream_options.include_usage` on the OpenAI stream routes? Only then may the gateway ask for it. */
  readonly reportsUsageWhenAsked: boolean
  /** Can it go on with an answer that another server began? Absent: no. */
  readonly continuation?: { readonly tokenIds: boolean }
  /** Dialects that it surely does not serve, so that requests in them go to other backends where there are any; absent: none is known. */
  readonly lacks?: readonly Dialect[]
}
