import type { Ms, Tokens } from '../types.js'
import { RlsModel } from './rls.js'
import type { Estimate } from './rls.js'

/** Before anything was measured (one A100 with an 8B model, roughly): good enough to order work, never to refuse it. */
export const COLD_START = {
  prefillMsPerToken: 0.1,
  decodeBaseMs: 13,
  decodeMsPerStream: 0.05,
  decodeMsPer1000ContextTokens: 0.09,
} as const

/** Low quantile of what predictions turned out to be: the bound that only luck would beat. */
export const OPTIMISTIC = 0.1

/** Prefills from which a backend is believed to be as slow as it was. */
const TRIES = 8

export interface BackendModelOptions {
  readonly forgetting?: number
  /** Observations from which a model counts as measured. */
  readonly minSamples?: number
  /** Age of the last observation from which a model counts as stale. */
  readonly maxAgeMs?: Ms
  /** No decode step is believed to be shorter. */
  readonly decodeFloorMs?: Ms
}

/**
 * What one backend has shown of its speed: `prefill ms = w0 + w1 · uncached tokens`, and
 * `decode step ms = w0 + w1 · streams + w2 · context tokens / 1000`.
 */
export class BackendModel {
  readonly #prefill: RlsModel
  readonly #decode: RlsModel
  readonly #minSamples: number
  readonly #maxAgeMs: Ms
  readonly #decodeFloorMs: Ms
  /** It has answered before. */
  #warm = false

