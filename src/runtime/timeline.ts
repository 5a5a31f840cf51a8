import { known, type BackendId, type Ending, type Ms, type PoolName, type RequestId, type RequestSpec, type Timeline, type Tokens } from '../core/index.js'

const RECEIVED = 0
const CLASSIFIED = 1
const QUEUED = 2
const DISPATCHED = 3
const STARTED = 4
const CONNECTED = 5
const FIRST_TOKEN = 6
const LAST_TOKEN = 7
const ENDED = 8
const MAX_LATENESS = 9

/** The timeline of a run, its times in one array: see `setUpCollector` for what a number by itself costs. */
export class RunTimeline implements Timeline {
  readonly id: RequestId
  readonly streamed: boolean
  ending: Ending | undefined
  promptTokens: Tokens | undefined
  cachedTokens: Tokens | undefined
  outputTokens: Tokens | undefined
  outputTokensEstimated = false
  attempts = 0
  pool: PoolName | undefined
  backend: BackendId | undefined
  /** NaN: not reached. */
  readonly #ms: number[]

  constructor(id: RequestId, { receivedAtMs, streamed }: RequestSpec) {
    this.id = id
    this.streamed = streamed
    this.#ms = [receivedAtMs, NaN, NaN, NaN, NaN, NaN, NaN, NaN, NaN, 0]
  }

  get receivedAtMs(): Ms { return this.#ms[RECEIVED]! }

  get classifiedAtMs(): Ms | undefined { return known(this.#ms[CLASSIFIED]!) }
  set classifiedAtMs(ms: Ms | undefined) { this.#ms[CLASSIFIED] = ms ?? NaN }

  get queuedAtMs(): Ms | undefined { return known(this.#ms[QUEUED]!) }
  set queuedAtMs(ms: Ms | undefined) { this.#ms[QUEUED] = ms ?? NaN }

  get dispatchedAtMs(): Ms | undefined { return known(this.#ms[DISPATCHED]!) }
  set dispatchedAtMs(ms: Ms | undefined) { this.#ms[DISPATCHED] = ms ?? NaN }

  /** The request was handed to a connection. */
  get startedAtMs(): Ms | undefined { return known(this.#ms[STARTED]!) }
  set startedAtMs(ms: Ms | undefined) { this.#ms[STARTED] = ms ?? NaN }

  get connectedAtMs(): Ms | undefined { return known(this.#ms[CONNECTED]!) }
  set connectedAtMs(ms: Ms | undefined) { this.#ms[CONNECTED] = ms ?? NaN }

  get firstTokenAtMs(): Ms | undefined { return known(this.#ms[FIRST_TOKEN]!) }
  set firstTokenAtMs(ms: Ms | undefined) { this.#ms[FIRST_TOKEN] = ms ?? NaN }

  get lastTokenAtMs(): Ms | undefined { return known(this.#ms[LAST_TOKEN]!) }
  set lastTokenAtMs(ms: Ms | undefined) { this.#ms[LAST_TOKEN] = ms ?? NaN }

  get endedAtMs(): Ms | undefined { return known(this.#ms[ENDED]!) }
  set endedAtMs(ms: Ms | undefined) { this.#ms[ENDED] = ms ?? NaN }

  get maxLatenessMs(): Ms { return this.#ms[MAX_LATENESS]! }
  set maxLatenessMs(ms: Ms) { this.#ms[MAX_LATENESS] = ms }

  toJSON(): Timeline {
    const {
      id, receivedAtMs, classifiedAtMs, queuedAtMs, dispatchedAtMs, connectedAtMs, firstTokenAtMs, lastTokenAtMs, endedAtMs, ending, streamed,
      promptTokens, cachedTokens, outputTokens, outputTokensEstimated, attempts, pool, backend, maxLatenessMs,
    } = this
    return {
      id, receivedAtMs, classifiedAtMs, queuedAtMs, dispatchedAtMs, connectedAtMs, firstTokenAtMs, lastTokenAtMs, endedAtMs, ending, streamed,
      promptTokens, cachedTokens, outputTokens, outputTokensEstimated, attempts, pool, backend, maxLatenessMs,
    }
  }
}
