import type { Headers } from './slo-headers.js'

/** Request headers that a backend gets to see; credentials, cookies and whatever steers the gateway stay here. */
const TO_BACKEND: ReadonlySet<string> = new Set([
  'accept', 'accept-language', 'content-type', 'user-agent', 'traceparent', 'tracestate', 'x-request-id',
  // Session affinity inside an engine's own data-parallel ranks, and the load report of vLLM.
  'x-session-id', 'x-correlation-id', 'endpoint-load-metrics-format',
  'anthropic-version', 'anthropic-beta', 'openai-beta',
])

/** Sent on only by `auth: passthrough`. */
const CREDENTIALS: ReadonlySet<string> = new Set(['authorization', 'x-api-key'])

/** RFC 9110 section 7.6.1 and its old companions: they belong to one connection. */
const HOP_BY_HOP: ReadonlySet<string> = new Set([
  'connection', 'keep-alive', 'proxy-connection', 'proxy-authenticate', 'proxy-authorization', 'te', 'trailer', 'transfer-encoding', 'upgrade',
])

/** Response headers that are the gateway's own to set. */
const OURS: ReadonlySet<string> = new Set([
  'date', 'server', 'content-length', 'x-request-id', 'x-should-retry', 'x-accel-buffering', 'server-timing', 'set-cookie', 'alt-svc', 'strict-transport-security',
])

 
const UNSAFE = /[\x00-\x08\x0a-\x1f\x7f]/

/**
 * Headers for a backend out of a client's: an allow-list, less what `Connection` names. The caller adds host, length,
 * accept-encoding and the backend's own key. Names and values in turn.
 */
export function headersToBackend (headers: Headers, passCredentials: boolean): string[] {
  const dropped = connectionNames(headers)
  const out: string[] = []
  for (const name of Object.keys(headers)) {
    if (!TO_BACKEND.has(name) && !(passCredentials && CREDENTIALS.has(name))) continue
    if (dropped.has(name)) continue
    const value = headers[name]
    const text = typeof value === 'string' ? value : value?.join(', ')
    if (text !== undefined && !UNSAFE.test(text)) out.push(name, text)
  }
  return out
}

/**
 * A backend's response headers that may go to the client: all but hop-by-hop ones, what its `Connection` names, those
 * that the gateway sets itself (`x-sluice-*` among them), and values that could break a header apart.
 * `content-length` is left out: the writer knows whether the body is unchanged.
 */
export function headersToClient (headers: Headers): Record<string, string | readonly string[]> {
  const dropped = connectionNames(headers)
  const out = Object.create(null) as Record<string, string | readonly string[]>
  for (const key of Object.keys(headers)) {
    const name = key.toLowerCase()
    if (!mayReachClient(name) || dropped.has(name)) continue
    if (!/^[a-z0-9!#$%&'*+.^_`|~-]+$/.test(name)) continue
    const value = headers[key]
    if (value === undefined || (typeof value === 'string' ? UNSAFE.test(value) : value.some(item => UNSAFE.test(item)))) continue
    out[name] = value
  }
  return out
}

/** Is a response header of this name, in lower case, neither one connection's own nor the gateway's to set? */
export function mayReachClient (name: string): boolean {
  return !HOP_BY_HOP.has(name) && !OURS.has(name) && !name.startsWith('x-sluice-') && !name.startsWith('x-ratelimit-')
}

function connectionNames (headers: Headers): ReadonlySet<string> {
  const value = Object.hasOwn(headers, 'connection') ? headers['connection'] : undefined
  return value === undefined ? NONE : namesOf(typeof value === 'string' ? value : value.join(','))
}

/** The headers that a `Connection` header names, in lower case. */
export function namesOf (text: string): ReadonlySet<string> {
  if (text === 'keep-alive' || text === 'close') return NONE
  return new Set(text.split(',').map(name => name.trim().toLowerCase()))
}

const NONE: ReadonlySet<string> = new Set()
