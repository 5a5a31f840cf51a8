/**
 * Steps over JSON text in bytes, checking it against RFC 8259 without building anything.
 * Each function takes a position and returns the one after what it read, or `~position` (negative) of the first byte
 * that does not fit. Bytes at and after `end` do not exist.
 */

/** Deepest nesting that is read; more is refused, since the parser behind us may recurse. */
export const MAX_DEPTH = 256

export const QUOTE = 0x22
export const COMMA = 0x2c
export const COLON = 0x3a
export const OPEN_BRACKET = 0x5b
export const BACKSLASH = 0x5c
export const CLOSE_BRACKET = 0x5d
export const OPEN_BRACE = 0x7b
export const CLOSE_BRACE = 0x7d
export const LETTER_N = 0x6e
export const LETTER_T = 0x74
export const LETTER_F = 0x66

const isHex = (c: number): boolean => (c >= 0x30 && c <= 0x39) || (c >= 0x41 && c <= 0x46) || (c >= 0x61 && c <= 0x66)
const isDigit = (c: number): boolean => c >= 0x30 && c <= 0x39

/** First position at or after `i` that is not white space. */
export function skipSpace (b: Uint8Array, i: number, end: number): number {
  while (i < end) {
    const c = b[i]!
    if (c !== 0x20 && c !== 0x0a && c !== 0x0d && c !== 0x09) break
    i++
  }
  return i
}

/** Up to here a string is read byte by byte; beyond, a view of its words is worth making. */
const SHORT_BYTES = 64

/** First position at or after `i` that is not plain text of a string: a quote, a backslash or a control character; `end` without one. */
export function skipPlain (b: Uint8Array, i: number, end: number): number {
  const near = Math.min(end, i + SHORT_BYTES)
  while (i < near && isPlain(b[i]!)) i++
  return i < near || i === end ? i : skipPlainWords(b, i, end)
}

const isPlain = (c: number): boolean => c !== QUOTE && c !== BACKSLASH && c >= 0x20

/** Four bytes at a time, a third of the time that single ones take. */
function skipPlainWords (b: Uint8Array, i: number, end: number): number {
  const shift = b.byteOffset & 3
  const words = new Int32Array(b.buffer, b.byteOffset - shift, (shift + end) >> 2)
  for (; ((shift + i) & 3) !== 0; i++) if (i === end || !isPlain(b[i]!)) return i
  let at = (shift + i) >> 2
  while (at < words.length && isPlainWord(words[at]!)) at++
  i = (at << 2) - shift
  while (i < end && isPlain(b[i]!)) i++
  return i
}

/** Is no byte of the word below 0x20, a quote or a backslash? (A byte below n borrows from its top bit: "determine if a word has a byte less than n", Bit Twiddling Hacks.) */
function isPlainWord (word: number): boolean {
  const quotes = word ^ 0x22222222
  const backslashes = word ^ 0x5c5c5c5c
  return (((word - 0x20202020) & ~word | (quotes - 0x01010101) & ~quotes | (backslashes - 0x01010101) & ~backslashes) & 0x80808080) === 0
}

/** `i` is at the opening quote. */
export function skipString (b: Uint8Array, i: number, end: number): number {
  for (i = skipPlain(b, i + 1, end); i < end; i = skipPlain(b, i, end)) {
    const c = b[i]!
    if (c === QUOTE) return i + 1
    if (c !== BACKSLASH) return ~i
    i = skipEscape(b, i, end)
    if (i < 0) return i
  }
  return ~end
}

/** `i` is at the backslash. */
export function skipEscape (b: Uint8Array, i: number, end: number): number {
  if (i + 1 >= end) return ~end
  switch (b[i + 1]) {
    case 0x22: case 0x5c: case 0x2f: case 0x62: case 0x66: case 0x6e: case 0x72: case 0x74:
      return i + 2
    case 0x75:
      for (let k = i + 2; k < i + 6; k++) {
        if (k >= end) return ~end
        if (!isHex(b[k]!)) return ~k
      }
      return i + 6
    default:
      return ~(i + 1)
  }
}

