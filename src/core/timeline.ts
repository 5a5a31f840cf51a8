import type { BackendId, Ms, PoolName, RequestId, Tokens } from './types.js'

/** How a request's life ended, before SLOs judge it. */
export type Ending = 'completed' | 'failed' | 'cancelled' | 'rejected' | 'expired'

/**
 * One per request, written as its phases pass:
 * received → classified → admitted | rejected → queued → dispatched → connected → first_token → streaming →
 * completed | failed | cancelled | expired. A phase not reached is undefined. Retries overwrite `dispatchedAtMs` on.
 */
export interface Timeline {
  readonly id: RequestId
  /** t0 */
  readonly receivedAtMs: Ms
  classifiedAtMs: Ms | undefined
  queuedAtMs: Ms | undefined
  dispatchedAtMs: Ms | undefined
  connectedAtMs: Ms | undefined
  firstTokenAtMs: Ms | undefined
  lastTokenAtMs: Ms | undefined
  endedAtMs: Ms | undefined
  ending: Ending | undefined
  /** Did the client see tokens as they came? Only then do TTFT and TPOT apply. */
  streamed: boolean
  promptTokens: Tokens | undefined
  cachedTokens: Tokens | undefined
  outputTokens: Tokens | undefined
  /** True when `outputTokens` are counted events and not the engine's own usage. */
  outputTokensEstimated: boolean
  attempts: number
  pool: PoolName | undefined
  backend: BackendId | undefined
  /** Largest lateness of any token against its due time (smooth goodput); 0 = never late. */
  maxLatenessMs: Ms
}
