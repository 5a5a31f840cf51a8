import type { Ms, Tokens } from '../../core/index.js'

/**
 * How long a step takes, and what fits. A step that mixes prefill and decode costs both together: a prompt that is being
 * read slows every stream that decodes beside it.
 *
 *   step = (base + perStream · streams + perKiloContext · context/1000
 *          + Σ prefilled tokens · (perPrefillToken + perPrefillKiloContext · their context/1000)) / speed
 */
export interface StepCosts {
  /** One pass over the weights. */
  readonly baseMs: Ms
  /** Per sequence that decodes (sampling, bookkeeping). */
  readonly perStreamMs: Ms
  /** Per 1000 tokens of context that the decoding sequences attend to. */
  readonly perKiloContextMs: Ms
  /** Per prompt token computed. */
  readonly perPrefillTokenMs: Ms
  /** Attention of one prompt token to 1000 tokens before it. */
  readonly perPrefillKiloContextMs: Ms
}

export interface EngineLimits {
  /** Tokens that one step may compute, prefill and decode together. */
  readonly stepTokenBudget: Tokens
  readonly maxSequences: number
  readonly kvCapacityTokens: Tokens
  /** Tokens of one KV block. */
  readonly blockTokens: Tokens
  /** Tokens that one entry of `prefixHashes` covers; a multiple of `blockTokens`. */
  readonly prefixBlockTokens: Tokens
  /** Most requests inside, running and waiting; one more is refused. `Infinity` = none. */
  readonly maxInflight: number
  /** Most prompt tokens inside that are not computed yet. `Infinity` = none. */
  readonly maxQueuedPromptTokens: Tokens
}

export interface EngineProfile {
  readonly costs: StepCosts
  readonly limits: EngineLimits
}

const LIMITS: EngineLimits = {
  stepTokenBudget: 2048,
  maxSequences: 256,
  kvCapacityTokens: 400_000,
  blockTokens: 16,
  prefixBlockTokens: 16,
  maxInflight: Infinity,
  maxQueuedPromptTokens: Infinity
}

/**
 * Public timings of two common servers. A100, 8B, 16 bit: 16 GB of weights and 131 kB of KV per token at the card's bandwidth give the
 * step; prefill is bound by arithmetic, 0.075 ms a token at the start of a prompt and about 0.1 ms around 8 k tokens. 70B on four cards likewise.
 */
export const ENGINE_PRESETS = {
  'a100-8b': {
    costs: { baseMs: 10, perStreamMs: 0.03, perKiloContextMs: 0.11, perPrefillTokenMs: 0.075, perPrefillKiloContextMs: 0.003 },
    limits: LIMITS
  },
  '4xa100-70b': {
    costs: { baseMs: 33, perStreamMs: 0.05, perKiloContextMs: 0.08, perPrefillTokenMs: 0.2, perPrefillKiloContextMs: 0.004 },
    limits: LIMITS
  }
} as const satisfies Record<string, EngineProfile>

export type EnginePreset = keyof typeof ENGINE_PRESETS