  constructor(options: BackendModelOptions = {}) {
    const forgetting = options.forgetting ?? 0.99
    this.#prefill = new RlsModel({
      prior: [0, COLD_START.prefillMsPerToken],
      priorDeviation: [40, 0.5],
      minimum: [0, 1e-5],
      forgetting,
      noiseFloor: 5,
      noiseRatio: 0.1,
    })
    this.#decode = new RlsModel({
      prior: [COLD_START.decodeBaseMs, COLD_START.decodeMsPerStream, COLD_START.decodeMsPer1000ContextTokens],
      priorDeviation: [20, 0.5, 0.5],
      minimum: [0, 0, 0],
      forgetting,
      noiseFloor: 0.5,
      noiseRatio: 0.05,
    })
    this.#minSamples = options.minSamples ?? 20
    this.#maxAgeMs = options.maxAgeMs ?? 60_000
    this.#decodeFloorMs = options.decodeFloorMs ?? 1
  }

  /** Time from dispatch to first token on an idle backend, for `uncached` prompt tokens. */
  prefillMs(uncached: Tokens): Ms {
    return this.#prefill.predict(1, uncached)
  }

  /** The part of it that is work on these tokens, and so adds up over requests: without the constant. */
  prefillWorkMs(uncached: Tokens): Ms {
    return this.#prefill.weight(1) * uncached
  }

  /** The constant part: the step that is running, the network, the first token. */
  get prefillBaseMs(): Ms {
    return this.#prefill.weight(0)
  }

  /** One decode step with `streams` streams over `contextTokens` tokens in total. */
  decodeStepMs(streams: number, contextTokens: Tokens): Ms {
    return Math.max(this.#decodeFloorMs, this.#decode.predict(1, streams, contextTokens / 1000))
  }

  /**
   * `prefillWorkMs` for choosing among backends: while little is known, or nothing of late, no worse than the cold start says. A
   * server's first prefills are slow (it warms up); believed at once, they would keep work away from it, and it from being known better.
   */
  hopedPrefillWorkMs(uncached: Tokens, nowMs: Ms): Ms {
    const learnedMs = this.prefillWorkMs(uncached)
    return this.#isTried(nowMs) ? learnedMs : Math.min(learnedMs, COLD_START.prefillMsPerToken * uncached)
  }

  /** `prefillBaseMs`, likewise. */
  hopedPrefillBaseMs(nowMs: Ms): Ms {
    return this.#isTried(nowMs) ? this.prefillBaseMs : 0
  }

  prefillEstimate(uncached: Tokens, nowMs: Ms, confidence = 0.9): Estimate {
    return this.#prefill.estimate(confidence, nowMs, 1, uncached)
  }

  decodeEstimate(streams: number, contextTokens: Tokens, nowMs: Ms, confidence = 0.9): Estimate {
    return this.#decode.estimate(confidence, nowMs, 1, streams, contextTokens / 1000)
  }

  /** The `q`-quantile of prefill times so predicted: a low `q` is the optimistic bound. 0 while nothing is known: no bound rejects by guess. */
  prefillQuantileMs(uncached: Tokens, q: number): Ms {
    return this.#prefill.quantile(q, this.prefillMs(uncached), 0)
  }

  /** A prefill of `uncached` tokens (all that were coalesced) took `tookMs`. */
  observePrefill(uncached: Tokens, tookMs: Ms, nowMs: Ms): void {
    if (!this.#warm) {
      // A server's first prefill pays for what it had not loaded or compiled yet.
      this.#warm = true
      return
    }
    this.#prefill.update(tookMs, nowMs, 1, uncached)
  }

  /** A decode step with no prefill beside it took `tookMs` (time over tokens of one stream). */
  observeDecodeStep(streams: number, contextTokens: Tokens, tookMs: Ms, nowMs: Ms): void {
    this.#decode.update(tookMs, nowMs, 1, streams, contextTokens / 1000)
  }

  /** Enough fresh observations of prefill to refuse a request by. */
  prefillMeasured(nowMs: Ms): boolean {
    return this.#isMeasured(this.#prefill, nowMs)
  }

  decodeMeasured(nowMs: Ms): boolean {
    return this.#isMeasured(this.#decode, nowMs)
  }

  measured(nowMs: Ms): boolean {
    return this.prefillMeasured(nowMs) && this.decodeMeasured(nowMs)
  }

  get prefillSamples(): number {
    return this.#prefill.samples
  }

  get decodeSamples(): number {
    return this.#decode.samples
  }

  /** Age of the older of the two models' last observation; undefined while one has none. */
  ageMs(nowMs: Ms): Ms | undefined {
    const prefill = this.#prefill.ageMs(nowMs)
    const decode = this.#decode.ageMs(nowMs)
    return prefill === undefined || decode === undefined ? undefined : Math.max(prefill, decode)
  }

  /** The weights, for people and dashboards. */
  coefficients(): { prefillMsPerToken: number, prefillBaseMs: Ms, decodeBaseMs: Ms, decodeMsPerStream: number, decodeMsPer1000ContextTokens: number } {
    return {
      prefillMsPerToken: this.#prefill.weight(1),
      prefillBaseMs: this.#prefill.weight(0),
      decodeBaseMs: this.#decode.weight(0),
      decodeMsPerStream: this.#decode.weight(1),
      decodeMsPer1000ContextTokens: this.#decode.weight(2),
    }
  }

  /** What a token costs here, in milliseconds of backend time: a prompt token its prefill, an output token its share of a step. */
  tokenCost(streams: number, contextTokens: Tokens): { prompt: Ms, output: Ms } {
    const sharers = Math.max(1, streams)
    return { prompt: this.#prefill.weight(1), output: this.decodeStepMs(sharers, contextTokens) / sharers }
  }

  /** Median error of recent prefill predictions of this size, as a ratio; undefined before the first. */
  prefillErrorRatio(uncached: Tokens): number | undefined {
    return this.#prefill.errorRatio(this.prefillMs(uncached))
  }

  /** The backend restarted, perhaps with other settings: its speeds are a guess until they have been measured again. */
  distrust(): void {
    this.#prefill.distrust()
    this.#decode.distrust()
    this.#warm = false
  }

  #isTried(nowMs: Ms): boolean {
    const age = this.#prefill.ageMs(nowMs)
    return this.#prefill.samples >= TRIES && age !== undefined && age <= this.#maxAgeMs
  }

  #isMeasured(model: RlsModel, nowMs: Ms): boolean {
    const age = model.ageMs(nowMs)
    return model.samples >= this.#minSamples && age !== undefined && age <= this.#maxAgeMs
  }
}
