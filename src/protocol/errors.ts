import type { Dialect, ErrorShape } from './types.js'

/** Who has to act: the caller, the operator's policy, the model servers, or the gateway itself. */
export type FaultDomain = 'caller' | 'policy' | 'backend' | 'gateway'

export interface ErrorEntry {
  readonly domain: FaultDomain
  /** The usual HTTP status. */
  readonly status: number
  /** Further statuses that the code may carry, where HTTP has a more precise one. */
  readonly otherStatuses: readonly number[]
  /** `type` of the OpenAI error object. */
  readonly type: string
  /** What it means, for docs and as the message where nothing more precise is known. */
  readonly message: string
  /** What to do about it. */
  readonly hint: string
}

/** The closed vocabulary of `code`. */
export const ERROR_CODES = [
  'invalid_request', 'invalid_slo', 'invalid_api_key', 'not_allowed', 'model_not_found', 'body_too_large', 'unsupported_media_type',
  'rate_limited', 'queue_full', 'deadline_infeasible', 'queue_expired', 'shed_lower_class',
  'backend_error', 'backend_overloaded', 'no_healthy_backend', 'first_token_timeout', 'stream_stalled',
  'internal_error', 'draining',
] as const
export type ErrorCode = typeof ERROR_CODES[number]

const entry = (domain: FaultDomain, status: number, type: string, message: string, hint: string, otherStatuses: readonly number[] = []): ErrorEntry =>
  ({ domain, status, otherStatuses, type, message, hint })

/** The one table of errors: a code without an entry does not compile. */
export const ERRORS: Readonly<Record<ErrorCode, ErrorEntry>> = {
  invalid_request: entry('caller', 400, 'invalid_request_error', 'The request is not valid.', 'Correct the request as the message says; sending it again unchanged cannot succeed.', [404, 405, 411, 422]),
  invalid_slo: entry('caller', 400, 'invalid_request_error', 'An SLO header or class is not valid.', 'Give whole or fractional milliseconds above 0, or leave the header out.'),
  invalid_api_key: entry('caller', 401, 'authentication_error', 'The API key is missing or not valid.', 'Send a valid key as "authorization: Bearer KEY" or "x-api-key: KEY".'),
  not_allowed: entry('caller', 403, 'permission_error', 'The API key does not allow this request.', 'Use what the key allows, or ask the operator to widen it.'),
  model_not_found: entry('caller', 404, 'invalid_request_error', 'No backend serves this model.', 'GET /v1/models lists the models that are served.'),
  body_too_large: entry('caller', 413, 'invalid_request_error', 'The request body is larger than the gateway accepts.', 'Shorten the request, or ask the operator to raise limits.body.'),
  unsupported_media_type: entry('caller', 415, 'invalid_request_error', 'The content type or encoding of the body is not supported.', 'Send plain JSON with "content-type: application/json" and no content-encoding.'),
  rate_limited: entry('policy', 429, 'rate_limit_error', 'The rate limit of this API key is reached.', 'Wait for the time in retry-after.'),
  queue_full: entry('policy', 429, 'rate_limit_error', 'The queue of this service class is full.', 'Retry after the time in retry-after; the backends are saturated.'),
  deadline_infeasible: entry('policy', 429, 'rate_limit_error', 'The targets of this request cannot be met now.', 'Retry after the time in retry-after, or ask for looser targets.'),
  queue_expired: entry('policy', 429, 'rate_limit_error', 'The request waited in the queue for as long as its targets allow.', 'Retry after the time in retry-after, or ask for looser targets.'),
  shed_lower_class: entry('policy', 429, 'rate_limit_error', 'The request was refused in favour of a class that is not sheddable.', 'Retry after the time in retry-after; work of this class runs when there is room.'),
  backend_error: entry('backend', 502, 'server_error', 'The model server failed.', 'Retry; the gateway tries another model server where one is healthy.'),
  backend_overloaded: entry('backend', 503, 'server_error', 'The model servers are overloaded.', 'Retry after the time in retry-after.', [429]),
  no_healthy_backend: entry('backend', 503, 'server_error', 'No healthy model server can take this request.', 'Retry later; operators: /api/state on the admin plane shows why.'),
  first_token_timeout: entry('backend', 504, 'server_error', 'The model server sent no token in time.', 'Retry; operators: timeouts.first_token sets the limit.'),
  stream_stalled: entry('backend', 504, 'server_error', 'The model server stopped sending in the middle of the answer.', 'Retry; operators: timeouts.idle sets the limit.'),
  internal_error: entry('gateway', 500, 'server_error', 'The gateway failed.', 'Retry; operators: the log line with this request id has the cause.', [503]),
  draining: entry('gateway', 503, 'server_error', 'The gateway is shutting down.', 'Retry; another replica or the restarted gateway answers.'),
}

