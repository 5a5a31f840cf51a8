import PQueue from 'p-queue'
import type { Clock, Ms } from '../core/index.js'
import type { FleetBackend } from '../fleet/index.js'
import { Upstream } from '../relay/index.js'
import type { Lease } from './lease.js'

/** How attempts reach one backend: its connections, and the executor that bounds what runs on it. */
export class BackendLink {
  readonly upstream: Upstream
  readonly backend: FleetBackend
  /**
   * A structural bound beside the scheduler's judgement: were the ledger ever wrong, no more than this runs. It never
   * orders anything: what it is given starts at once as long as the scheduler keeps to the cap.
   */
  readonly #executor: PQueue

  constructor(backend: FleetBackend, connectTimeoutMs: Ms, maxInflight: number | undefined, clock: Clock) {
    this.backend = backend
    this.upstream = new Upstream(backend, connectTimeoutMs, clock)
    this.#executor = new PQueue({ concurrency: maxInflight ?? Infinity })
  }

  /** What a reload may change. */
  configure(connectTimeoutMs: Ms, maxInflight: number | undefined): void {
    this.upstream.connectTimeoutMs = connectTimeoutMs
    this.#executor.concurrency = maxInflight ?? Infinity
  }

  get running(): number {
    return this.#executor.pending
  }

  /** `start` is called when there is room, unless the lease was released before; the place is held until the lease is released. */
  run(lease: Lease, start: () => void): void {
    void this.#executor.add(() => new Promise<void>(resolve => {
      if (lease.released) return resolve()
      lease.hold(resolve)
      start()
    }))
  }

  /** Resolves when nothing runs any more. */
  onIdle(): Promise<void> {
    return this.#executor.onIdle()
  }

  /** What runs may finish; then the connections close. */
  async retire(): Promise<void> {
    await this.#executor.onIdle()
    await this.upstream.close()
  }
}
