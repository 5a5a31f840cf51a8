/**
 * What is looked for in one event of a stream, or in a whole JSON answer, written as the shape of the JSON itself, and
 * the walk that finds it in bytes. A shape is made once per process; the walk allocates nothing.
 */
import {
  CLOSE_BRACE, CLOSE_BRACKET, COMMA, MAX_DEPTH, OPEN_BRACE, OPEN_BRACKET, QUOTE,
  equals, skipColon, skipSpace, skipString, skipValue,
} from './json.js'

/** Signs that a walk may find; a set of bits. */
export const TOKEN = 1
export const ERROR = 2
export const FINISH = 4
/** `choices` is there and empty. */
export const NO_CHOICES = 8
/** `usage` is there and an object. */
export const USAGE = 16
/** Anthropic: `type` is `content_block_delta`. */
export const DELTA_EVENT = 32
/** The dialect's last event. */
export const LAST = 64

/** Numbers that a walk may find: indices into its `numbers`. */
export const PROMPT = 0
export const CACHED = 1
export const OUTPUT = 2
export const CACHE_WRITTEN = 3
export const NUMBERS = 4

const IGNORE = 0
const OBJECT = 1
const ARRAY = 2
const TEXT = 3
const FILLED = 4
const PRESENT = 5
const COUNT = 6
const WORDS = 7

export interface Shape {
  readonly kind: number
  readonly names: readonly Uint8Array[]
  readonly children: readonly Shape[]
  readonly sign: number
  /** Sign of an empty array, or slot of a number. */
  readonly other: number
}

const shape = (kind: number, names: readonly Uint8Array[], children: readonly Shape[], sign: number, other: number): Shape =>
  ({ kind, names, children, sign, other })
const IGNORED = shape(IGNORE, [], [], 0, 0)

/** An object; `sign` is set by its being there. */
export const object = (members: Readonly<Record<string, Shape>>, sign = 0): Shape =>
  shape(OBJECT, Object.keys(members).map(name => Buffer.from(name)), Object.values(members), sign, 0)
/** An array whose elements all have one shape; `whenEmpty` is set by its being empty. */
export const each = (element: Shape, whenEmpty = 0): Shape => shape(ARRAY, [], [element], 0, whenEmpty)
/** Sets the sign if it is a string that is not empty. */
export const text = (sign: number): Shape => shape(TEXT, [], [], sign, 0)
/** Sets the sign if it is an array or object that is not empty. */
export const filled = (sign: number): Shape => shape(FILLED, [], [], sign, 0)
/** Sets the sign if it is a string, object or array: neither missing nor null. */
export const present = (sign: number): Shape => shape(PRESENT, [], [], sign, 0)
/** A count of tokens: kept in its slot. */
export const count = (slot: number): Shape => shape(COUNT, [], [], 0, slot)
/** Sets the sign of the word that the string is, or ends in where the word starts with `*`. */
export const words = (signs: Readonly<Record<string, number>>): Shape =>
  shape(WORDS, Object.keys(signs).map(word => Buffer.from(word)), Object.values(signs).map(sign => shape(IGNORE, [], [], sign, 0)), 0, 0)

/** Larger counts are no counts: an engine gone wrong, or one that wants to be. */
const MOST_TOKENS = 1e9
const WILDCARD = 0x2a

/** Walks events, one after the other. */
export class Walk {
  /** Signs found since `reset`. */
  signs = 0
  /** How many times FINISH was found. */
  finishes = 0
  /** How many strings that are not empty were found under `text`, and where the last one's opening quote is. */
  texts = 0
  textAt = -1
  /** Token counts by slot, -1 = not found. */
  readonly numbers: [number, number, number, number] = [-1, -1, -1, -1]

  reset (): void {
    this.signs = 0
    this.finishes = 0
    this.texts = 0
    this.numbers[PROMPT] = -1
    this.numbers[CACHED] = -1
    this.numbers[OUTPUT] = -1
    this.numbers[CACHE_WRITTEN] = -1
  }

  /** Is `[start, end)` one JSON text? If so its signs and numbers are set, else what they are means nothing. */
  read (shape: Shape, b: Uint8Array, start: number, end: number): boolean {
    this.reset()
    const i = this.#value(shape, b, skipSpace(b, start, end), end, 0)
    return i >= 0 && skipSpace(b, i, end) === end
  }

