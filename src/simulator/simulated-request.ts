import type { BackendId, Ending, Ms, RequestSpec, SloTargets, Timeline, Tokens } from '../core/index.js'
import type { Sequence } from './engine/index.js'
import type { SourcedRequest } from './workload/workload.js'

/** One request of a simulation: its truth, its timeline, and where it is. */
export class SimulatedRequest implements Timeline {
  readonly id: string
  readonly receivedAtMs: Ms
  readonly classifiedAtMs: Ms
  readonly queuedAtMs: Ms
  dispatchedAtMs: Ms | undefined = undefined
  connectedAtMs: Ms | undefined = undefined
  firstTokenAtMs: Ms | undefined = undefined
  lastTokenAtMs: Ms | undefined = undefined
  endedAtMs: Ms | undefined = undefined
  ending: Ending | undefined = undefined
  readonly streamed = true
  readonly outputTokensEstimated = false
  promptTokens: Tokens
  cachedTokens: Tokens | undefined = undefined
  /** Tokens that the gateway has seen. */
  outputTokens: Tokens = 0
  attempts = 0
  readonly pool = undefined
  backend: BackendId | undefined = undefined
  maxLatenessMs: Ms = 0

  /** Tokens that it will have in the end, unless it is let go. */
  readonly trueOutputTokens: Tokens
  readonly classIndex: number
  /** Number of the gateway replica that it came to. */
  readonly gateway: number
  readonly measured: boolean
  /** Number in the order of arrival. */
  readonly index: number
  /** Number of the backend of its current attempt; −1 = none. */
  backendIndex = -1
  sequence: Sequence<SimulatedRequest> | undefined = undefined
  progressAtMs: Ms = 0
  /** Admitted although the scheduler held it infeasible. */
  probe = false
  /** What the scheduler held against it, where it was only observing. */
  wouldReject = false
  /** Refused although a backend, as it truly was, had time enough for its first token. */
  refusedWithRoom = false
  /** Work that engines did for earlier attempts. */
  lostPrefillTokens: Tokens = 0
  lostDecodeTokens: Tokens = 0

  constructor(index: number, readonly source: SourcedRequest, readonly spec: RequestSpec, readonly targets: SloTargets, gateway: number, measured: boolean) {
    this.id = spec.id
    this.receivedAtMs = source.arrivalMs
    this.classifiedAtMs = source.arrivalMs
    this.queuedAtMs = source.arrivalMs
    this.promptTokens = source.promptTokens
    this.trueOutputTokens = source.outputTokens
    this.classIndex = source.classIndex
    this.gateway = gateway
    this.measured = measured
    this.index = index
  }

  /** What is still open of a promise at `nowMs`? False once the request has ended or its TTFT is lost beyond doubt. */
  isUndecided(nowMs: Ms): boolean {
    if (this.ending !== undefined) return false
    const { ttftMs, deadlineMs } = this.targets
    if (ttftMs !== undefined && (this.firstTokenAtMs ?? nowMs) - this.receivedAtMs > ttftMs) return false
    return deadlineMs === undefined || nowMs - this.receivedAtMs <= deadlineMs
  }
}
