import type { createScheduler, Clock, Ms, Random, RequestSpec, Timeline } from '../core/index.js'
import type { Config } from '../config/index.js'
import type { Fleet } from '../fleet/index.js'
import type { ErrorShape, RequestFields } from '../protocol/index.js'
import type { ClientStream } from '../relay/index.js'
import type { Telemetry, TraceIds } from '../telemetry/index.js'

/** What attempts send. */
export interface Outbound {
  readonly method: string
  /** Path and query. */
  readonly target: string
  /** Names and values in turn, without the backend's key. */
  readonly headers: readonly string[]
  /** The client's own credentials are among `headers`. */
  readonly credentialsPassed: boolean
  readonly fields: RequestFields
  /** Undefined also once a continuation alone can follow, which has what it needs of it. */
  body: Buffer | undefined
}

/** A request that the gateway has read, classified and found valid: all that is needed to schedule, send and account it. */
export interface Job {
  readonly spec: RequestSpec
  /** Let go of when the answer has begun and no other attempt can follow: a stream keeps only what it needs, see `setUpCollector`. */
  outbound: Outbound | undefined
  readonly errorShape: ErrorShape
  /** Name of the route that matched. */
  readonly route: string
  /** Path without query, for records. */
  readonly path: string
  readonly client: ClientStream
  /** The route wants a broken answer finished elsewhere, where that can be exact. */
  readonly continuation: boolean
  /** When the client itself gives up, where it said so: no retry after that. */
  readonly givesUpAtMs: Ms | undefined
  /** Public id of the request. */
  readonly requestId: string
  readonly wallTimeMs: Ms
  /** The body was complete; what came before was the client's time. */
  readonly bodyReadAtMs: Ms
  readonly traceparent: string | undefined
  /** Where the request stands in its trace; undefined where traces are off. */
  readonly trace: TraceIds | undefined
  /** Headers about the tenant's limits for the answer, names and values in turn. */
  readonly limitHeaders: readonly string[]
  /** Told once, when the request has its ending. */
  readonly onEnd: ((timeline: Timeline) => void) | undefined
}

export type RuntimeTelemetry = Pick<Telemetry, 'offered' | 'admission' | 'intervals' | 'firstToken' | 'attempt' | 'attemptLost' | 'finished' | 'refused' | 'log'>

export interface RuntimeOptions {
  readonly config: Config
  readonly fleet: Fleet
  readonly telemetry: RuntimeTelemetry
  readonly clock: Clock
  readonly random: Random
  /** In place of the core's own: the same, with somebody who listens. */
  readonly createScheduler?: typeof createScheduler
}

/** What is held at this moment; all zero when nothing runs. */
export interface RuntimeGauges {
  readonly requests: number
  readonly waiting: number
  readonly leases: number
  readonly watched: number
  readonly running: number
}
