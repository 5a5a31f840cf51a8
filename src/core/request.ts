import type { Lease } from './ledger/lease.js'
import type { Lane } from './ordering/lane.js'
import type { Explanation } from './events.js'
import type { BackendId, Ms, RequestSpec, ServiceClass, SloTargets, Tokens } from './types.js'

export type HeldBy = NonNullable<Explanation['heldBy']>

/** A request from its arrival to its end, as the scheduler keeps it. Either queued (`lane`) or dispatched (`lease`), never both. */
export class TrackedRequest {
  readonly spec: RequestSpec
  readonly class: ServiceClass
  /** Number of its arrival: the last tie-break of every order. */
  readonly sequence: number
  /** Estimate made on arrival, or the exact count. */
  readonly promptTokens: Tokens
  /** Its place among the requests of its lane; smaller first. */
  key: number
  /** When it leaves the queue unserved. */
  expiresAtMs: Ms
  lane: Lane | undefined
  lease: Lease | undefined
  queuedAtMs: Ms
  attempts = 0
  /** Backends whose attempt failed; not tried again. */
  readonly failedOn: BackendId[] = []
  heldBy: HeldBy | undefined
  /** It cannot make its targets and is served after everything that can. */
  bestEffort = false

  constructor(spec: RequestSpec, serviceClass: ServiceClass, sequence: number, promptTokens: Tokens, nowMs: Ms) {
    this.spec = spec
    this.class = serviceClass
    this.sequence = sequence
    this.promptTokens = promptTokens
    this.key = dueAtMs(spec, serviceClass)
    this.expiresAtMs = spec.targets.deadlineMs === undefined
      ? nowMs + serviceClass.maxQueueMs
      : spec.receivedAtMs + spec.targets.deadlineMs
    this.queuedAtMs = nowMs
  }

  get targets(): SloTargets {
    return this.spec.targets
  }
}

/** The deadline by which queues are ordered: of the first token where there is a target, else of the whole answer, else of the wait. */
export function dueAtMs(spec: RequestSpec, serviceClass: ServiceClass): Ms {
  const { ttftMs, deadlineMs } = spec.targets
  const budget = spec.streamed ? ttftMs ?? deadlineMs : deadlineMs ?? ttftMs
  return spec.receivedAtMs + (budget ?? serviceClass.maxQueueMs)
}
