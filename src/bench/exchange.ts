import { countsForAttainment, e2eMs, noteLateness, outcomeOf, tpotMs, ttftMs, type Ending, type Histogram, type Ms, type Timeline, type Tokens } from '../core/index.js'
import { createStreamMeter, parseEngineError, isOverload, type StreamMeter } from '../protocol/index.js'
import type { InFlight, ResponseReader } from './http/connections.js'
import type { ResponseHead } from './http/response-parser.js'
import { dialectOf, type Api, type PlannedRequest, type RequestRow } from './types.js'

const MAX_ERROR_BYTES = 64 * 1024

/** One request at the client: metered as its bytes come, judged when it has ended. */
export class Exchange implements Timeline, ResponseReader {
  readonly classifiedAtMs = undefined
  readonly queuedAtMs = undefined
  readonly connectedAtMs = undefined
  readonly cachedTokens = undefined
  readonly pool = undefined
  readonly streamed = true
  readonly attempts = 1
  dispatchedAtMs: Ms | undefined = undefined
  firstTokenAtMs: Ms | undefined = undefined
  lastTokenAtMs: Ms | undefined = undefined
  endedAtMs: Ms | undefined = undefined
  ending: Ending | undefined = undefined
  promptTokens: Tokens
  outputTokens: Tokens = 0
  outputTokensEstimated = true
  backend: string | undefined = undefined
  maxLatenessMs: Ms = 0
  inFlight: InFlight | undefined = undefined
  readonly #meter: StreamMeter
  #maxItlMs: Ms | undefined
  #status: number | undefined
  #reason: string | undefined
  #truncated = false
  #errorBody: Buffer[] = []
  #errorBytes = 0

  /**
   * @param receivedAtMs when it was to be sent: the start of every measure
   * @param place among the measured ones, in the order of sending; undefined = not measured
   * @param intervals where gaps between token events go
   * @param onEnd shared by all: a function for each, with its scope, would outlive it and make the collector's rounds long
   */
  constructor(
    readonly id: string, readonly request: PlannedRequest, readonly receivedAtMs: Ms, api: Api,
    readonly place: number | undefined, private readonly now: () => Ms, private readonly intervals: Histogram | undefined, private readonly onEnd: (exchange: Exchange) => void,
  ) {
    this.promptTokens = request.promptTokens
    this.#meter = createStreamMeter(dialectOf(api), { stripUsage: false })
  }

  get measured(): boolean {
    return this.place !== undefined
  }

  head({ status, headers }: ResponseHead): void {
    this.#status = status
    this.backend = headers.get('x-sluice-backend')
    this.#reason = headers.get('x-sluice-reason')
  }

  body(bytes: Buffer): void {
    if (this.#status !== 200) {
      this.#errorBytes += bytes.length
      if (this.#errorBytes <= MAX_ERROR_BYTES) this.#errorBody.push(Buffer.from(bytes))
      return
    }
    const meter = this.#meter
    const before = meter.tokenEvents
    meter.push(bytes)
    const fresh = meter.tokenEvents - before
    if (fresh > 0) this.#tokens(before, fresh)
  }

  #tokens(before: number, fresh: number): void {
    const nowMs = this.now()
    const gapMs = this.lastTokenAtMs === undefined ? undefined : nowMs - this.lastTokenAtMs
    this.firstTokenAtMs ??= nowMs
    this.lastTokenAtMs = nowMs
    noteLateness(this, this.request.targets, before + 1, nowMs)
    if (gapMs !== undefined) {
      if (this.#maxItlMs === undefined || gapMs > this.#maxItlMs) this.#maxItlMs = gapMs
      this.intervals?.record(gapMs)
    }
    if (fresh > 1) this.intervals?.record(0, fresh - 1)
  }

  end(): void {
    this.#meter.flush()
    const { error, finished, usage, tokenEvents } = this.#meter
    if (this.#status !== 200) this.#refused()
    else if (error !== undefined) this.#finish(error.overloaded && tokenEvents === 0 ? 'rejected' : 'failed', error.message)
    else if (!finished) {
      this.#truncated = true
      this.#finish('failed', 'the stream ended without its sign of the end')
    } else {
      this.promptTokens = usage?.promptTokens ?? this.promptTokens
      this.#finish('completed', undefined)
    }
  }

  failed(error: Error): void {
    this.#truncated = this.#meter.tokenEvents > 0
    this.#finish('failed', error.message)
  }

  /** The client gives up. */
  cancel(reason: string): void {
    if (this.ending !== undefined) return
    this.inFlight?.abort()
    this.#finish('cancelled', reason)
  }

  /** Can a target still be met or missed? A request whose TTFT or deadline has passed is lost, whatever comes. */
  isUndecided(nowMs: Ms): boolean {
    if (this.ending !== undefined) return false
    const { ttftMs: ttftTarget, deadlineMs } = this.request.targets
    if (ttftTarget !== undefined && (this.firstTokenAtMs ?? nowMs) - this.receivedAtMs > ttftTarget) return false
    return deadlineMs === undefined || nowMs - this.receivedAtMs <= deadlineMs
  }

  /** 429 is a refusal, and so is 503 of a server that is full; all else is a failure. */
  #refused(): void {
    const { message } = parseEngineError(this.#status, undefined, Buffer.concat(this.#errorBody))
    this.#finish(isOverload(this.#status!) ? 'rejected' : 'failed', this.#reason ?? `status ${this.#status}: ${message}`)
  }

  #finish(ending: Ending, reason: string | undefined): void {
    if (this.ending !== undefined) return
    const { usage, tokenEvents } = this.#meter
    this.endedAtMs = this.now()
    this.ending = ending
    this.#reason = reason
    this.outputTokens = usage?.outputTokens ?? tokenEvents
    this.outputTokensEstimated = usage?.outputTokens === undefined
    this.onEnd(this)
  }

  /** Times become relative to `startMs`. */
  row(startMs: Ms): RequestRow {
    const { request: { targets, class: service, outputTokens: ordered } } = this
    const at = (ms: Ms | undefined) => ms === undefined ? null : ms - startMs
    const outcome = outcomeOf(this, targets)
    return {
      id: this.id,
      class: service.name,
      scheduled_ms: this.receivedAtMs - startMs,
      sent_ms: at(this.dispatchedAtMs),
      first_token_ms: at(this.firstTokenAtMs),
      last_token_ms: at(this.lastTokenAtMs),
      ended_ms: this.endedAtMs! - startMs,
      ending: this.ending!,
      truncated: this.#truncated,
      status: this.#status ?? null,
      reason: this.#reason ?? null,
      backend: this.backend ?? null,
      prompt_tokens: this.promptTokens,
      ordered_output_tokens: ordered,
      output_tokens: this.outputTokens,
      output_estimated: this.outputTokensEstimated,
      ttft_ms: ttftMs(this) ?? null,
      tpot_ms: tpotMs(this) ?? null,
      max_itl_ms: this.#maxItlMs ?? null,
      e2e_ms: e2eMs(this)!,
      max_lateness_ms: this.maxLatenessMs,
      ttft_target_ms: targets.ttftMs ?? null,
      tpot_target_ms: targets.tpotMs ?? null,
      deadline_ms: targets.deadlineMs ?? null,
      outcome,
      counted: countsForAttainment(this, targets, outcome),
    }
  }
}
