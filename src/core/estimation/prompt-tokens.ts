import type { Bytes, Ms, PromptShape, Tokens } from '../types.js'
import { RlsModel } from './rls.js'
import type { Estimate, RlsOptions } from './rls.js'

const MIN_SAMPLES = 20
/** Names of models come from clients: only so many fits are kept, the one longest without news goes first. */
const MAX_FITS = 512

/** `tokens = template + units` from the shape of the text; good to some 15 % before anything was learned. */
const BY_SHAPE: RlsOptions = {
  prior: [10, 1, 0.85],
  priorDeviation: [50, 0.3, 0.5],
  minimum: [0, 0.1, 0.05],
  forgetting: 0.995,
  noiseFloor: 4,
  noiseRatio: 0.1,
}

/** `tokens = template + bytes / 4` where only the size is known: right for English prose, off by up to half for other content. */
const BY_BYTES: RlsOptions = {
  prior: [10, 0.25],
  priorDeviation: [50, 0.2],
  minimum: [0, 0.01],
  forgetting: 0.995,
  noiseFloor: 4,
  noiseRatio: 0.1,
}

/**
 * Prompt tokens before the engine has counted them, learned from the `usage` of finished requests, per model and per kind of
 * content (a class, as a rule). A kind without enough samples borrows its model's fit, a model without them the fit over all.
 * The constant of each fit is what chat templates add. Requests with and without a known shape are learned apart.
 */
export class PromptTokenEstimator {
  readonly #byShape = new Fits(BY_SHAPE)
  readonly #byBytes = new Fits(BY_BYTES)

  /** Tokens of a prompt of `bytes`, at least 1. */
  tokens(model: string | undefined, kind: string, bytes: Bytes, shape?: PromptShape): Tokens {
    const value = shape === undefined
      ? this.#byBytes.best(model, kind).predict(1, bytes)
      : this.#byShape.best(model, kind).predict(1, shape.asciiUnits, shape.wideUnits)
    return Math.max(1, value)
  }

  estimate(model: string | undefined, kind: string, bytes: Bytes, nowMs: Ms, shape?: PromptShape, confidence = 0.9): Estimate {
    return shape === undefined
      ? this.#byBytes.best(model, kind).estimate(confidence, nowMs, 1, bytes)
      : this.#byShape.best(model, kind).estimate(confidence, nowMs, 1, shape.asciiUnits, shape.wideUnits)
  }

  /** The engine counted `tokens` in a prompt of `bytes`. */
  observe(model: string | undefined, kind: string, bytes: Bytes, tokens: Tokens, nowMs: Ms, shape?: PromptShape): void {
    if (!(bytes > 0 && tokens > 0)) return
    if (shape === undefined) this.#byBytes.observe(model, kind, tokens, nowMs, bytes, 0)
    else this.#byShape.observe(model, kind, tokens, nowMs, shape.asciiUnits, shape.wideUnits)
  }
}

/** One fit over everything, one per model, one per model and kind. */
class Fits {
  readonly #options: RlsOptions
  readonly #all: RlsModel
  readonly #models = new Map<string, ModelFits>()
  #count = 0
  /** Last in `#models`. */
  #latest: string | undefined

  constructor(options: RlsOptions) {
    this.#options = options
    this.#all = new RlsModel(options)
  }

  best(model: string | undefined, kind: string): RlsModel {
    const fits = this.#models.get(model ?? '')
    if (fits === undefined) return this.#all
    const byKind = fits.kinds.get(kind)
    if (byKind !== undefined && byKind.samples >= MIN_SAMPLES) return byKind
    return fits.whole.samples >= MIN_SAMPLES ? fits.whole : this.#all
  }

  observe(model: string | undefined, kind: string, tokens: Tokens, nowMs: Ms, x1: number, x2: number): void {
    const fits = this.#touch(model ?? '')
    let byKind = fits.kinds.get(kind)
    if (byKind === undefined) {
      byKind = new RlsModel(this.#options)
      fits.kinds.set(kind, byKind)
      this.#count++
      this.#forgetOldest()
    }
    this.#all.update(tokens, nowMs, 1, x1, x2)
    fits.whole.update(tokens, nowMs, 1, x1, x2)
    byKind.update(tokens, nowMs, 1, x1, x2)
  }

  /** The model's fits, moved to the end of the map: the front is the one longest without news. */
  #touch(model: string): ModelFits {
    let fits = this.#models.get(model)
    if (fits !== undefined && model === this.#latest) return fits
    if (fits === undefined) fits = { whole: new RlsModel(this.#options), kinds: new Map() }
    else this.#models.delete(model)
    this.#models.set(model, fits)
    this.#latest = model
    return fits
  }

  #forgetOldest(): void {
    for (const [name, fits] of this.#models) {
      if (this.#count <= MAX_FITS || this.#models.size === 1) return
      this.#models.delete(name)
      this.#count -= fits.kinds.size
    }
  }
}

interface ModelFits {
  readonly whole: RlsModel
  readonly kinds: Map<string, RlsModel>
}
