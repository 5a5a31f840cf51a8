import { CLOSE_BRACE, COMMA, LETTER_N, QUOTE, decodeString, skipColon, skipSpace, skipString, skipValue } from './json.js'
import type { RequestFields } from './types.js'

/**
 * The body with one top-level member set to `json` (valid JSON text): replaced where it stands, else added last. All
 * other bytes stay as they are and are not copied. `fields` must be of this very body.
 */
export function withMember (body: Buffer, fields: RequestFields, name: string, json: string): Buffer[] {
  const k = fields.memberNames.indexOf(name)
  if (k >= 0) return replace(body, fields.memberSpans[2 * k]!, fields.memberSpans[2 * k + 1]!, json)
  const comma = fields.memberNames.length > 0 ? ',' : ''
  return replace(body, fields.closingBrace, fields.closingBrace, `${comma}${JSON.stringify(name)}:${json}`)
}

/** The body asking for a usage event at the end of the stream; the very same bytes if it asks already. */
export function withIncludeUsage (body: Buffer, fields: RequestFields): Buffer[] {
  if (fields.includeUsage) return [body]
  const k = fields.memberNames.indexOf('stream_options')
  const at = fields.memberSpans[2 * k] ?? -1
  if (k < 0 || body[at] === LETTER_N) return withMember(body, fields, 'stream_options', '{"include_usage":true}')
  // An object, as the reader has checked: its include_usage is false, null or absent.
  const end = fields.memberSpans[2 * k + 1]!
  let i = skipSpace(body, at + 1, end)
  const empty = body[i] === CLOSE_BRACE
  while (body[i] === QUOTE) {
    const close = skipString(body, i, end)
    const value = skipColon(body, close, end)
    const after = skipValue(body, value, end, 2)
    if (decodeString(body, i, close) === 'include_usage') return replace(body, value, after, 'true')
    i = skipSpace(body, after, end)
    if (body[i] === COMMA) i = skipSpace(body, i + 1, end)
  }
  return replace(body, end - 1, end - 1, empty ? '"include_usage":true' : ',"include_usage":true')
}

/** Total length of the pieces, for `content-length`. */
export function lengthOf (pieces: readonly Buffer[]): number {
  let length = 0
  for (const piece of pieces) length += piece.length
  return length
}

function replace (body: Buffer, start: number, end: number, text: string): Buffer[] {
  return [body.subarray(0, start), Buffer.from(text), body.subarray(end)]
}
