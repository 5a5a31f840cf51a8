import type { EngineError } from './types.js'

/** Longer messages are cut: they go into logs and error bodies. */
const MAX_MESSAGE = 1000

/** Statuses that engines' type names stand for; 529 is Anthropic's "overloaded". */
const STATUS_OF_TYPE: ReadonlyMap<string, number> = new Map([
  // TGI
  ['overloaded', 429], ['validation', 422], ['tool_error', 422], ['template_error', 422], ['generation', 424],
  ['incomplete_generation', 500], ['healthcheck', 503], ['unhealthy', 503],
  // Anthropic
  ['overloaded_error', 529], ['rate_limit_error', 429], ['invalid_request_error', 400], ['authentication_error', 401],
  ['permission_error', 403], ['not_found_error', 404], ['request_too_large', 413], ['timeout_error', 504],
  ['api_error', 500], ['internal_error', 500],
  // OpenAI, vLLM, SGLang, llama.cpp
  ['rate_limit_exceeded', 429], ['requests', 429], ['tokens', 429], ['server_is_overloaded', 503], ['BadRequestError', 400],
  ['NotFoundError', 404], ['UnprocessableEntityError', 422], ['ServiceUnavailable', 503], ['ServiceUnavailableError', 503],
  ['SERVICE_UNAVAILABLE', 503], ['unavailable_error', 503], ['server_error', 500], ['InternalServerError', 500],
  ['exceed_context_size_error', 400], ['not_supported_error', 501],
])

const BUSY = /queue is full|overloaded|server busy|too many requests|maximum pending requests|aborted by a higher priority/i

/** 429, 503 and 529: the server is busy, not broken. */
export const isOverload = (status: number): boolean => status === 429 || status === 503 || status === 529

/**
 * Reads the error out of an engine's error body or error event, whatever its shape: nested `{error: {…}}`, flat
 * `{object: "error", …}`, TGI's and Ollama's `{error: "…"}`, FastAPI's `{detail: …}`, or plain text.
 *
 * @param status the HTTP status where it stood on a response; undefined inside a 200 stream, where the error's own code
 *   or type decides and 500 is the rest
 */
export function parseEngineError (status: number | undefined, contentType: string | undefined, body: Buffer): EngineError {
  const text = body.toString('utf8', 0, Math.min(body.length, 65536))
  if (contentType === undefined || /json|event-stream/i.test(contentType)) {
    try {
      return ofValue(status, JSON.parse(text) as unknown, text)
    } catch {
      // Not JSON after all: the text is the message.
    }
  }
  return make(status, text, undefined, undefined)
}

type Members = Readonly<Record<string, unknown>>
const isMembers = (value: unknown): value is Members => typeof value === 'object' && value !== null

function ofValue (status: number | undefined, value: unknown, raw: string): EngineError {
  // TGI answers a list of one on some paths.
  const top = Array.isArray(value) ? value[0] as unknown : value
  if (!isMembers(top)) return make(status, typeof top === 'string' ? top : raw, undefined, undefined)
  const response = own(top, 'response')
  const nested = own(top, 'error') ?? (isMembers(response) ? own(response, 'error') : undefined)
  const inner = isMembers(nested) ? nested : top
  const detail = own(inner, 'message') ?? (typeof nested === 'string' ? nested : undefined) ?? own(top, 'detail')
  const message = typeof detail === 'string' ? detail : detail === undefined ? raw : JSON.stringify(detail)
  const type = [own(top, 'error_type'), own(inner, 'type')].find((name): name is string => typeof name === 'string' && name !== 'error')
  return make(status, message, type, own(inner, 'code') ?? own(top, 'code'))
}

const own = (members: Members, name: string): unknown => Object.hasOwn(members, name) ? members[name] ?? undefined : undefined

function make (status: number | undefined, message: string, type: string | undefined, code: unknown): EngineError {
  const fromCode = Number(typeof code === 'string' || typeof code === 'number' ? code : NaN)
  const stands = status ?? (Number.isInteger(fromCode) && fromCode >= 400 && fromCode <= 599
    ? fromCode
    : STATUS_OF_TYPE.get(typeof code === 'string' ? code : '') ?? STATUS_OF_TYPE.get(type ?? '') ?? (BUSY.test(message) ? 503 : 500))
  const trimmed = message.trim()
  return {
    message: trimmed === '' ? 'The model server gave no reason.' : trimmed.slice(0, MAX_MESSAGE),
    type,
    status: stands,
    overloaded: isOverload(stands) || type === 'overloaded' || type === 'overloaded_error' || (stands >= 500 && BUSY.test(message)),
  }
}
