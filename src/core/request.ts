import type { OutputLengthHistogram } from './estimation/output-lengths.js'
import type { Backend } from './ledger/backend.js'
import type { Lease } from './ledger/lease.js'
import type { Lane, Prospect } from './ordering/lane.js'
import type { Explanation, Feasibility } from './events.js'
import type { BackendId, Ms, RequestSpec, ServiceClass, Tokens } from './types.js'

export type HeldBy = NonNullable<Explanation['heldBy']>

/** Quantile of output lengths for which a deadline leaves room: an answer that ends after it is the most expensive kind of waste, */
const LONG = 0.99
/** and the share of the deadline that is left for waiting in any case. */
const MIN_WAIT_SHARE = 0.1

/** `atMs` is Infinity where no answer to anybody else makes up for it. */
interface Failure {
  readonly backend: BackendId
  readonly atMs: Ms
}

/** A request from its arrival to its end, as the scheduler keeps it. Either queued (`lane`) or dispatched (`lease`), never both. */
export class TrackedRequest {
  readonly spec: RequestSpec
  readonly class: ServiceClass
  /** Number of its arrival: the last tie-break of every order. */
  readonly sequence: number
  /** Estimate made on arrival, or the exact count. */
  readonly promptTokens: Tokens
  /** Output lengths of its class. */
  readonly lengths: OutputLengthHistogram
  /** The deadline by which queues are ordered. */
  readonly dueAtMs: Ms
  /** Target per token that the client can notice; Infinity = none. */
  readonly tpotMs: Ms
  /** Somebody watches the tokens come, and was promised something about it. */
  readonly interactive: boolean
  /** It can meet something, or miss it. */
  readonly targeted: boolean
  /** Its place among the requests of its lane; smaller first. */
  key: number
  /** When it leaves the queue unserved. */
  expiresAtMs: Ms
  lane: Lane | undefined
  lease: Lease | undefined
  queuedAtMs: Ms
  attempts = 0
  /** The client has part of the answer, and is owed the rest. */
  continues = false
  #failures: Failure[] | undefined
  heldBy: HeldBy | undefined
  /** All backends turned it down; until then it is enough to ask those that changed since. */
  askAllAtMs: Ms = -Infinity
  prospect: Prospect = 'good'
  verdict: Feasibility = 'unknown'
  /** Found infeasible, whatever was made of it. */
  wouldReject = false
  /** Found infeasible, and kept in its place to see whether that was true. */
  probe = false
  /** When it was sent it was expected to meet its targets. */
  hopeful = false
  /** Until when the last forecast holds. */
  forecastUntilMs: Ms = -Infinity
  predictedTtftMs: Ms | undefined
  predictedTtftErrorMs: Ms = 0

  constructor(spec: RequestSpec, serviceClass: ServiceClass, sequence: number, promptTokens: Tokens, lengths: OutputLengthHistogram, tokenMs: Ms, nowMs: Ms) {
    this.spec = spec
    this.#failures = spec.unfit?.map((backend) => ({ backend, atMs: Infinity }))
    this.class = serviceClass
    this.sequence = sequence
    this.promptTokens = promptTokens
    this.lengths = lengths
    this.dueAtMs = dueAtMs(spec, serviceClass, lengths, tokenMs)
    this.tpotMs = spec.streamed ? spec.targets.tpotMs ?? Infinity : Infinity
    this.interactive = spec.streamed && (spec.targets.ttftMs !== undefined || spec.targets.tpotMs !== undefined)
    this.targeted = this.interactive || spec.targets.deadlineMs !== undefined
    this.key = this.dueAtMs
    this.expiresAtMs = spec.targets.deadlineMs === undefined
      ? nowMs + serviceClass.maxQueueMs
      : spec.receivedAtMs + spec.targets.deadlineMs
    this.queuedAtMs = nowMs
  }

  failedOn(backend: BackendId, nowMs: Ms): void {
    (this.#failures ??= []).push({ backend, atMs: nowMs })
  }

  /** Not to be given it (again): it does not speak its protocol, or failed it and has answered nobody since. */
  excludes({ spec: { id }, provenAtMs }: Backend): boolean {
    return this.#failures !== undefined && this.#failures.some(({ backend, atMs }) => backend === id && provenAtMs <= atMs)
  }

  /** Whoever failed it may be tried again, all but the latest `kept`. */
  forgive(kept: number): void {
    if (this.#failures === undefined) return
    const unfit = this.spec.unfit?.length ?? 0
    this.#failures.splice(unfit, Math.max(0, this.#failures.length - unfit - kept))
  }

  forgiveLatest(): void {
    this.#failures?.pop()
  }
}

/**
 * Of the first token where there is a target, else of the whole answer less the time that a long one takes, else of the wait.
 * `tokenMs`: time per token that the class sees.
 */
function dueAtMs(spec: RequestSpec, serviceClass: ServiceClass, lengths: OutputLengthHistogram, tokenMs: Ms): Ms {
  const { ttftMs, deadlineMs } = spec.targets
  if (spec.streamed && ttftMs !== undefined) return spec.receivedAtMs + ttftMs
  if (deadlineMs === undefined) return spec.receivedAtMs + (ttftMs ?? serviceClass.maxQueueMs)
  if (spec.kind !== 'generation') return spec.receivedAtMs + deadlineMs
  const answerMs = lengths.remaining(0, LONG, spec.maxOutputTokens) * tokenMs
  return spec.receivedAtMs + Math.max(MIN_WAIT_SHARE * deadlineMs, deadlineMs - answerMs)
}
