import type { Explanation, Feasibility } from './events.js'
import { known } from './known.js'
import type { TrackedRequest } from './request.js'
import type { BackendId, Ms, Tokens } from './types.js'

const WAITED = 0
const UNCACHED = 1
const PREDICTED_TTFT = 2
const PREDICTED_TTFT_ERROR = 3
const PREDICTED_TPOT = 4
const SLACK = 5
const SCORE = 6
const RUNNER_UP_SCORE = 7

const NONE: Partial<Explanation> = {}

/** An explanation as long as its request lives: the figures in one array, see `TrackedRequest`. */
export class Figures implements Explanation {
  readonly policy: string
  readonly verdict: Feasibility
  readonly wouldReject: true | undefined
  readonly probe: true | undefined
  readonly promptTokens: Tokens
  readonly chosen: BackendId | undefined
  readonly runnerUp: BackendId | undefined
  readonly heldBy: Explanation['heldBy']
  /** NaN: nothing to say. */
  readonly #of: number[]

  /** `placed`: the figures of the placement, where there are any; else those of the forecast hold. */
  constructor(policy: string, request: TrackedRequest, nowMs: Ms, chosen: BackendId | undefined, placed: Partial<Explanation> = NONE) {
    const { spec: { receivedAtMs } } = request
    const waitedMs = nowMs - receivedAtMs
    const ttftMs = placed.predictedTtftMs ?? request.predictedTtftMs
    const errorMs = placed.predictedTtftErrorMs ?? request.predictedTtftErrorMs
    this.policy = policy
    this.verdict = request.verdict
    this.wouldReject = request.wouldReject || undefined
    this.probe = request.probe || undefined
    this.promptTokens = request.promptTokens
    this.chosen = chosen
    this.runnerUp = placed.runnerUp
    this.heldBy = request.heldBy
    this.#of = [
      waitedMs, placed.uncachedTokens ?? NaN, ttftMs ?? NaN, ttftMs === undefined ? NaN : errorMs, placed.predictedTpotMs ?? NaN,
      request.dueAtMs - (receivedAtMs + (ttftMs ?? waitedMs)), placed.score ?? NaN, placed.runnerUpScore ?? NaN,
    ]
  }

  get waitedMs(): Ms { return this.#of[WAITED]! }
  get uncachedTokens(): Tokens | undefined { return known(this.#of[UNCACHED]!) }
  get predictedTtftMs(): Ms | undefined { return known(this.#of[PREDICTED_TTFT]!) }
  get predictedTtftErrorMs(): Ms | undefined { return known(this.#of[PREDICTED_TTFT_ERROR]!) }
  get predictedTpotMs(): Ms | undefined { return known(this.#of[PREDICTED_TPOT]!) }
  get slackMs(): Ms { return this.#of[SLACK]! }
  get score(): number | undefined { return known(this.#of[SCORE]!) }
  get runnerUpScore(): number | undefined { return known(this.#of[RUNNER_UP_SCORE]!) }

  toJSON(): Explanation {
    const { policy, verdict, wouldReject, probe, promptTokens, uncachedTokens, waitedMs, predictedTtftMs, predictedTtftErrorMs, predictedTpotMs, slackMs, chosen, score, runnerUp, runnerUpScore, heldBy } = this
    return { policy, verdict, wouldReject, probe, promptTokens, uncachedTokens, waitedMs, predictedTtftMs, predictedTtftErrorMs, predictedTpotMs, slackMs, chosen, score, runnerUp, runnerUpScore, heldBy }
  }
}