/** The usual HTTP status of a code. */
export function statusOf (code: ErrorCode): number {
  return ERRORS[code].status
}

/** Anthropic's closed list of `type`. */
function anthropicType (code: ErrorCode): string {
  switch (code) {
    case 'invalid_api_key': return 'authentication_error'
    case 'not_allowed': return 'permission_error'
    case 'model_not_found': return 'not_found_error'
    case 'body_too_large': return 'request_too_large'
    case 'first_token_timeout': case 'stream_stalled': return 'timeout_error'
    case 'backend_overloaded': case 'no_healthy_backend': case 'draining': return 'overloaded_error'
    default:
      switch (ERRORS[code].domain) {
        case 'caller': return 'invalid_request_error'
        case 'policy': return 'rate_limit_error'
        case 'backend': case 'gateway': return 'api_error'
      }
  }
}

/** TGI's `error_type`. */
function tgiType (code: ErrorCode): string {
  switch (code) {
    case 'backend_overloaded': case 'no_healthy_backend': case 'draining': return 'overloaded'
    default:
      switch (ERRORS[code].domain) {
        case 'caller': return 'validation'
        case 'policy': return 'overloaded'
        case 'backend': case 'gateway': return 'generation'
      }
  }
}

/**
 * JSON text of an error in the shape that the path's clients expect. Each shape carries `code`, so that programs need
 * not read the message. `message` defaults to the table's, with its hint.
 */
export function errorBody (shape: ErrorShape, code: ErrorCode, message?: string, param?: string): string {
  const text = message ?? `${ERRORS[code].message} ${ERRORS[code].hint}`
  switch (shape) {
    case 'openai': return JSON.stringify({ error: { message: text, type: ERRORS[code].type, param: param ?? null, code } })
    case 'anthropic': return JSON.stringify({ type: 'error', error: { type: anthropicType(code), message: text, code } })
    case 'tgi': return JSON.stringify({ error: text, error_type: tgiType(code), code })
  }
}

/** Shape of errors in a dialect. */
export function errorShapeOfDialect (dialect: Dialect): ErrorShape {
  switch (dialect) {
    case 'anthropic-messages': return 'anthropic'
    case 'tgi-generate': return 'tgi'
    default: return 'openai'
  }
}

/**
 * The event that ends a stream which broke after its first token; no `[DONE]` follows. `midEvent`: bytes of an
 * unfinished event went out, so it is closed first, or the two would read as one.
 */
export function errorEvent (dialect: Dialect, code: ErrorCode, message?: string, midEvent = false): Buffer {
  const text = message ?? `${ERRORS[code].message} ${ERRORS[code].hint}`
  const close = midEvent ? '\n\n' : ''
  switch (dialect) {
    case 'anthropic-messages':
      return Buffer.from(`${close}event: error\ndata: ${errorBody('anthropic', code, text)}\n\n`)
    case 'openai-responses':
      return Buffer.from(`${close}event: error\ndata: ${JSON.stringify({ type: 'error', code, message: text, param: null })}\n\n`)
    default:
      return Buffer.from(`${close}data: ${errorBody(errorShapeOfDialect(dialect), code, text)}\n\n`)
  }
}
