import type { Ms } from '../types.js'
import { Residuals } from './residuals.js'

/** What a prediction is worth: its value, where it lies with the asked confidence, and what it rests on. */
export interface Estimate {
  readonly value: number
  readonly lower: number
  readonly upper: number
  /** Observations behind it; 0 = the prior alone. */
  readonly samples: number
  /** Time since the last observation; undefined = there was none. */
  readonly ageMs: Ms | undefined
}

export interface RlsOptions {
  /** Weights before anything was seen; their number is the number of features. */
  readonly prior: readonly number[]
  /** How far off each prior weight may well be (one standard deviation). */
  readonly priorDeviation: readonly number[]
  /** Least value each weight may take: a slope below zero would make more work look cheaper. */
  readonly minimum: readonly number[]
  /** Weight of an observation against the next one, 0–1. */
  readonly forgetting?: number
  /** Expected error of one observation: `noiseFloor + noiseRatio · predicted`. */
  readonly noiseFloor: number
  readonly noiseRatio: number
}

/** An error beyond this many times the usual one is an outlier, and pulls no harder than one just there (Huber). */
const OUTLIER = 4
const RESIDUALS_BEFORE_OUTLIERS = 12

/** Weight of the latest error in the tracking signal; where the signal says "changed"; how fast the past is forgotten then. */
const TRACKING_GAIN = 0.1
const CHANGED = 0.8
const FORGETTING_AFTER_CHANGE = 0.8

/**
 * Online least squares with exponential forgetting (recursive least squares), one observation in O(features²).
 *
 * The noise of timings grows with their size, so observations are weighted by `1 / (noiseFloor + noiseRatio · predicted)`;
 * kept residuals are in the same unit, so intervals widen with the prediction. Covariance never grows past the prior's,
 * so a feature that stays constant for hours does not make the model forget what it can't see. When errors lean to one side
 * for long (Trigg's tracking signal) the world has changed: outliers are believed and the past fades fast. Weights are kept above their
 * minimum by projection along the covariance, which is the least-squares solution on that bound.
 */
export class RlsModel {
  readonly #size: number
  readonly #weights: Float64Array
  readonly #covariance: Float64Array
  readonly #priorVariance: Float64Array
  readonly #minimum: readonly number[]
  readonly #forgetting: number
  readonly #noiseFloor: number
  readonly #noiseRatio: number
  readonly #gain: Float64Array
  readonly #x: Float64Array
  readonly #residuals = new Residuals()
  readonly #magnitudes = new Residuals()
  #samples = 0
  #lastMs: Ms | undefined
  /** Smoothed errors, signed and absolute; outliers clipped. Their ratio is the tracking signal. */
  #lean = 0
  #spread = 0

  constructor(options: RlsOptions) {
    const size = options.prior.length
    if (options.priorDeviation.length !== size || options.minimum.length !== size) {
      throw new RangeError(`RlsModel: prior, priorDeviation and minimum must be of one length, got ${size}, ${options.priorDeviation.length}, ${options.minimum.length}`)
    }
    this.#size = size
    this.#weights = Float64Array.from(options.prior)
    this.#covariance = new Float64Array(size * size)
    this.#priorVariance = Float64Array.from(options.priorDeviation, (deviation) => deviation * deviation)
    this.#minimum = options.minimum
    this.#forgetting = options.forgetting ?? 0.99
    this.#noiseFloor = options.noiseFloor
    this.#noiseRatio = options.noiseRatio
    this.#gain = new Float64Array(size)
    this.#x = new Float64Array(size)
    this.distrust()
  }

  get samples(): number {
    return this.#samples
  }

  ageMs(nowMs: Ms): Ms | undefined {
    return this.#lastMs === undefined ? undefined : nowMs - this.#lastMs
  }

  weight(index: number): number {
    return this.#weights[index]!
  }

