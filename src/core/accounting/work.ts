import type { Timeline } from '../timeline.js'
import type { Outcome, Tokens } from '../types.js'

/** What a token costs a backend, in any one unit (milliseconds of backend time, where measured): only ratios matter. */
export interface TokenCost {
  readonly prompt: number
  readonly output: number
}

/** Where no backend model is measured: an output token weighs as two prompt tokens. */
export const DEFAULT_TOKEN_COST: TokenCost = { prompt: 1, output: 2 }

/** Why work that a backend did was for nothing. `retried` is the work of attempts that were given up for another one. */
export const WASTE_REASONS = ['missed_ttft', 'missed_tpot', 'missed_both', 'missed_deadline', 'expired', 'rejected', 'cancelled', 'failed', 'retried'] as const
export type WasteReason = typeof WASTE_REASONS[number]

export interface Work {
  /** Prompt tokens computed, without those that came out of the prefix cache. */
  readonly promptTokens: Tokens
  readonly outputTokens: Tokens
}

const NO_WORK: Work = { promptTokens: 0, outputTokens: 0 }

/**
 * The work of the request's last attempt. Nothing for a request that no backend took. A prompt counts whole once a backend
 * has the request, although a cancelled prefill may have been stopped half way: waste is never understated.
 */
export function workOf(timeline: Timeline): Work {
  const taken = timeline.connectedAtMs !== undefined || timeline.firstTokenAtMs !== undefined || timeline.ending === 'completed'
  if (!taken) return NO_WORK
  return {
    promptTokens: Math.max(0, (timeline.promptTokens ?? 0) - (timeline.cachedTokens ?? 0)),
    outputTokens: timeline.outputTokens ?? 0,
  }
}

/** Undefined where the work was not wasted: of `met` requests, and of untargeted ones, which no promise judges. */
export function wasteReasonOf(outcome: Outcome): WasteReason | undefined {
  return outcome === 'met' || outcome === 'untargeted' ? undefined : outcome
}

export function costOf(work: Work, cost: TokenCost): number {
  return work.promptTokens * cost.prompt + work.outputTokens * cost.output
}
