import type { Usage } from '../core/index.js'
import { EVENT_SHAPES } from './dialect-shapes.js'
import { parseEngineError } from './engine-error.js'
import { CACHED, CACHE_WRITTEN, ERROR, LAST, NO_CHOICES, OUTPUT, PROMPT, USAGE, Walk, type Shape } from './event-shape.js'
import { QUOTE, equals, skipString } from './json.js'
import type { Dialect, EngineError, MeterOptions, StreamMeter } from './types.js'

/** A larger event is passed on without being judged, so that an endless one costs bounded memory. */
export const MAX_EVENT_BYTES = 8 * 1024 * 1024
/** Held back at most while an event may yet turn out to be the usage event; those have a few hundred bytes. */
const MAX_HELD_BYTES = 64 * 1024
/** Room kept for unfinished events between chunks; more is given back after use. */
const KEPT_BYTES = 16 * 1024

/** Longest part before or after the text for which an event is remembered. */
const MAX_FRAME_BYTES = 1024

const LF = 0x0a
const CR = 0x0d
const BOM = Buffer.from([0xef, 0xbb, 0xbf])
const SPACE = 0x20
const COLON = 0x3a
const DATA = Buffer.from('data')
const EVENT = Buffer.from('event')
const ERROR_NAME = Buffer.from('error')
const DONE = Buffer.from('[DONE]')
const NOTHING: readonly Buffer[] = []
/** Streams that begin one after another keep their frames in one buffer, which goes with the last of them: one of its own would be three objects each. */
const FRAMES_BYTES = 8 * 1024
const NO_BYTES = Buffer.alloc(0)

/** Of all meters: each event is walked to its end before the next one. */
const walk = new Walk()
let frames = NO_BYTES
let framesUsed = 0

/** Meters one streamed answer (server-sent events); see `StreamMeter`. */
export function createStreamMeter (dialect: Dialect, options: MeterOptions): StreamMeter {
  return new SseMeter(dialect, options)
}

/**
 * Events that lie whole in a chunk, as nearly all do, are judged where they lie. One that a chunk border cuts is copied
 * together first. Lines may end in LF, CR or CRLF.
 */
class SseMeter implements StreamMeter {
  // What each event touches stands first, and together: between two events of a stream those of hundreds of others are in the processor's caches.
  tokenEvents = 0
  events = 0
  readonly #stripUsage: boolean
  /** A stripped event ended in CR at the end of a chunk: an LF that comes next is its last byte. */
  #strippedCr = false
  /** Was the event judged last the usage-only one? */
  #usageOnly = false
  #partLength = 0
  // The token event judged last, less its text: what stands before it (opening quote included) and after it. One that
  // differs in the text alone means the same, and is judged by comparing bytes, without being read again.
  #beforeLength = 0
  #afterLength = 0
  #frame: Buffer = NO_BYTES
  #frameAt = 0
  #frameRoom = 0

  firstEventIsError: boolean | undefined
  error: EngineError | undefined

  readonly #shape: Shape
  readonly #tokenSigns: number
  readonly #addsCacheToPrompt: boolean
  readonly #choices: number
  #done = false
  #finishes = 0
  #prompt = -1
  #cached = -1
  #cacheWritten = -1
  #output = -1
  #begun = false

  // The event that the last chunk cut: its bytes (`#partLength` of them), whether they were held back, and where its lines stand.
  #part: Buffer = NO_BYTES
  #partTooLong = false
  #partHeld = false
  #lineIsEmpty = true
  #afterCr = false
  #bomBytes = 0

  constructor (dialect: Dialect, options: MeterOptions) {
    const { shape, token } = EVENT_SHAPES[dialect]
    this.#shape = shape
    this.#tokenSigns = token
    this.#addsCacheToPrompt = dialect === 'anthropic-messages'
    this.#stripUsage = options.stripUsage
    this.#choices = options.choices ?? 1
  }

  get finished (): boolean {
    return this.#done || this.#finishes >= this.#choices
  }

  get midEvent (): boolean {
    return this.#partLength > 0 && !this.#partHeld
  }

