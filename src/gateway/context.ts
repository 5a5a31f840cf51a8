import type { Clock, Ms, TenantName } from '../core/index.js'
import type { Config, KeyConfig } from '../config/index.js'
import type { Fleet, FleetBackend } from '../fleet/index.js'
import type { Runtime } from '../runtime/index.js'
import type { Telemetry } from '../telemetry/index.js'
import type { TenantLimits } from './limits/tenant-limits.js'
import type { Current } from './settings.js'

/** What the data plane is made of; made by whoever starts it. */
export interface DataPlaneOptions {
  readonly config: Config
  readonly runtime: Runtime
  readonly fleet: Fleet
  readonly telemetry: Pick<Telemetry, 'finished' | 'log'>
  readonly clock: Clock
  /** Milliseconds since the epoch, for people. */
  readonly wallClock: () => Ms
  /** PEM. Absent: plain HTTP. `ca`: clients must show a certificate of theirs. */
  readonly tls?: { readonly cert: Buffer, readonly key: Buffer, readonly ca?: Buffer }
  /** A fresh, unguessable id. */
  readonly newId: () => string
}

/** Who sends a request, and what they may ask for. */
export interface Tenant {
  readonly name: TenantName
  /** Absent: everything is allowed. */
  readonly key: KeyConfig | undefined
  /** What it has used of its limits; absent: nothing is limited. */
  readonly limits: TenantLimits | undefined
}

declare module 'fastify' {
  interface FastifyRequest {
    /** t0: the gateway has the request's head. */
    receivedAtMs: Ms
    wallTimeMs: Ms
    requestId: string
    tenant: Tenant
    /** The settings that were in force when it came; they hold for it to its end, whatever is reloaded meanwhile. */
    settings: Current
    /** Where a request of the allow-list goes; undefined for all others. */
    passthrough: { readonly backend: FleetBackend, readonly ticket: string } | undefined
  }
}
