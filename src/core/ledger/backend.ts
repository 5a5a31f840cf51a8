import type { BackendSpec, BackendState, EngineReport, Ms, Tokens } from '../types.js'
import { Backpressure } from './backpressure.js'
import type { Lease } from './lease.js'

/** What the gateway knows of one backend: its own work there, to the request. */
export class Backend {
  spec: BackendSpec
  state: BackendState = 'up'
  /** Requests in flight, every phase. */
  requests = 0
  /** Uncached prompt tokens that were sent and have not answered yet. */
  prefillTokens: Tokens = 0
  /** Context of all requests in flight. */
  contextTokens: Tokens = 0
  /** Dispatched, no first token yet; in order of dispatch. */
  readonly prefills: Lease[] = []
  /** Streams past their first token, in no order. */
  readonly decodes: Lease[] = []
  readonly backpressure = new Backpressure()
  report: EngineReport | undefined
  reportAtMs: Ms | undefined

  constructor(spec: BackendSpec) {
    this.spec = spec
  }

  /** Most requests it may be given now; undefined = no bound. One is always allowed. */
  limit(nowMs: Ms): number | undefined {
    const engine = this.backpressure.limit(nowMs)
    const own = this.spec.maxInflight
    if (engine === undefined) return own
    return own === undefined ? engine : Math.min(own, engine)
  }

  /** Only `Lease` calls the following three. */
  charge(lease: Lease): void {
    this.requests++
    this.prefillTokens += lease.uncachedTokens
    this.contextTokens += lease.contextTokens
    this.prefills.push(lease)
  }

  prefillEnds(lease: Lease): void {
    this.#leavePrefill(lease)
    lease.position = this.decodes.length
    this.decodes.push(lease)
  }

  release(lease: Lease): void {
    this.requests--
    this.contextTokens -= lease.contextTokens
    if (lease.phase === 'prefill') {
      this.#leavePrefill(lease)
      return
    }
    const last = this.decodes.pop() as Lease
    if (last !== lease) {
      this.decodes[lease.position] = last
      last.position = lease.position
    }
  }

  #leavePrefill(lease: Lease): void {
    this.prefillTokens -= lease.uncachedTokens
    this.prefills.splice(this.prefills.indexOf(lease), 1)
  }
}