  get usage (): Usage | undefined {
    return usageOf(this.#prompt, this.#cached, this.#output, this.#cacheWritten, this.#addsCacheToPrompt)
  }

  push (bytes: Buffer, from = 0, to = bytes.length): readonly Buffer[] | undefined {
    if (this.#stripUsage) return this.#pushStripping(bytes, from, to)
    let pos = from
    if (this.#partLength > 0) {
      pos = this.#completePart(bytes, from, to)
      if (pos < 0) return undefined
      this.#judgePart()
    }
    while (pos < to) {
      const next = this.#judgeEvent(bytes, pos, to)
      if (next < 0) {
        this.#beginPart(bytes, pos, to)
        return undefined
      }
      pos = next
    }
    return undefined
  }

  flush (): Buffer | undefined {
    if (this.#partLength === 0) return undefined
    const held = this.#partHeld ? Buffer.from(this.#part.subarray(0, this.#partLength)) : undefined
    let strip = false
    if (!this.#partTooLong) {
      // Clients differ on whether a last event without its empty line counts; as it cannot be completed any more, it does.
      this.#append(END_OF_EVENT, 0, END_OF_EVENT.length)
      this.#judgePart()
      strip = this.#usageOnly
    }
    this.#dropPart()
    return strip ? undefined : held
  }

  #pushStripping (bytes: Buffer, start: number, to: number): readonly Buffer[] | undefined {
    let pieces: Buffer[] | undefined
    let pos = start
    // Start of what of these bytes is not yet in `pieces`.
    let from = start
    if (this.#strippedCr && to > start) {
      this.#strippedCr = false
      if (bytes[start] === LF) {
        pieces = []
        pos = from = start + 1
      }
    }
    if (this.#partLength > 0) {
      const heldLength = this.#partLength
      pos = this.#completePart(bytes, start, to)
      if (pos < 0) {
        if (!this.#partHeld) return undefined
        if (this.#partLength <= MAX_HELD_BYTES) return NOTHING
        this.#partHeld = false
        return [Buffer.from(this.#part.subarray(0, this.#partLength))]
      }
      const held = this.#partHeld ? Buffer.from(this.#part.subarray(0, heldLength)) : undefined
      this.#judgePart()
      if (held !== undefined) {
        pieces = this.#usageOnly ? [] : [held, bytes.subarray(start, pos)]
        from = pos
        if (this.#usageOnly) this.#strippedCr = pos === to && bytes[pos - 1] === CR
      }
    }
    while (pos < to) {
      const next = this.#judgeEvent(bytes, pos, to)
      if (next < 0) break
      if (this.#usageOnly) {
        pieces ??= []
        if (pos > from) pieces.push(bytes.subarray(from, pos))
        from = next
        this.#strippedCr = next === to && bytes[next - 1] === CR
      }
      pos = next
    }
    if (pos === to && pieces === undefined) return undefined
    pieces ??= []
    if (pos > from) pieces.push(bytes.subarray(from, pos))
    if (pos < to) {
      this.#beginPart(bytes, pos, to)
      this.#partHeld = true
    }
    return pieces
  }

  /** Judges the event at `pos`; returns the position after its empty line, or -1 and has no effect if it is unfinished. */
  #judgeEvent (b: Buffer, pos: number, end: number): number {
    this.#usageOnly = false
    const repeated = this.#judgeRepeated(b, pos, end)
    if (repeated > 0) return repeated
    let p = pos
    if (!this.#begun && b[p] === 0xef) {
      if (end - p < 3) return -1
      if (b[p + 1] === 0xbb && b[p + 2] === 0xbf) p += 3
    }
    let dataLines = 0
    let dataStart = 0
    let dataEnd = 0
    let namedError = false
    for (;;) {
      const lineEnd = findLineEnd(b, p, end)
      if (lineEnd < 0) return -1
      const next = b[lineEnd] === CR && b[lineEnd + 1] === LF && lineEnd + 1 < end ? lineEnd + 2 : lineEnd + 1
      if (lineEnd === p) {
        this.#begun = true
        if (dataLines === 1) {
          if (this.#judgeData(b, dataStart, dataEnd, namedError)) this.#remember(b, pos, next)
        } else if (dataLines > 1) {
          const joined = joinData(b, pos, next)
          this.#judgeData(joined, 0, joined.length, namedError)
        }
        return next
      }
      if (isField(b, p, lineEnd, DATA)) {
        dataLines++
        dataStart = valueStart(b, p + 4, lineEnd)
        dataEnd = lineEnd
      } else if (isField(b, p, lineEnd, EVENT)) {
        namedError = equals(b, valueStart(b, p + 5, lineEnd), lineEnd, ERROR_NAME)
      }
      p = next
    }
  }

  /** Is the event at `pos` the last token event with another text? Then counts it and returns the position after it. */
  #judgeRepeated (b: Buffer, pos: number, end: number): number {
    const beforeLength = this.#beforeLength
    const afterLength = this.#afterLength
    if (beforeLength === 0 || end - pos <= beforeLength + afterLength) return -1
    const frame = this.#frame
    const before = this.#frameAt
    for (let k = 0; k < beforeLength; k++) if (b[pos + k] !== frame[before + k]) return -1
    const quote = pos + beforeLength - 1
    if (b[quote + 1] === QUOTE) return -1
    const close = skipString(b, quote, end)
    if (close < 0 || end - close < afterLength) return -1
    const after = before + beforeLength
    for (let k = 0; k < afterLength; k++) if (b[close + k] !== frame[after + k]) return -1
    this.events++
    this.tokenEvents++
    return close + afterLength
  }

  #remember (b: Buffer, pos: number, next: number): void {
    const quote = walk.textAt
    const close = skipString(b, quote, next)
    const beforeLength = quote + 1 - pos
    const afterLength = next - close
    this.#beforeLength = 0
    if (beforeLength > MAX_FRAME_BYTES || afterLength > MAX_FRAME_BYTES) return
    if (this.#frameRoom < beforeLength + afterLength) this.#makeRoom(beforeLength + afterLength + 64)
    b.copy(this.#frame, this.#frameAt, pos, quote + 1)
    b.copy(this.#frame, this.#frameAt + beforeLength, close, next)
    this.#beforeLength = beforeLength
    this.#afterLength = afterLength
  }

  #makeRoom (bytes: number): void {
    if (framesUsed + bytes > frames.length) {
      frames = Buffer.allocUnsafeSlow(FRAMES_BYTES)
      framesUsed = 0
    }
    this.#frame = frames
    this.#frameAt = framesUsed
    this.#frameRoom = bytes
    framesUsed += bytes
  }

  /** Returns whether it was a token event with one text and nothing else to it. */
  #judgeData (b: Buffer, start: number, end: number, namedError: boolean): boolean {
    this.events++
    if (equals(b, start, end, DONE)) {
      this.#done = true
      this.firstEventIsError ??= false
      return false
    }
    const valid = walk.read(this.#shape, b, start, end)
    const signs = valid ? walk.signs : 0
    const isError = namedError || (signs & ERROR) !== 0
    this.firstEventIsError ??= isError
    if (isError) this.error ??= parseEngineError(undefined, undefined, b.subarray(start, end))
    if (!valid) return false
    if (!isError) {
      if ((signs & this.#tokenSigns) === this.#tokenSigns) this.tokenEvents++
      this.#usageOnly = (signs & (NO_CHOICES | USAGE)) === (NO_CHOICES | USAGE)
    }
    if ((signs & LAST) !== 0) this.#done = true
    this.#finishes += walk.finishes
    if ((signs & USAGE) !== 0) {
      const numbers = walk.numbers
      if (numbers[PROMPT] >= 0) this.#prompt = numbers[PROMPT]
      if (numbers[CACHED] >= 0) this.#cached = numbers[CACHED]
      if (numbers[OUTPUT] >= 0) this.#output = numbers[OUTPUT]
      if (numbers[CACHE_WRITTEN] >= 0) this.#cacheWritten = numbers[CACHE_WRITTEN]
    }
    return !isError && signs === this.#tokenSigns && walk.texts === 1
  }

  #beginPart (bytes: Buffer, from: number, to: number): void {
    this.#partHeld = false
    this.#findEventEnd(bytes, from, to)
    this.#append(bytes, from, to)
  }

  /** Adds bytes to the unfinished event; returns the position after its end, or -1 if it goes on. */
  #completePart (bytes: Buffer, from: number, to: number): number {
    const end = this.#findEventEnd(bytes, from, to)
    this.#append(bytes, from, end < 0 ? to : end)
    return end
  }

  #judgePart (): void {
    if (this.#partTooLong) {
      this.#usageOnly = false
      this.#begun = true
      this.events++
      this.firstEventIsError ??= false
    } else this.#judgeEvent(this.#part.subarray(0, this.#partLength), 0, this.#partLength)
    this.#dropPart()
  }

  #dropPart (): void {
    if (this.#part.length > KEPT_BYTES) this.#part = NO_BYTES
    this.#partLength = 0
    this.#partTooLong = false
    this.#lineIsEmpty = true
    this.#afterCr = false
  }

  #append (chunk: Buffer, start: number, end: number): void {
    const length = this.#partLength + end - start
    if (this.#partTooLong || length > MAX_EVENT_BYTES) {
      this.#partTooLong = true
      this.#part = NO_BYTES
      this.#partLength = length
      return
    }
    if (length > this.#part.length) {
      const grown = Buffer.allocUnsafeSlow(Math.max(1024, length, Math.min(2 * this.#part.length, MAX_EVENT_BYTES)))
      this.#part.copy(grown, 0, 0, this.#partLength)
      this.#part = grown
    }
    chunk.copy(this.#part, this.#partLength, start, end)
    this.#partLength = length
  }

  /** Looks for the empty line, line state carried over chunk borders; returns the position after it or -1. */
  #findEventEnd (bytes: Buffer, from: number, to: number): number {
    for (let i = from; i < to; i++) {
      const c = bytes[i]!
      if (c !== LF && c !== CR) {
        // A byte order mark at the start of the stream is no part of its first line.
        if (!this.#begun && this.#bomBytes < 3 && this.#partLength + i - from === this.#bomBytes && c === BOM[this.#bomBytes]) this.#bomBytes++
        this.#lineIsEmpty = !this.#begun && this.#bomBytes === 3 && this.#partLength + i - from === 2
        this.#afterCr = false
        continue
      }
      if (c === LF && this.#afterCr) {
        this.#afterCr = false
        continue
      }
      if (this.#lineIsEmpty) return c === CR && i + 1 < to && bytes[i + 1] === LF ? i + 2 : i + 1
      this.#lineIsEmpty = true
      this.#afterCr = c === CR
    }
    return -1
  }
}

const END_OF_EVENT = Buffer.from('\n\n')

/** Usage out of counts, -1 = unknown. Anthropic's `input_tokens` leaves out what came from or went into the cache. */
export function usageOf (prompt: number, cached: number, output: number, cacheWritten: number, addsCacheToPrompt: boolean): Usage | undefined {
  if (prompt < 0 && cached < 0 && output < 0) return undefined
  // One by one: of objects spread into one literal, V8 comes to make a hidden class for each answer, and those get old.
  const usage: { -readonly [Count in keyof Usage]: Usage[Count] } = {}
  if (prompt >= 0) usage.promptTokens = addsCacheToPrompt ? prompt + Math.max(0, cached) + Math.max(0, cacheWritten) : prompt
  if (cached >= 0) usage.cachedTokens = cached
  if (output >= 0) usage.outputTokens = output
  return usage
}

function findLineEnd (b: Buffer, from: number, end: number): number {
  for (let i = from; i < end; i++) {
    const c = b[i]!
    if (c === LF || c === CR) return i
  }
  return -1
}

/** Is the line of this field? A line without a colon is a field with an empty value. */
function isField (b: Uint8Array, start: number, lineEnd: number, name: Uint8Array): boolean {
  const after = start + name.length
  return after <= lineEnd && (after === lineEnd || b[after] === COLON) && equals(b, start, after, name)
}

/** `i` is after the field's name; one space after the colon is no part of the value. */
function valueStart (b: Uint8Array, i: number, lineEnd: number): number {
  if (i >= lineEnd) return lineEnd
  return i + 1 < lineEnd && b[i + 1] === SPACE ? i + 2 : i + 1
}

/** The data lines of one event, joined with LF as the standard says. */
function joinData (b: Buffer, pos: number, end: number): Buffer {
  const pieces: Buffer[] = []
  let p = b[pos] === 0xef && b[pos + 1] === 0xbb && b[pos + 2] === 0xbf ? pos + 3 : pos
  for (;;) {
    const lineEnd = findLineEnd(b, p, end)
    if (lineEnd < 0 || lineEnd === p) return Buffer.concat(pieces)
    if (isField(b, p, lineEnd, DATA)) {
      if (pieces.length > 0) pieces.push(NEWLINE)
      pieces.push(b.subarray(valueStart(b, p + 4, lineEnd), lineEnd))
    }
    p = b[lineEnd] === CR && b[lineEnd + 1] === LF ? lineEnd + 2 : lineEnd + 1
  }
}

const NEWLINE = Buffer.from('\n')
