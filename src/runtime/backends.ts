import type { BackendId, Clock, Ms } from '../core/index.js'
import type { Fleet, FleetBackend } from '../fleet/index.js'
import { Upstream } from '../relay/index.js'
import type { Lease } from './lease.js'

/** An attempt that is to run, and where its place is asked for. */
interface Waiting {
  readonly lease: Lease
  readonly start: () => void
}

/**
 * How attempts reach one backend: its connections, and a structural bound beside the scheduler's judgement: were the ledger ever wrong, no
 * more than this runs. It never orders anything: what it is given starts at once as long as the scheduler keeps to the cap.
 */
export class BackendLink {
  readonly upstream: Upstream
  readonly backend: FleetBackend
  #most: number
  #running = 0
  readonly #waiting: Waiting[] = []
  #idle: (() => void) | undefined

  constructor(backend: FleetBackend, connectTimeoutMs: Ms, maxInflight: number | undefined, clock: Clock) {
    this.backend = backend
    this.upstream = new Upstream(backend, connectTimeoutMs, clock)
    this.#most = maxInflight ?? Infinity
  }

  /** What a reload may change. */
  configure(connectTimeoutMs: Ms, maxInflight: number | undefined): void {
    this.upstream.connectTimeoutMs = connectTimeoutMs
    this.#most = maxInflight ?? Infinity
    this.#fill()
  }

  get running(): number {
    return this.#running
  }

  /** `start` is called when there is room, unless the lease was released before; the place is held until the lease is released. */
  run(lease: Lease, start: () => void): void {
    this.#waiting.push({ lease, start })
    this.#fill()
  }

  /** A lease that held a place here is released. What waits begins when its releaser is done. */
  leave(): void {
    this.#running--
    if (this.#waiting.length > 0) queueMicrotask(() => { this.#fill() })
    else if (this.#running === 0) this.#idle?.()
  }

  #fill(): void {
    while (this.#running < this.#most && this.#waiting.length > 0) {
      const { lease, start } = this.#waiting.shift()!
      if (lease.released) continue
      this.#running++
      lease.hold(this)
      start()
    }
    if (this.#running === 0) this.#idle?.()
  }

  /** What runs may finish; then the connections close. */
  async retire(): Promise<void> {
    if (this.#running > 0) await new Promise<void>(resolve => { this.#idle = resolve })
    await this.upstream.close()
  }
}

/** The links to all backends of the fleet, each made when it is first needed. */
export class BackendLinks {
  readonly #links = new Map<BackendId, BackendLink>()
  readonly #fleet: Fleet
  readonly #clock: Clock
  readonly #connectTimeoutMs: () => Ms

  constructor(fleet: Fleet, clock: Clock, connectTimeoutMs: () => Ms) {
    this.#fleet = fleet
    this.#clock = clock
    this.#connectTimeoutMs = connectTimeoutMs
  }

  /** Attempts that hold a place, over all backends. */
  get running(): number {
    let running = 0
    for (const link of this.#links.values()) running += link.running
    return running
  }

  of(backend: FleetBackend): BackendLink {
    let link = this.#links.get(backend.id)
    if (link === undefined) {
      link = new BackendLink(backend, this.#connectTimeoutMs(), this.#capOf(backend.id), this.#clock)
      this.#links.set(backend.id, link)
    }
    return link
  }

  /** After the fleet has changed: links to backends that stay get the new limits, the others end after what they carry. */
  sync(): void {
    for (const [id, link] of this.#links) {
      if (this.#fleet.get(id) === link.backend) {
        link.configure(this.#connectTimeoutMs(), this.#capOf(id))
        continue
      }
      this.#links.delete(id)
      void link.retire()
    }
  }

  async destroy(): Promise<void> {
    await Promise.all([...this.#links.values()].map(link => link.upstream.destroy()))
  }

  #capOf(id: BackendId): number | undefined {
    return this.#fleet.specs().find(spec => spec.id === id)?.maxInflight
  }
}