export function skipNumber (b: Uint8Array, i: number, end: number): number {
  if (b[i] === 0x2d) i++
  if (i >= end) return ~end
  if (b[i] === 0x30) i++
  else {
    if (!isDigit(b[i]!)) return ~i
    while (i < end && isDigit(b[i]!)) i++
  }
  if (i < end && b[i] === 0x2e) {
    i++
    if (i >= end || !isDigit(b[i]!)) return ~i
    while (i < end && isDigit(b[i]!)) i++
  }
  if (i < end && (b[i]! | 0x20) === 0x65) {
    i++
    if (i < end && (b[i] === 0x2b || b[i] === 0x2d)) i++
    if (i >= end || !isDigit(b[i]!)) return ~i
    while (i < end && isDigit(b[i]!)) i++
  }
  return i
}

const TRUE = Buffer.from('true')
const FALSE = Buffer.from('false')
const NULL = Buffer.from('null')

function skipWord (b: Uint8Array, i: number, end: number, word: Uint8Array): number {
  for (let k = 0; k < word.length; k++) {
    if (i + k >= end) return ~end
    if (b[i + k] !== word[k]) return ~(i + k)
  }
  return i + word.length
}

/** `i` is at the value's first byte; `depth` is the number of containers around it. */
export function skipValue (b: Uint8Array, i: number, end: number, depth: number): number {
  if (i >= end) return ~end
  switch (b[i]) {
    case QUOTE: return skipString(b, i, end)
    case OPEN_BRACE: return skipObject(b, i, end, depth)
    case OPEN_BRACKET: return skipArray(b, i, end, depth)
    case LETTER_N: return skipWord(b, i, end, NULL)
    case LETTER_T: return skipWord(b, i, end, TRUE)
    case LETTER_F: return skipWord(b, i, end, FALSE)
    default: return skipNumber(b, i, end)
  }
}

/** `i` is after a member's name: to the first byte of its value. */
export function skipColon (b: Uint8Array, i: number, end: number): number {
  i = skipSpace(b, i, end)
  if (i >= end || b[i] !== COLON) return ~i
  return skipSpace(b, i + 1, end)
}

function skipObject (b: Uint8Array, i: number, end: number, depth: number): number {
  if (depth >= MAX_DEPTH) return ~i
  i = skipSpace(b, i + 1, end)
  if (i < end && b[i] === CLOSE_BRACE) return i + 1
  for (;;) {
    if (i >= end || b[i] !== QUOTE) return ~i
    i = skipString(b, i, end)
    if (i < 0) return i
    i = skipColon(b, i, end)
    if (i < 0) return i
    i = skipValue(b, i, end, depth + 1)
    if (i < 0) return i
    i = skipSpace(b, i, end)
    if (i >= end) return ~end
    if (b[i] === CLOSE_BRACE) return i + 1
    if (b[i] !== COMMA) return ~i
    i = skipSpace(b, i + 1, end)
  }
}

function skipArray (b: Uint8Array, i: number, end: number, depth: number): number {
  if (depth >= MAX_DEPTH) return ~i
  i = skipSpace(b, i + 1, end)
  if (i < end && b[i] === CLOSE_BRACKET) return i + 1
  for (;;) {
    i = skipValue(b, i, end, depth + 1)
    if (i < 0) return i
    i = skipSpace(b, i, end)
    if (i >= end) return ~end
    if (b[i] === CLOSE_BRACKET) return i + 1
    if (b[i] !== COMMA) return ~i
    i = skipSpace(b, i + 1, end)
  }
}

/** Is the text of `[start, end)` exactly `word`? */
export function equals (b: Uint8Array, start: number, end: number, word: Uint8Array): boolean {
  if (end - start !== word.length) return false
  for (let k = 0; k < word.length; k++) if (b[start + k] !== word[k]) return false
  return true
}

/** The string of `[start, end)`, quotes included in the range, escapes resolved. */
export function decodeString (b: Buffer, start: number, end: number): string {
  const raw = b.toString('utf8', start, end)
  return raw.includes('\\') ? JSON.parse(raw) as string : raw.slice(1, -1)
}
