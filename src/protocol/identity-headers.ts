import type { Headers } from './slo-headers.js'

const REQUEST_ID = /^[A-Za-z0-9][A-Za-z0-9._:~+/=-]{0,127}$/

/** The client's request id if it is safe in headers, logs and metrics, else undefined: mint one. */
export function validRequestId (value: string | readonly string[] | undefined): string | undefined {
  return typeof value === 'string' && REQUEST_ID.test(value) ? value : undefined
}

export interface TraceContext {
  readonly traceId: string
  /** The caller's span. */
  readonly parentId: string
  readonly flags: string
  /** `tracestate` as it came, if it is well formed. */
  readonly state: string | undefined
}

// W3C Trace Context: version ff and ids of zeros are invalid; later versions may append fields, version 00 may not.
const TRACEPARENT = /^([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?$/
const STATE_ENTRY = /^[a-z0-9][a-z0-9_\-*/@]{0,255}=[\x20-\x2b\x2d-\x3c\x3e-\x7e]{0,256}$/
const ZEROS = /^0+$/

/** The caller's trace context, or undefined where it is missing or malformed: then a new trace starts. */
export function readTraceContext (headers: Headers): TraceContext | undefined {
  const parent = Object.hasOwn(headers, 'traceparent') ? headers['traceparent'] : undefined
  if (typeof parent !== 'string' || parent.length > 512) return undefined
  const match = TRACEPARENT.exec(parent.trim())
  if (match === null) return undefined
  const [, version, traceId = '', parentId = '', flags = '', more] = match
  if (version === 'ff' || (version === '00' && more !== undefined) || ZEROS.test(traceId) || ZEROS.test(parentId)) return undefined
  return { traceId, parentId, flags, state: traceState(headers) }
}

function traceState (headers: Headers): string | undefined {
  const value = Object.hasOwn(headers, 'tracestate') ? headers['tracestate'] : undefined
  const text = typeof value === 'string' ? value : value?.join(',')
  if (text === undefined || text.length > 512) return undefined
  const entries = text.split(',').map(entry => entry.trim()).filter(entry => entry !== '')
  return entries.length > 0 && entries.length <= 32 && entries.every(entry => STATE_ENTRY.test(entry)) ? entries.join(',') : undefined
}

/** `traceparent` for a span of ours within a trace: ids are lower-case hex of 32 and 16 digits. */
export function traceparentOf (traceId: string, spanId: string, flags: string): string {
  return `00-${traceId}-${spanId}-${flags}`
}

// Names, IPv4 and bracketed IPv6, with or without a port: anything else in Host has fooled some parser (`foo?`, `user@host`).
const HOST = /^(?:[A-Za-z0-9_](?:[A-Za-z0-9_.-]{0,252}[A-Za-z0-9_])?\.?|\[[0-9A-Fa-f:.]{2,45}\])(?::\d{1,5})?$/

/** Is this a host and port and nothing else? A request whose Host is not gets 400. */
export function isValidHost (value: string | undefined): boolean {
  return value !== undefined && HOST.test(value)
}

/** A client's text made safe for a log line or a label's value: printable ASCII, bounded. Which labels exist is config's matter. */
export function printable (text: string, mostChars = 128): string {
  const cut = text.length > mostChars ? `${text.slice(0, mostChars - 3)}...` : text
  return cut.replace(/[^\x20-\x7e]/g, '?')
}

/** Can the text be a header's value? No control characters, no bytes beyond ASCII. */
export function isHeaderSafe (text: string): boolean {
  return /^[\x20-\x7e\t]*$/.test(text)
}