  /** Feature arguments beyond the model's size are ignored; a model of two takes `(1, u)`. */
  predict(x0: number, x1: number, x2 = 0): number {
    const w = this.#weights
    return w[0]! * x0 + w[1]! * x1 + (this.#size > 2 ? w[2]! * x2 : 0)
  }

  /**
   * Learn that features `(x0, x1[, x2])` gave `y`. Values that are not finite, and negative `y`, are refused (returns false):
   * they are errors of measurement, never facts.
   */
  update(y: number, nowMs: Ms, x0: number, x1: number, x2 = 0): boolean {
    if (!(y >= 0 && y < Infinity) || !Number.isFinite(x0 + x1 + x2)) return false
    const predicted = this.predict(x0, x1, x2)
    const noise = this.#noise(predicted)
    const error = (y - predicted) / noise
    const weight = this.#weightOf(error)
    const changed = this.#track(error * weight)
    // The first errors are the prior's and not the model's.
    if (this.#samples >= 2 * this.#size) {
      this.#residuals.add(error)
      this.#magnitudes.add(Math.abs(error))
    }
    this.#learn(error, noise, changed ? 1 : weight, changed ? Math.min(FORGETTING_AFTER_CHANGE, this.#forgetting) : this.#forgetting, x0, x1, x2)
    this.#boundCovariance()
    this.#projectOnBounds()
    this.#samples++
    this.#lastMs = nowMs
    return true
  }

  /** The prediction with a two-sided interval: `confidence` of the kept residuals lie within. Without residuals the interval is everything. */
  estimate(confidence: number, nowMs: Ms, x0: number, x1: number, x2 = 0): Estimate {
    const value = this.predict(x0, x1, x2)
    const tail = (1 - confidence) / 2
    return {
      value,
      lower: this.quantile(tail, value, 0),
      upper: this.quantile(1 - tail, value, Infinity),
      samples: this.#samples,
      ageMs: this.ageMs(nowMs),
    }
  }

  /** The `q`-quantile of what a prediction of `value` turned out to be; `unknown` while nothing was observed. */
  quantile(q: number, value: number, unknown: number): number {
    const residual = this.#residuals.quantile(q)
    return residual === undefined ? unknown : Math.max(0, value + residual * this.#noise(value))
  }

  /** Median error of recent predictions as a share of the predicted value's scale; undefined before the first. */
  errorRatio(value: number): number | undefined {
    const magnitude = this.#magnitudes.quantile(0.5)
    return magnitude === undefined || value <= 0 ? undefined : magnitude * this.#noise(value) / value
  }

  /** What was learned may no longer hold: it stays the best guess, but counts as no more than one, and the next observations weigh as the first did. */
  distrust(): void {
    const n = this.#size
    this.#covariance.fill(0)
    for (let i = 0; i < n; i++) this.#covariance[i * n + i] = this.#priorVariance[i]!
    this.#residuals.clear()
    this.#magnitudes.clear()
    this.#samples = 0
    this.#lastMs = undefined
    this.#lean = 0
    this.#spread = 0
  }

  #noise(predicted: number): number {
    return this.#noiseFloor + this.#noiseRatio * Math.max(0, predicted)
  }

  #weightOf(error: number): number {
    if (this.#magnitudes.size < RESIDUALS_BEFORE_OUTLIERS) return 1
    const usual = Math.max(this.#magnitudes.quantile(0.75)!, 0.05)
    const size = Math.abs(error)
    return size <= OUTLIER * usual ? 1 : OUTLIER * usual / size
  }

  /** True while errors lean to one side: |smoothed error| near the smoothed |error|. */
  #track(error: number): boolean {
    if (this.#samples < RESIDUALS_BEFORE_OUTLIERS) return false
    this.#lean += TRACKING_GAIN * (error - this.#lean)
    this.#spread += TRACKING_GAIN * (Math.abs(error) - this.#spread)
    return this.#samples > 2 * RESIDUALS_BEFORE_OUTLIERS && Math.abs(this.#lean) > CHANGED * this.#spread
  }

  #learn(error: number, noise: number, weight: number, forgetting: number, x0: number, x1: number, x2: number): void {
    const n = this.#size
    const x = this.#x
    const p = this.#covariance
    const gain = this.#gain
    x[0] = x0 / noise
    x[1] = x1 / noise
    if (n > 2) x[2] = x2 / noise
    let spread = forgetting / weight
    for (let i = 0; i < n; i++) {
      let sum = 0
      for (let j = 0; j < n; j++) sum += p[i * n + j]! * x[j]!
      gain[i] = sum
      spread += x[i]! * sum
    }
    // gain holds P·x; P ← (P − P·x·xᵀ·P / spread) / forgetting, w ← w + P·x · error / spread.
    for (let i = 0; i < n; i++) {
      this.#weights[i]! += gain[i]! * error / spread
      for (let j = 0; j <= i; j++) {
        const value = (p[i * n + j]! - gain[i]! * gain[j]! / spread) / forgetting
        p[i * n + j] = value
        p[j * n + i] = value
      }
    }
  }

  #boundCovariance(): void {
    const n = this.#size
    const p = this.#covariance
    for (let i = 0; i < n; i++) {
      const limit = this.#priorVariance[i]!
      const variance = p[i * n + i]!
      if (variance <= limit) continue
      const scale = Math.sqrt(limit / variance)
      for (let j = 0; j < n; j++) {
        p[i * n + j]! *= scale
        p[j * n + i]! *= scale
      }
    }
  }

  #projectOnBounds(): void {
    const n = this.#size
    const w = this.#weights
    const p = this.#covariance
    for (let i = 0; i < n; i++) {
      const short = this.#minimum[i]! - w[i]!
      const variance = p[i * n + i]!
      if (short <= 0) continue
      if (variance > 0) {
        for (let j = 0; j < n; j++) w[j]! += p[j * n + i]! / variance * short
      }
      w[i] = this.#minimum[i]!
    }
    for (let i = 0; i < n; i++) w[i] = Math.max(w[i]!, this.#minimum[i]!)
  }
}
