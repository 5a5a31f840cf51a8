import type { Ms, Tokens } from '../../core/index.js'
import type { KeyConfig } from '../../config/index.js'
import { TokenBucket } from './token-bucket.js'

type Limits = Pick<KeyConfig, 'requests_per_minute' | 'tokens_per_minute' | 'max_inflight'>

/** What a request is expected to use. */
export interface Charge {
  readonly promptTokens: Tokens
  /** The cap on output that the client gave, times `n`; undefined = it gave none. */
  readonly maxOutputTokens: Tokens | undefined
}

export type Admitted =
  | { readonly ok: true, readonly permit: Permit }
  /** `afterMs`: when a retry can succeed; undefined where no clock says so. */
  | { readonly ok: false, readonly message: string, readonly afterMs: Ms | undefined }

/** Weight of the newest answer in the mean length of a tenant's answers. */
const MEAN_WEIGHT = 0.1

/** The rate limits and the concurrency cap of one tenant, and what it has used of them. */
export class TenantLimits {
  #requests: TokenBucket | undefined
  #tokens: TokenBucket | undefined
  #maxInflight: number | undefined
  #inflight = 0
  /** Stands for the output of a request without a cap of its own. */
  #meanOutputTokens: Tokens = 0

  constructor(limits: Limits, nowMs: Ms) {
    this.configure(limits, nowMs)
  }

  get inflight(): number {
    return this.#inflight
  }

  /** New limits; what was used under the old ones stays used. */
  configure({ requests_per_minute: requests, tokens_per_minute: tokens, max_inflight: maxInflight }: Limits, nowMs: Ms): void {
    this.#requests = renewed(this.#requests, requests, nowMs)
    this.#tokens = renewed(this.#tokens, tokens, nowMs)
    this.#maxInflight = maxInflight
  }

  /** Takes what the request is expected to use; a refused one uses nothing. */
  admit(charge: Charge, nowMs: Ms): Admitted {
    if (this.#maxInflight !== undefined && this.#inflight >= this.#maxInflight) {
      return { ok: false, message: `This API key may have ${this.#maxInflight} requests running at once, and has; wait until one has ended.`, afterMs: undefined }
    }
    const tokens = charge.promptTokens + (charge.maxOutputTokens ?? this.#meanOutputTokens)
    const requestsAfterMs = this.#requests?.waitMs(1, nowMs) ?? 0
    const tokensAfterMs = this.#tokens?.waitMs(tokens, nowMs) ?? 0
    const afterMs = Math.max(requestsAfterMs, tokensAfterMs)
    if (afterMs > 0) {
      const what = requestsAfterMs >= tokensAfterMs ? `${this.#requests!.limit} requests` : `${this.#tokens!.limit} tokens`
      return { ok: false, message: `This API key is limited to ${what} per minute; retry after ${Math.ceil(afterMs / 1000)} s.`, afterMs }
    }
    this.#requests?.take(1, nowMs)
    this.#tokens?.take(tokens, nowMs)
    this.#inflight++
    return { ok: true, permit: new Permit(tokens, charge, (used, outputTokens, atMs) => this.#settle(used - tokens, outputTokens, atMs)) }
  }

  /** `x-ratelimit-*`, names and values in turn; empty where nothing is limited. */
  headers(nowMs: Ms): string[] {
    const out: string[] = []
    for (const [name, bucket] of [['requests', this.#requests], ['tokens', this.#tokens]] as const) {
      if (bucket === undefined) continue
      out.push(`x-ratelimit-limit-${name}`, String(bucket.limit), `x-ratelimit-remaining-${name}`, String(bucket.remaining(nowMs)), `x-ratelimit-reset-${name}`, duration(bucket.resetMs(nowMs)))
    }
    return out
  }

  #settle(moreTokens: Tokens, outputTokens: Tokens | undefined, nowMs: Ms): void {
    this.#inflight--
    this.#tokens?.take(moreTokens, nowMs)
    if (outputTokens !== undefined && outputTokens > 0) this.#meanOutputTokens += MEAN_WEIGHT * (Math.min(outputTokens, Number.MAX_SAFE_INTEGER) - this.#meanOutputTokens)
  }
}

/** What one request holds of its tenant's limits; given back once, by `settle`. */
export class Permit {
  readonly charge: Charge
  readonly #estimated: Tokens
  #settle: ((used: Tokens, outputTokens: Tokens | undefined, nowMs: Ms) => void) | undefined

  constructor(estimated: Tokens, charge: Charge, settle: (used: Tokens, outputTokens: Tokens | undefined, nowMs: Ms) => void) {
    this.#estimated = estimated
    this.charge = charge
    this.#settle = settle
  }

  /** The request has ended and used this much. A count that is unknown stays as it was estimated. */
  settle({ promptTokens = this.charge.promptTokens, outputTokens }: { readonly promptTokens?: Tokens | undefined, readonly outputTokens?: Tokens | undefined }, nowMs: Ms): void {
    const settle = this.#settle
    this.#settle = undefined
    settle?.(promptTokens + (outputTokens ?? this.#estimated - this.charge.promptTokens), outputTokens, nowMs)
  }
}

function renewed(bucket: TokenBucket | undefined, perMinute: number | undefined, nowMs: Ms): TokenBucket | undefined {
  if (perMinute === undefined) return undefined
  if (bucket === undefined) return new TokenBucket(perMinute, nowMs)
  if (bucket.limit !== perMinute) bucket.configure(perMinute, nowMs)
  return bucket
}

/** As the OpenAI API writes it: `120ms`, `8.64s`. */
function duration(ms: Ms): string {
  return ms < 1000 ? `${Math.ceil(ms)}ms` : `${(Math.ceil(ms / 10) / 100)}s`
}
