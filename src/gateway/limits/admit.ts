import { PromptTokenEstimator, type Clock, type Timeline } from '../../core/index.js'
import type { RequestFields } from '../../protocol/index.js'
import type { Tenant } from '../context.js'
import { GatewayError } from '../errors.js'
import type { Charge, Permit } from './tenant-limits.js'

/** When a tenant at its concurrency cap may look again: nobody knows when one of its requests ends. */
const LOOK_AGAIN_MS = 1000

/** Unlearned: good to some 15 %, and what it is off by is put right at the request's end. */
const estimator = new PromptTokenEstimator()

export const NO_TOKENS: Charge = { promptTokens: 0, maxOutputTokens: 0 }

/** What a request is expected to use, before any engine has seen it. */
export function chargeOf(fields: RequestFields): Charge {
  const { dialect, model, promptBytes, promptShape, promptTokens, maxOutputTokens } = fields
  return {
    promptTokens: promptTokens ?? (promptBytes === 0 ? 0 : estimator.tokens(model, '', promptBytes, promptShape)),
    maxOutputTokens: dialect === 'scored' ? 0 : maxOutputTokens,
  }
}

/** A permit, or undefined where the tenant has no limits. Throws `rate_limited`. */
export function admit({ limits }: Tenant, charge: Charge, clock: Clock): Permit | undefined {
  if (limits === undefined) return undefined
  const nowMs = clock.now()
  const admitted = limits.admit(charge, nowMs)
  if (admitted.ok) return admitted.permit
  const afterMs = Math.max(1, Math.ceil(admitted.afterMs ?? LOOK_AGAIN_MS))
  const headers: Record<string, string> = {
    'x-sluice-reason': 'rate_limited', 'retry-after': String(Math.ceil(afterMs / 1000)), 'retry-after-ms': String(afterMs), 'x-should-retry': 'true',
  }
  const state = limits.headers(nowMs)
  for (let i = 0; i < state.length; i += 2) headers[state[i]!] = state[i + 1]!
  throw new GatewayError('rate_limited', admitted.message, { headers })
}

/** Puts the estimate right by what was really used. What reached no backend, or failed there before its first token, used nothing. */
export function settle(permit: Permit, { ending, attempts, promptTokens, outputTokens }: Timeline, clock: Clock): void {
  const unused = attempts === 0 || ending === 'rejected' || ending === 'expired' || (ending === 'failed' && outputTokens === undefined)
  if (unused) return permit.settle({ promptTokens: 0, outputTokens: 0 }, clock.now())
  // A client that leaves before an unstreamed answer is complete has used an unknown number of tokens: as estimated.
  permit.settle({ promptTokens, outputTokens: outputTokens ?? (ending === 'cancelled' ? undefined : 0) }, clock.now())
}
