import type { Bytes, Ms, Tokens } from '../types.js'
import { RlsModel } from './rls.js'
import type { Estimate } from './rls.js'

/** Bytes per token before anything was seen: English prose with a byte-pair vocabulary. */
const COLD_BYTES_PER_TOKEN = 4
const MIN_SAMPLES = 20
/** Names of models come from clients: only so many are remembered, the least used goes first. */
const MAX_KEYS = 512

/**
 * Prompt tokens from bytes: `tokens = template + bytes / bytesPerToken`, learned from the `usage` of finished requests, per
 * model and per kind of content (a class, as a rule). A kind without enough samples borrows its model's fit, a model
 * without them the fit over everything.
 */
export class PromptTokenEstimator {
  readonly #fits = new Map<string, RlsModel>()
  readonly #all = newFit()

  /** Tokens of a prompt of `bytes`; at least 1. */
  tokens(model: string | undefined, kind: string, bytes: Bytes): Tokens {
    return Math.max(1, this.#bestFit(model, kind).predict(1, bytes))
  }

  estimate(model: string | undefined, kind: string, bytes: Bytes, nowMs: Ms, confidence = 0.9): Estimate {
    return this.#bestFit(model, kind).estimate(confidence, nowMs, 1, bytes)
  }

  /** The engine counted `tokens` in a prompt of `bytes`. */
  observe(model: string | undefined, kind: string, bytes: Bytes, tokens: Tokens, nowMs: Ms): void {
    if (!(bytes > 0 && tokens > 0)) return
    this.#all.update(tokens, nowMs, 1, bytes)
    this.#fit(modelKey(model)).update(tokens, nowMs, 1, bytes)
    this.#fit(kindKey(model, kind)).update(tokens, nowMs, 1, bytes)
  }

  #bestFit(model: string | undefined, kind: string): RlsModel {
    const byKind = this.#fits.get(kindKey(model, kind))
    if (byKind !== undefined && byKind.samples >= MIN_SAMPLES) return byKind
    const byModel = this.#fits.get(modelKey(model))
    return byModel !== undefined && byModel.samples >= MIN_SAMPLES ? byModel : this.#all
  }

  #fit(key: string): RlsModel {
    const known = this.#fits.get(key)
    const fit = known ?? newFit()
    // Last in the map's order = last used.
    if (known !== undefined) this.#fits.delete(key)
    this.#fits.set(key, fit)
    if (this.#fits.size > MAX_KEYS) {
      for (const oldest of this.#fits.keys()) {
        this.#fits.delete(oldest)
        break
      }
    }
    return fit
  }
}

function modelKey(model: string | undefined): string {
  return model ?? ''
}

function kindKey(model: string | undefined, kind: string): string {
  return `${model ?? ''}\n${kind}`
}

function newFit(): RlsModel {
  return new RlsModel({
    prior: [0, 1 / COLD_BYTES_PER_TOKEN],
    priorDeviation: [50, 0.2],
    minimum: [0, 0.01],
    forgetting: 0.995,
    noiseFloor: 4,
    noiseRatio: 0.1,
  })
}
