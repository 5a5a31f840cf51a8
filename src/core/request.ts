import { known } from './known.js'
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

/** Times of a request. */
const DUE = 0
const TPOT = 1
const KEY = 2
const EXPIRES = 3
const QUEUED = 4
const ASK_ALL = 5
const FORECAST_UNTIL = 6
const PREDICTED_TTFT = 7
const PREDICTED_TTFT_ERROR = 8

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
  /** Somebody watches the tokens come, and was promised something about it. */
  readonly interactive: boolean
  /** It can meet something, or miss it. */
  readonly targeted: boolean
  lane: Lane | undefined
  lease: Lease | undefined
  attempts = 0
  /** The client has part of the answer, and is owed the rest. */
  continues = false
  #failures: Failure[] | undefined
  heldBy: HeldBy | undefined
  prospect: Prospect = 'good'
  verdict: Feasibility = 'unknown'
  /** Found infeasible, whatever was made of it. */
  wouldReject = false
  /** Found infeasible, and kept in its place to see whether that was true. */
  probe = false
  /** When it was sent it was expected to meet its targets. */
  hopeful = false
  /** In one array, as it lives as long as its stream: a number that is a property by itself is an object of its own. */
  readonly #ms: number[]

  constructor(spec: RequestSpec, serviceClass: ServiceClass, sequence: number, promptTokens: Tokens, lengths: OutputLengthHistogram, tokenMs: Ms, nowMs: Ms) {
    this.spec = spec
    this.#failures = spec.unfit?.map((backend) => ({ backend, atMs: Infinity }))
    this.class = serviceClass
    this.sequence = sequence
    this.promptTokens = promptTokens
    this.lengths = lengths
    this.interactive = spec.streamed && (spec.targets.ttftMs !== undefined || spec.targets.tpotMs !== undefined)
    this.targeted = this.interactive || spec.targets.deadlineMs !== undefined
    const dueMs = dueAtMs(spec, serviceClass, lengths, tokenMs)
    const expiresMs = spec.targets.deadlineMs === undefined ? nowMs + serviceClass.maxQueueMs : spec.receivedAtMs + spec.targets.deadlineMs
    this.#ms = [dueMs, spec.streamed ? spec.targets.tpotMs ?? Infinity : Infinity, dueMs, expiresMs, nowMs, -Infinity, -Infinity, NaN, 0]
  }

  /** The deadline by which queues are ordered. */
  get dueAtMs(): Ms { return this.#ms[DUE]! }

  /** Target per token that the client can notice; Infinity = none. */
  get tpotMs(): Ms { return this.#ms[TPOT]! }

  /** Its place among the requests of its lane; smaller first. */
  get key(): number { return this.#ms[KEY]! }
  set key(key: number) { this.#ms[KEY] = key }

  /** When it leaves the queue unserved. */
  get expiresAtMs(): Ms { return this.#ms[EXPIRES]! }
  set expiresAtMs(ms: Ms) { this.#ms[EXPIRES] = ms }

  get queuedAtMs(): Ms { return this.#ms[QUEUED]! }
  set queuedAtMs(ms: Ms) { this.#ms[QUEUED] = ms }

  /** All backends turned it down; until then it is enough to ask those that changed since. */
  get askAllAtMs(): Ms { return this.#ms[ASK_ALL]! }
  set askAllAtMs(ms: Ms) { this.#ms[ASK_ALL] = ms }

  /** Until when the last forecast holds. */
  get forecastUntilMs(): Ms { return this.#ms[FORECAST_UNTIL]! }
  set forecastUntilMs(ms: Ms) { this.#ms[FORECAST_UNTIL] = ms }

  /** By the last forecast, if there was one. */
  get predictedTtftMs(): Ms | undefined { return known(this.#ms[PREDICTED_TTFT]!) }

  get predictedTtftErrorMs(): Ms { return this.#ms[PREDICTED_TTFT_ERROR]! }

  predicted(ttftMs: Ms, errorMs: Ms): void {
    this.#ms[PREDICTED_TTFT] = ttftMs
    this.#ms[PREDICTED_TTFT_ERROR] = errorMs
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
