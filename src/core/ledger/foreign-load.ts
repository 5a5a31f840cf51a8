import type { EngineReport, Ms, Tokens } from '../types.js'

/** Reports older than this say nothing about now. */
const FRESH_MS = 10_000
/** Context of a stream of which nothing is known but that it runs. */
const TYPICAL_CONTEXT_TOKENS = 1000

/**
 * Work on a backend that did not come through this gateway, from what its engine reports. Reports are seconds late and may
 * never come: what is not reported is unknown, and then only the own ledger counts.
 */
export class ForeignLoad {
  #excess = 0
  #previousExcess = 0
  #reportedAtMs: Ms = -Infinity
  #capacityTokens: Tokens | undefined
  #kvUsageRatio: number | undefined

  /** `ownRequests`: requests that this gateway has there now. */
  reported(report: EngineReport, ownRequests: number, nowMs: Ms): void {
    this.#capacityTokens = report.kvCapacityTokens ?? this.#capacityTokens
    this.#kvUsageRatio = report.kvUsageRatio
    this.#previousExcess = this.#excess
    this.#excess = report.running === undefined ? 0 : Math.max(0, report.running + (report.waiting ?? 0) - ownRequests)
    this.#reportedAtMs = nowMs
  }

  /** Called before a decision looks: what is too old is forgotten. */
  age(nowMs: Ms): void {
    if (nowMs - this.#reportedAtMs <= FRESH_MS) return
    this.#excess = 0
    this.#previousExcess = 0
    this.#kvUsageRatio = undefined
  }

  /** Streams of others. The lesser of two reports: requests that ended while a report was under way are not foreign. */
  get streams(): number {
    return Math.min(this.#excess, this.#previousExcess)
  }

  get contextTokens(): Tokens {
    return this.streams * TYPICAL_CONTEXT_TOKENS
  }

  /** Tokens that the KV cache holds; undefined = never reported. */
  get capacityTokens(): Tokens | undefined {
    return this.#capacityTokens
  }

  /** Share of the KV cache in use at the last report; undefined = unknown or too old. */
  get kvUsageRatio(): number | undefined {
    return this.#kvUsageRatio
  }
}
