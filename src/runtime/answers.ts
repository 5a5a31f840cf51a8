import type { Ms, RefusalReason, RequestSpec } from '../core/index.js'
import { ERRORS, errorBody, statusOf, type ErrorCode } from '../protocol/index.js'
import type { Job } from './types.js'

export interface Refusal {
  readonly code: ErrorCode
  readonly status?: number
  readonly message?: string
  readonly retryAfterMs?: Ms | undefined
  /** False: a retry cannot make the deadline, so SDKs are told to leave it. */
  readonly retryCanMeet?: boolean
  /** Policy said no: the reason goes into a header of its own. */
  readonly reason?: RefusalReason | 'draining'
}

/** Where targets were out of reach, says which they are: they may be the class's, and the client have named none. */
export function messageOf(reason: RefusalReason, { streamed, targets: { ttftMs, tpotMs, deadlineMs } }: Pick<RequestSpec, 'streamed' | 'targets'>): string {
  const { message, hint } = ERRORS[reason]
  const asked = reason !== 'deadline_infeasible' && reason !== 'queue_expired' ? [] : [
    streamed && ttftMs !== undefined && `first token within ${ttftMs} ms`,
    streamed && tpotMs !== undefined && `a token every ${tpotMs} ms`,
    deadlineMs !== undefined && `complete within ${deadlineMs} ms`,
  ].filter((part) => part !== false)
  return asked.length === 0 ? `${message} ${hint}` : `${message.replace(/\.$/, '')}: ${asked.join(', ')}. ${hint}`
}

/** A whole error answer with these headers and its own; returns its status. */
export function refuse(job: Job, refusal: Refusal, headers: string[]): number {
  const status = refusal.status ?? statusOf(refusal.code)
  headers.push('content-type', 'application/json; charset=utf-8')
  if (refusal.reason !== undefined) headers.push('x-sluice-reason', refusal.reason)
  // The next try must find another replica: on the same connection it would find this one again.
  if (refusal.code === 'draining') headers.push('connection', 'close')
  if (refusal.retryAfterMs !== undefined) {
    const afterMs = Math.max(1, Math.ceil(refusal.retryAfterMs))
    headers.push('retry-after', String(Math.ceil(afterMs / 1000)), 'retry-after-ms', String(afterMs))
  }
  if (refusal.retryCanMeet !== undefined) headers.push('x-should-retry', String(refusal.retryCanMeet))
  job.client.answer(status, headers, Buffer.from(errorBody(job.errorShape, refusal.code, refusal.message)))
  return status
}

const UNSAFE = /[^\x20-\x7e]/g

/** Names come from the configuration, which may hold what a header may not. */
export const headerSafe = (text: string): string => text.replace(UNSAFE, '?')
