import type { FastifyError, FastifyReply, FastifyRequest } from 'fastify'
import { errorBody, errorShapeOf, statusOf, type ErrorCode } from '../protocol/index.js'

/** A request that the gateway itself refuses, before or instead of scheduling it. */
export class GatewayError extends Error {
  override readonly name = 'GatewayError'

  constructor(
    readonly code: ErrorCode,
    message?: string,
    readonly options: { readonly status?: number, readonly param?: string | undefined, readonly headers?: Readonly<Record<string, string>> } = {},
  ) {
    super(message)
  }
}

/** The framework's own errors, in our words; what is missing here is a fault of ours. */
const FRAMEWORK: ReadonlyMap<string, readonly [ErrorCode, string | undefined]> = new Map([
  ['FST_ERR_CTP_BODY_TOO_LARGE', ['body_too_large', undefined]],
  ['FST_ERR_CTP_INVALID_MEDIA_TYPE', ['unsupported_media_type', undefined]],
  ['FST_ERR_CTP_INVALID_CONTENT_LENGTH', ['invalid_request', 'The body is not as long as its content-length says.']],
  ['FST_ERR_CTP_EMPTY_JSON_BODY', ['invalid_request', 'The request has no body; send a JSON object.']],
  ['FST_ERR_BAD_URL', ['invalid_request', 'The path of the URL is not valid; check its percent-encoding.']],
  ['FST_ERR_ROUTE_MISSING_HANDLER', ['invalid_request', undefined]],
  ['FST_ERR_MAX_PARAM_LENGTH', ['invalid_request', 'The path of the URL is too long.']],
] as const)

/** The error object on every cause, in the shape of the path. */
export function toGatewayError(error: unknown): GatewayError {
  if (error instanceof GatewayError) return error
  const { code, statusCode } = error as Partial<FastifyError>
  const known = FRAMEWORK.get(code ?? '')
  if (known !== undefined) return new GatewayError(known[0], known[1] ?? '')
  if (statusCode === 400) return new GatewayError('invalid_request', 'The request could not be read to its end.')
  return new GatewayError('internal_error', '')
}

/** Answers with the error object; tells which error it was. */
export function sendError(error: unknown, request: FastifyRequest, reply: FastifyReply): GatewayError {
  const known = toGatewayError(error)
  if (known.code === 'internal_error') request.log.error({ err: error }, 'unexpected error')
  const { status, param, headers } = known.options
  // What is left of the body will not be read; the connection can't be used again. Where this replica is leaving, another one must be found.
  if (!request.raw.complete || known.code === 'draining') void reply.header('connection', 'close')
  if (headers !== undefined) void reply.headers(headers)
  void reply
    .code(status ?? statusOf(known.code))
    .header('content-type', 'application/json; charset=utf-8')
    .send(errorBody(errorShapeOf(pathOf(request.url)), known.code, known.message === '' ? undefined : known.message, param))
  return known
}

/** Path without query. */
export function pathOf(url: string): string {
  const query = url.indexOf('?')
  return query < 0 ? url : url.slice(0, query)
}
