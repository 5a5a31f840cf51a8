import type { Backend } from '../../ledger/backend.js'
import type { TrackedRequest } from '../../request.js'
import type { Ms, Tokens } from '../../types.js'

/** Streams that last longer feel the backend's whole share of prefill; shorter ones may pass between two prefills. */
const FULL_EXPOSURE_MS = 6000
/** Prefill never takes more of the time than this, by prediction. */
const MAX_SHARE = 0.95

/** One decode step there after `more` requests with `moreContext` tokens have joined, prefill left out. */
export function stepMs(backend: Backend, more: number, moreContext: Tokens): Ms {
  return backend.model.decodeStepMs(backend.streams + more, backend.contextTokens + backend.foreign.contextTokens + moreContext)
}

/** Time per token that a stream of `meanOutput` tokens would see, prefill of others included: a step stretched by the share of prefill it is exposed to. */
export function predictedTpotMs(decodeStepMs: Ms, prefillShare: number, tpotMs: Ms, meanOutput: Tokens): Ms {
  const exposure = Math.min(1, meanOutput * tpotMs / FULL_EXPOSURE_MS)
  return decodeStepMs / (1 - Math.min(MAX_SHARE, prefillShare * exposure))
}

/** Would every class in flight there, and the request's own, keep its pace with the request added? */
export function keepsPace(backend: Backend, request: TrackedRequest, decodeStepMs: Ms, pace: number, nowMs: Ms): boolean {
  const share = backend.prefill.share(nowMs)
  const own = request.tpotMs
  if (own < Infinity && predictedTpotMs(decodeStepMs, share, own, request.lengths.mean()) > pace * own) return false
  for (const { tpotMs, lengths, count } of backend.paced) {
    if (count > 0 && predictedTpotMs(decodeStepMs, share, tpotMs, lengths.mean()) > pace * tpotMs) return false
  }
  return true
}
