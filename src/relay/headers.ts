import type { Ms } from '../core/index.js'
import { mayReachClient, namesOf } from '../protocol/index.js'

const MAX_RETRY_AFTER_MS: Ms = 60_000

export interface ResponseHead {
  /** What the client gets of the backend's head, names and values in turn. */
  readonly forwarded: string[]
  readonly contentType: string | undefined
  /** In bytes; undefined: chunked. */
  readonly contentLength: number | undefined
  /** In ms; from `retry-after` in seconds, bounded: no server may take itself out for a day. */
  readonly retryAfterMs: number | undefined
}

/** @param raw names and values in turn, valid ones, as they came off the wire. */
export function readResponseHead(raw: readonly string[]): ResponseHead {
  const forwarded: string[] = []
  let contentType: string | undefined
  let length: string | undefined
  let retryAfter: string | undefined
  let connection: string | undefined
  for (let i = 0; i + 1 < raw.length; i += 2) {
    const name = raw[i]!.toLowerCase()
    const value = raw[i + 1]!
    switch (name) {
      case 'content-type': contentType ??= value; break
      case 'content-length': length ??= value; break
      case 'retry-after': retryAfter ??= value; break
      case 'connection': connection = connection === undefined ? value : `${connection},${value}`; break
    }
    if (mayReachClient(name)) forwarded.push(name, value)
  }
  return {
    forwarded: connection === undefined ? forwarded : without(forwarded, namesOf(connection)),
    contentType,
    contentLength: length === undefined ? undefined : Number(length),
    retryAfterMs: retryAfter !== undefined && /^\d{1,6}$/.test(retryAfter) ? Math.min(Number(retryAfter) * 1000, MAX_RETRY_AFTER_MS) : undefined,
  }
}

function without(pairs: string[], names: ReadonlySet<string>): string[] {
  return names.size === 0 ? pairs : pairs.filter((_, i) => !names.has(pairs[i - i % 2]!))
}

/** Heads of streams: nothing between us and the reader may hold bytes back or change them. */
const STREAM_HEADERS: ReadonlyMap<string, string> = new Map([
  ['content-type', 'text/event-stream; charset=utf-8'],
  ['cache-control', 'no-cache, no-transform'],
  ['x-accel-buffering', 'no'],
])

/** `forwarded` of a stream, with ours in the place of what says the same. */
export function streamHead(forwarded: readonly string[]): string[] {
  const out: string[] = []
  for (const [name, value] of STREAM_HEADERS) out.push(name, value)
  for (let i = 0; i + 1 < forwarded.length; i += 2) {
    const name = forwarded[i]!
    if (!STREAM_HEADERS.has(name)) out.push(name, forwarded[i + 1]!)
  }
  return out
}