  #value (shape: Shape, b: Uint8Array, i: number, end: number, depth: number): number {
    if (i >= end) return ~end
    const c = b[i]!
    switch (shape.kind) {
      case OBJECT:
        if (c !== OPEN_BRACE) break
        this.signs |= shape.sign
        return this.#object(shape, b, i, end, depth)
      case ARRAY:
        if (c !== OPEN_BRACKET) break
        return this.#array(shape, b, i, end, depth)
      case TEXT:
        if (c === QUOTE && i + 1 < end && b[i + 1] !== QUOTE) {
          this.signs |= shape.sign
          this.texts++
          this.textAt = i
        }
        break
      case FILLED:
        if (c === OPEN_BRACKET || c === OPEN_BRACE) {
          const first = b[skipSpace(b, i + 1, end)]
          if (first !== CLOSE_BRACKET && first !== CLOSE_BRACE) this.signs |= shape.sign
        }
        break
      case PRESENT:
        if (c === QUOTE || c === OPEN_BRACE || c === OPEN_BRACKET) {
          this.signs |= shape.sign
          if (shape.sign === FINISH) this.finishes++
        }
        break
      case COUNT: {
        const after = skipValue(b, i, end, depth)
        if (after > 0) this.#count(shape.other, b, i, after)
        return after
      }
      case WORDS:
        if (c === QUOTE) {
          const after = skipString(b, i, end)
          if (after > 0) this.#words(shape, b, i + 1, after - 1)
          return after
        }
    }
    return skipValue(b, i, end, depth)
  }

  #object (shape: Shape, b: Uint8Array, i: number, end: number, depth: number): number {
    if (depth >= MAX_DEPTH) return ~i
    const names = shape.names
    i = skipSpace(b, i + 1, end)
    if (i < end && b[i] === CLOSE_BRACE) return i + 1
    for (;;) {
      if (i >= end || b[i] !== QUOTE) return ~i
      const close = skipString(b, i, end)
      if (close < 0) return close
      let child = IGNORED
      for (let k = 0; k < names.length; k++) {
        if (equals(b, i + 1, close - 1, names[k]!)) {
          child = shape.children[k]!
          break
        }
      }
      i = skipColon(b, close, end)
      if (i < 0) return i
      i = this.#value(child, b, i, end, depth + 1)
      if (i < 0) return i
      i = skipSpace(b, i, end)
      if (i >= end) return ~end
      if (b[i] === CLOSE_BRACE) return i + 1
      if (b[i] !== COMMA) return ~i
      i = skipSpace(b, i + 1, end)
    }
  }

  #array (shape: Shape, b: Uint8Array, i: number, end: number, depth: number): number {
    if (depth >= MAX_DEPTH) return ~i
    const element = shape.children[0]!
    i = skipSpace(b, i + 1, end)
    if (i < end && b[i] === CLOSE_BRACKET) {
      this.signs |= shape.other
      return i + 1
    }
    for (;;) {
      i = this.#value(element, b, i, end, depth + 1)
      if (i < 0) return i
      i = skipSpace(b, i, end)
      if (i >= end) return ~end
      if (b[i] === CLOSE_BRACKET) return i + 1
      if (b[i] !== COMMA) return ~i
      i = skipSpace(b, i + 1, end)
    }
  }

  #count (slot: number, b: Uint8Array, start: number, end: number): void {
    let value = 0
    for (let i = start; i < end; i++) {
      const digit = b[i]! - 0x30
      if (digit < 0 || digit > 9) return
      value = value * 10 + digit
    }
    if (value <= MOST_TOKENS) this.numbers[slot as 0 | 1 | 2 | 3] = value
  }

  #words (shape: Shape, b: Uint8Array, start: number, end: number): void {
    for (let k = 0; k < shape.names.length; k++) {
      const word = shape.names[k]!
      const found = word[0] === WILDCARD ? endsWith(b, start, end, word) : equals(b, start, end, word)
      if (found) this.signs |= shape.children[k]!.sign
    }
  }
}

/** Does the text end in the word less its leading `*`? */
function endsWith (b: Uint8Array, start: number, end: number, word: Uint8Array): boolean {
  const offset = end - word.length
  if (offset + 1 < start) return false
  for (let k = 1; k < word.length; k++) if (b[offset + k] !== word[k]) return false
  return true
}
