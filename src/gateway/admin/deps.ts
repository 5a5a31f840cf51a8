import type { Clock, SchedulerState } from '../../core/index.js'
import type { Config } from '../../config/index.js'
import type { Fleet } from '../../fleet/index.js'
import type { Telemetry } from '../../telemetry/index.js'

/** What the admin plane shows and moves. */
export interface AdminPlaneOptions {
  readonly fleet: Fleet
  readonly telemetry: Telemetry
  /** The owner of the scheduler. */
  readonly runtime: { readonly draining: boolean, schedulerState(): SchedulerState }
  readonly clock: Clock
  readonly version: string
  /** The configuration in force; asked anew each time, so that a reload shows. Host, port and TLS of the listener are those of the first. */
  config(): Config
  /** Read the configuration anew; rejects with a message for people where it is bad, and the old one stays. */
  reload(): Promise<void>
  /** PEM material of the listener; `ca` makes client certificates required. */
  readonly tls?: { readonly cert: Buffer, readonly key: Buffer, readonly ca?: Buffer }
}
