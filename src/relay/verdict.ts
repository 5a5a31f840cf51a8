import { isOwnShortage, type EngineError } from '../protocol/index.js'
import type { AttemptCode, AttemptResult } from './types.js'

/** The parts of a result that a failure decides. */
export type Failure = Pick<AttemptResult, 'verdict' | 'retryable' | 'status' | 'code' | 'detail'>

const failure = (verdict: Failure['verdict'], retryable: boolean, status: number, code: AttemptCode | undefined, detail: string): Failure =>
  ({ verdict, retryable, status, code, detail })

/**
 * An answer with an error status. 429 and 503 say busy, not broken, and another backend may have room. A bad request is
 * bad everywhere. A refused key is the gateway's own, unless the client's credentials were passed on.
 */
export function judgeStatus(status: number, credentialsPassed: boolean): Failure {
  if (status === 429 || status === 503) return failure('backpressure', true, 503, 'backend_overloaded', `the backend is overloaded (it answered ${status})`)
  if (status >= 500 || status === 424) return failure('fault', true, 502, 'backend_error', `the backend answered ${status}`)
  if (status === 401 || status === 403) {
    if (credentialsPassed) return failure('client_error', false, status, undefined, `the backend answered ${status}`)
    return failure('fault', true, 502, 'backend_error', `the backend refused the gateway's key (${status}): check api_key of the backend`)
  }
  // 408 would be retried blindly by SDKs; redirects are not followed: they could carry a key elsewhere.
  if (status === 408 || status < 400) return failure('fault', true, 502, 'backend_error', `the backend answered ${status}, which is no answer to pass on`)
  return failure('client_error', false, status, undefined, `the backend answered ${status}`)
}

/** An error event in a stream. `first`: it came in the place of an answer. */
export function judgeEngineError(error: EngineError | undefined, first: boolean): Failure {
  if (error !== undefined && error.overloaded) return failure('backpressure', first, 503, 'backend_overloaded', 'the backend is overloaded (it said so in its stream)')
  const status = error?.status ?? 500
  if (first && status >= 400 && status < 500 && status !== 408) return failure('client_error', false, status, undefined, `the backend refused the request in its stream (${status})`)
  return failure('fault', first, 502, 'backend_error', `the backend sent an error in its stream (${status})`)
}

/** The connection failed. `code` is Node's or http1's. */
export function judgeTransport(code: string | undefined, phase: 'connecting' | 'waiting' | 'answering'): Failure {
  if (isOwnShortage(code)) return failure('cancelled', false, 503, 'internal_error', `the gateway could not open a connection (${code}): raise its limit of open files, or of local ports`)
  const where = phase === 'connecting' ? 'no connection to the backend' : phase === 'waiting' ? 'the backend closed the connection before it answered' : 'the backend broke off its answer'
  const timedOut = code === 'ERR_CONNECT_TIMEOUT'
  return failure('fault', true, timedOut ? 504 : 502, 'backend_error', `${where} (${code ?? 'unknown cause'})`)
}

export const truncated: Failure = failure('fault', true, 502, 'backend_error', 'the stream of the backend ended before the answer was complete')
export const empty: Failure = failure('fault', true, 502, 'backend_error', 'the backend ended its stream without an event')
export const garbled: Failure = failure('fault', true, 502, 'backend_error', 'the backend answered with JSON that is not whole')
export const unreadable: Failure = failure('fault', true, 502, 'backend_error', 'the backend sent an event that is not whole JSON')
export const connectTimeout: Failure = failure('fault', true, 504, 'backend_error', 'no connection to the backend in time')
export const firstTokenTimeout: Failure = failure('fault', true, 504, 'first_token_timeout', 'the backend did not begin its answer in time')
export const idleTimeout: Failure = failure('fault', true, 504, 'stream_stalled', 'the backend fell silent in the middle of its answer')
export const totalTimeout: Failure = failure('fault', false, 504, 'stream_stalled', 'the request took longer than timeouts.total allows')
export const headTooLong: Failure = failure('fault', true, 502, 'backend_error', 'the backend sent more interim answers than make sense')
