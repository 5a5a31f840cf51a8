/**
 * A stand-in for a model's tokenizer: deterministic, about four bytes a token, and stable at a seam (the tokens of `a + b` are those of
 * `a` and those of `b` whenever `b` begins with a space and a word, as each generated word does). Ids are hashes: nothing to load.
 */

/** Ids below this are special tokens, never made from text. */
const FIRST_TEXT_ID = 16
const TEXT_IDS = 128_000 - FIRST_TEXT_ID
const MAX_LETTERS = 6
const MAX_DIGITS = 3
const MAX_PUNCTUATION = 3

export const START_TOKEN = 1
export const END_TOKEN = 2
export const IMAGE_TOKEN = 3

type CharClass = 0 | 1 | 2 | 3 | 4
const SPACE = 0
const LETTER = 1
const DIGIT = 2
const PUNCTUATION = 3
/** Scripts without spaces and emoji: one token a character. */
const SINGLE = 4

function classOf (code: number): CharClass {
  if (code <= 32 || code === 0xa0 || code === 0x3000) return SPACE
  if ((code >= 97 && code <= 122) || (code >= 65 && code <= 90)) return LETTER
  if (code >= 48 && code <= 57) return DIGIT
  if (code < 0xc0) return PUNCTUATION
  if (code < 0x2000) return LETTER
  if (code < 0x2e80) return PUNCTUATION
  return SINGLE
}

const LIMITS: readonly number[] = [Infinity, MAX_LETTERS, MAX_DIGITS, MAX_PUNCTUATION, 1]

/** Token ids of a text, appended to `ids`. */
export function tokenize (text: string, ids: number[] = []): number[] {
  const { length } = text
  let at = 0
  while (at < length) {
    const start = at
    let kind = classOf(text.charCodeAt(at))
    if (kind === SPACE) {
      while (at < length && classOf(text.charCodeAt(at)) === SPACE) at++
      if (at === length || text.charCodeAt(at - 1) !== 32) {
        ids.push(idOf(text, start, at))
        continue
      }
      // One space belongs to what follows; what is before it stands alone.
      if (at - 1 > start) ids.push(idOf(text, start, at - 1))
      kind = classOf(text.charCodeAt(at))
      const from = at - 1
      at = endOfPiece(text, at, kind)
      ids.push(idOf(text, from, at))
      continue
    }
    at = endOfPiece(text, at, kind)
    ids.push(idOf(text, start, at))
  }
  return ids
}

function endOfPiece (text: string, from: number, kind: CharClass): number {
  if (kind === SINGLE) {
    const code = text.charCodeAt(from)
    return Math.min(text.length, from + (code >= 0xd800 && code <= 0xdbff ? 2 : 1))
  }
  const limit = Math.min(text.length, from + (LIMITS[kind] as number))
  let at = from + 1
  while (at < limit && classOf(text.charCodeAt(at)) === kind) at++
  return at
}

function idOf (text: string, from: number, to: number): number {
  let hash = 0x811c9dc5
  for (let i = from; i < to; i++) hash = Math.imul(hash ^ text.charCodeAt(i), 0x01000193)
  hash ^= hash >>> 15
  hash = Math.imul(hash, 0x2c1b3c6d)
  hash ^= hash >>> 13
  return FIRST_TEXT_ID + (hash >>> 0) % TEXT_IDS
}
