import { isUtf8 } from 'node:buffer'
import { PromptShapeCounter } from '../core/index.js'
import type { Bytes, Tokens } from '../core/index.js'
import { dialectOfGenerate, type Endpoint } from './dialects.js'
import {
  BACKSLASH, CLOSE_BRACE, CLOSE_BRACKET, COMMA, LETTER_F, LETTER_N, LETTER_T, MAX_DEPTH, OPEN_BRACE, OPEN_BRACKET, QUOTE,
  decodeString, equals, skipColon, skipEscape, skipNumber, skipPlain, skipSpace, skipString, skipValue,
} from './json.js'
import { PREFIX_BLOCK_BYTES, MAX_PREFIX_BLOCKS, hashRange, prefixHashes } from './prefix-hash.js'
import type { Dialect, RequestFields } from './types.js'

/** Why a body is refused; always status 400 and code `invalid_request`. */
export interface RequestProblem {
  readonly message: string
  /** Name of the member at fault, as in `param` of the OpenAI error. */
  readonly param: string | undefined
}

export type FieldsResult =
  | { readonly ok: true, readonly fields: RequestFields, /** The body as one buffer: what the splices work on. */ readonly body: Buffer }
  | { readonly ok: false, readonly problem: RequestProblem }

/** Most members at the top level; engines know fewer than a hundred. */
const MAX_MEMBERS = 512
const MAX_SESSION_KEY_BYTES = 256
const MAX_MODEL_BYTES = 1024
/** Positions of prompt text that are kept until it is measured. */
const MAX_TEXTS = 2048
const MAX_SPAN_BYTES = PREFIX_BLOCK_BYTES * MAX_PREFIX_BLOCKS

/** What is done with a member of the body. */
type Reading =
  | 'model' | 'stream' | 'cap' | 'preferred-cap' | 'n' | 'best-of' | 'stream-options'
  | 'tools' | 'system' | 'messages' | 'prompt' | 'session' | 'metadata' | 'salt'
  | 'structured' | 'response-format' | 'text-format' | 'sampling'

type Readings = ReadonlyMap<string, Reading>

const COMMON: ReadonlyArray<readonly [string, Reading]> = [
  ['model', 'model'], ['stream', 'stream'], ['cache_salt', 'salt'],
  ['session_id', 'session'], ['prompt_cache_key', 'session'], ['user', 'session'],
]
const STRUCTURED: ReadonlyArray<readonly [string, Reading]> = [
  ['response_format', 'response-format'], ['structured_outputs', 'structured'], ['guided_json', 'structured'], ['guided_regex', 'structured'],
  ['guided_choice', 'structured'], ['guided_grammar', 'structured'], ['json_schema', 'structured'], ['regex', 'structured'],
  ['ebnf', 'structured'], ['grammar', 'structured'],
]
const OPENAI: ReadonlyArray<readonly [string, Reading]> = [
  ...COMMON, ...STRUCTURED, ['stream_options', 'stream-options'], ['max_tokens', 'cap'], ['n', 'n'], ['metadata', 'metadata'],
]
const GENERATE: Readings = new Map([
  ...COMMON, ['inputs', 'prompt'], ['text', 'prompt'], ['input_ids', 'prompt'], ['parameters', 'sampling'], ['sampling_params', 'sampling'],
])

const READINGS: Readonly<Record<Dialect, Readings>> = {
  'openai-chat': new Map([...OPENAI, ['max_completion_tokens', 'preferred-cap'], ['messages', 'messages'], ['tools', 'tools'], ['functions', 'tools']]),
  'openai-completions': new Map([...OPENAI, ['prompt', 'prompt'], ['best_of', 'best-of']]),
  'openai-responses': new Map([
    ...COMMON, ['max_output_tokens', 'cap'], ['input', 'messages'], ['instructions', 'system'], ['tools', 'tools'], ['text', 'text-format'], ['metadata', 'metadata'],
  ]),
  'anthropic-messages': new Map([
    ...COMMON, ['max_tokens', 'cap'], ['messages', 'messages'], ['system', 'system'], ['tools', 'tools'], ['metadata', 'metadata'],
  ]),
  'tgi-generate': GENERATE,
  'sglang-generate': GENERATE,
  scored: new Map([
    ...COMMON, ['input', 'prompt'], ['inputs', 'prompt'], ['query', 'messages'], ['documents', 'messages'], ['text', 'messages'], ['texts', 'messages'],
    ['text_1', 'messages'], ['text_2', 'messages'], ['queries', 'messages'], ['items', 'messages'], ['messages', 'messages'],
  ]),
}

/** Names that requests are full of, by their length in bytes: comparing bytes is cheaper than making a string of them. */
const COMMON_NAMES: { readonly name: string, readonly bytes: Buffer }[][] = []
for (const name of new Set([...Object.values(READINGS).flatMap(readings => [...readings.keys()]), 'temperature', 'top_p', 'include_usage', 'type'])) {
  (COMMON_NAMES[name.length] ??= []).push({ name, bytes: Buffer.from(name) })
}

/** The name that stands, quoted, in `[start, end)`. */
function nameOf (b: Buffer, start: number, end: number): string {
  for (const { name, bytes } of COMMON_NAMES[end - start - 2] ?? []) if (equals(b, start + 1, end - 1, bytes)) return name
  return decodeString(b, start, end)
}

/** Sources of the session key, strongest first. */
const SESSION_RANK: ReadonlyMap<string, number> = new Map([['session_id', 0], ['prompt_cache_key', 1], ['user', 3]])
const METADATA_RANK = 2

// Strings of messages that a model never sees as text.
const NOT_TEXT = ['role', 'type', 'id', 'tool_call_id', 'tool_use_id', 'call_id', 'status', 'url', 'image_url', 'data', 'file_data', 'file_id', 'media_type', 'format', 'detail']
  .map(name => Buffer.from(name))
const MEDIA = ['image_url', 'input_audio', 'audio_url', 'video_url', 'source', 'file'].map(name => Buffer.from(name))
const INCLUDE_USAGE = 'include_usage'

class Refusal extends Error {
  constructor (message: string, readonly param: string | undefined) {
    super(message)
  }
}

/** Upper and lower case and their Unicode look-alikes (long s, Kelvin sign), as parsers fold them that ignore case. */
const fold = (name: string): string => name.toUpperCase().toLowerCase()

/**
 * Reads what the gateway needs out of a request body, in one pass over its bytes: checks that it is valid JSON in
 * UTF-8, finds the fields, measures and hashes the prompt, decodes none of it. Members that it reads may appear once and
 * in their own spelling only, so that no parser behind the gateway can see another request than the one judged here.
 */
export function readRequestFields (endpoint: Endpoint, body: Buffer | readonly Buffer[]): FieldsResult {
  const whole = Buffer.isBuffer(body) ? body : body.length === 1 ? body[0]! : Buffer.concat(body)
  try {
    return { ok: true, fields: new BodyReader(whole, endpoint).read(), body: whole }
  } catch (error) {
    if (error instanceof Refusal) return { ok: false, problem: { message: error.message, param: error.param } }
    throw error
  }
}

class BodyReader {
  readonly #b: Buffer
  readonly #end: number
  readonly #endpoint: Endpoint
  readonly #readings: Readings

  #model: string | undefined
  #stream = false
  #cap: Tokens | undefined
  #preferredCap: Tokens | undefined
  #n: number | undefined
  #bestOf: number | undefined
  #includeUsage = false
  #hasTools = false
  #structured = false
  #sessionKey: string | undefined
  #sessionRank = Infinity
  #promptCount = 1
  #promptBytes: Bytes = 0
  readonly #shape = new PromptShapeCounter()
  /** Where prompt text stands, start and end in turn. */
  readonly #texts: number[] = []
  #tokenIds: Tokens = 0
  #mediaParts = 0
  /** Prompts of different models or cache salts share no cache: their hashes differ from the first block on. */
  #seed = 0
  // Byte ranges of prompt text, in the order that templates put them: tools, system, messages.
  readonly #spans: readonly [number[], number[], number[]] = [[], [], []]
  #spanBytes = 0

  constructor (b: Buffer, endpoint: Endpoint) {
    this.#b = b
    this.#end = b.length
    this.#endpoint = endpoint
    this.#readings = endpoint.dialect === undefined ? GENERATE : READINGS[endpoint.dialect]
  }

  read (): RequestFields {
    const b = this.#b
    if (b.length >= 3 && b[0] === 0xef && b[1] === 0xbb && b[2] === 0xbf) {
      throw new Refusal('The request body starts with a byte order mark; send JSON in plain UTF-8.', undefined)
    }
    if (!isUtf8(b)) throw new Refusal('The request body is not valid UTF-8.', undefined)
    const names: string[] = []
    const valueSpans: number[] = []
    const start = skipSpace(b, 0, this.#end)
    if (start === this.#end) throw new Refusal('The request body is empty; a JSON object was expected.', undefined)
    if (b[start] !== OPEN_BRACE) {
      this.#pass(skipValue(b, start, this.#end, 0))
      throw new Refusal(`The request body must be a JSON object; got ${this.#describe(start)}.`, undefined)
    }
    const after = this.#members(start, '', (name, at) => {
      if (names.length === MAX_MEMBERS) throw new Refusal(`The request body has more than ${MAX_MEMBERS} members at its top level.`, undefined)
      const end = this.#member(name, at)
      names.push(name)
      valueSpans.push(at, end)
      return end
    })
    const rest = skipSpace(b, after, this.#end)
    if (rest < this.#end) throw this.#syntax(rest)
    return this.#result(names, valueSpans, after - 1)
  }

  #result (memberNames: readonly string[], memberSpans: readonly number[], closingBrace: number): RequestFields {
    const dialect = this.#endpoint.dialect ?? dialectOfGenerate(memberNames)
    const n = this.#n ?? 1
    const cap = this.#preferredCap ?? this.#cap
    const [tools, system, messages] = this.#spans
    this.#measureTexts()
    return {
      dialect,
      model: this.#model,
      stream: this.#endpoint.alwaysStreams || (this.#stream && !(this.#endpoint.neverStreams || (this.#endpoint.dialect === undefined && dialect === 'tgi-generate'))),
      promptBytes: this.#promptBytes,
      promptShape: { asciiUnits: this.#shape.asciiUnits, wideUnits: this.#shape.wideUnits },
      promptTokens: this.#tokenIds > 0 && this.#promptBytes === 0 ? this.#tokenIds : undefined,
      mediaParts: this.#mediaParts,
      maxOutputTokens: cap === undefined ? undefined : Math.min(cap * Math.max(n, this.#bestOf ?? 1) * this.#promptCount, Number.MAX_SAFE_INTEGER),
      n,
      bestOf: this.#bestOf,
      promptCount: this.#promptCount,
      includeUsage: this.#includeUsage,
      hasTools: this.#hasTools,
      hasStructuredOutput: this.#structured,
      sessionKey: this.#sessionKey,
      prefixHashes: prefixHashes(this.#b, tools.length + system.length === 0 ? messages : [...tools, ...system, ...messages], this.#seed),
      prefixBlockBytes: PREFIX_BLOCK_BYTES,
      memberNames,
      memberSpans,
      closingBrace,
    }
  }

  /** Not string by string as they are read: of the two loops in one another the engine makes code that takes twice as long. */
  #measureTexts (): void {
    const texts = this.#texts
    for (let k = 0; k < texts.length; k += 2) this.#shape.add(this.#b, texts[k]!, texts[k + 1]!)
    texts.length = 0
  }

  /** Reads one member's value at `i`; returns the position after it. */
  #member (name: string, i: number): number {
    const reading = this.#readings.get(name)
    if (reading === undefined) {
      const folded = fold(name)
      if (folded !== name && this.#readings.has(folded)) {
        throw new Refusal(`Unknown member ${JSON.stringify(clip(name))}: it differs from "${folded}" only in letter case.`, folded)
      }
      return this.#skip(i, 1)
    }
    switch (reading) {
      case 'model': {
        const end = this.#skip(i, 1)
        if (!this.#isNull(i)) this.#model = this.#string(i, end, name, MAX_MODEL_BYTES)
        this.#seed ^= hashRange(this.#b, i, end, 1)
        return end
      }
      case 'salt': {
        const end = this.#skip(i, 1)
        this.#seed ^= hashRange(this.#b, i, end, 2)
        return end
      }
      case 'stream': this.#stream = this.#boolean(i, name); return this.#skip(i, 1)
      case 'cap': this.#cap = this.#integer(i, name, 0); return this.#skip(i, 1)
      case 'preferred-cap': this.#preferredCap = this.#integer(i, name, 0); return this.#skip(i, 1)
      case 'n': this.#n = this.#integer(i, name, 1); return this.#skip(i, 1)
      case 'best-of': this.#bestOf = this.#integer(i, name, 1); return this.#skip(i, 1)
      case 'stream-options': return this.#streamOptions(i)
      case 'tools': return this.#tools(i, name)
      case 'system': return this.#content(i, 1, 1)
      case 'messages': return this.#content(i, 1, 2)
      case 'prompt': return this.#prompt(i)
      case 'session': return this.#session(i, SESSION_RANK.get(name)!)
      case 'metadata': return this.#metadata(i)
      case 'structured': {
        if (!this.#isNull(i)) this.#structured = true
        return this.#skip(i, 1)
      }
      case 'response-format': return this.#format(i, 1)
      case 'text-format':
        if (this.#b[i] !== OPEN_BRACE) return this.#skip(i, 1)
        return this.#members(i, `${name}.`, (key, at) => key === 'format' ? this.#format(at, 2) : this.#skip(at, 2))
      case 'sampling': return this.#sampling(i, name)
    }
  }

  /** Walks an object that is read: no name twice. `visit` gets each decoded name and its value's position, returns the position after. */
  #members (i: number, prefix: string, visit: (name: string, at: number) => number): number {
    const b = this.#b
    const end = this.#end
    const seen = new Set<string>()
    i = skipSpace(b, i + 1, end)
    if (i < end && b[i] === CLOSE_BRACE) return i + 1
    for (;;) {
      if (i >= end || b[i] !== QUOTE) throw this.#syntax(i)
      const close = this.#pass(skipString(b, i, end))
      const name = nameOf(b, i, close)
      if (seen.has(name)) {
        throw new Refusal(`Member ${JSON.stringify(clip(prefix + name))} is given twice; parsers differ in which one counts. Give it once.`, clip(prefix + name))
      }
      seen.add(name)
      i = visit(name, this.#pass(skipColon(b, close, end)))
      i = skipSpace(b, i, end)
      if (i >= end) throw this.#syntax(end)
      if (b[i] === CLOSE_BRACE) return i + 1
      if (b[i] !== COMMA) throw this.#syntax(i)
      i = skipSpace(b, i + 1, end)
    }
  }

  #streamOptions (i: number): number {
    if (this.#isNull(i)) return this.#skip(i, 1)
    if (this.#b[i] !== OPEN_BRACE) throw this.#wrong('stream_options', 'an object', i)
    return this.#members(i, 'stream_options.', (name, at) => {
      if (name === INCLUDE_USAGE) this.#includeUsage = this.#boolean(at, 'stream_options.include_usage')
      return this.#skip(at, 2)
    })
  }

  /** TGI `parameters`, SGLang `sampling_params` (one object, or a list of them for a list of prompts). */
  #sampling (i: number, owner: string, depth = 1): number {
    // The largest of a list stands for all of it.
    if (this.#b[i] === OPEN_BRACKET && depth === 1 && owner === 'sampling_params') return this.#elements(i, depth, at => this.#sampling(at, owner, 2))
    if (this.#b[i] !== OPEN_BRACE) {
      if (this.#isNull(i) || this.#b[i] === OPEN_BRACKET || depth > 1) return this.#skip(i, depth)
      throw this.#wrong(owner, 'an object', i)
    }
    return this.#members(i, `${owner}.`, (name, at) => {
      const path = `${owner}.${name}`
      switch (name) {
        case 'max_new_tokens': this.#cap = larger(this.#cap, this.#integer(at, path, 0)); break
        case 'n': this.#n = larger(this.#n, this.#integer(at, path, 1)); break
        case 'best_of': this.#bestOf = larger(this.#bestOf, this.#integer(at, path, 1)); break
        case 'grammar': case 'json_schema': case 'regex': case 'ebnf': case 'structural_tag':
          if (!this.#isNull(at)) this.#structured = true
      }
      return this.#skip(at, depth + 1)
    })
  }

  #tools (i: number, name: string): number {
    const b = this.#b
    if (this.#isNull(i)) return this.#skip(i, 1)
    if (b[i] !== OPEN_BRACKET) throw this.#wrong(name, 'an array', i)
    const end = this.#skip(i, 1)
    if (b[skipSpace(b, i + 1, end)] !== CLOSE_BRACKET) {
      this.#hasTools = true
      this.#promptBytes += end - i
      this.#shape.add(b, i, end)
      this.#addSpan(0, i, end)
    }
    return end
  }

  #format (i: number, depth: number): number {
    if (this.#b[i] !== OPEN_BRACE) return this.#skip(i, depth)
    return this.#members(i, 'response_format.', (name, at) => {
      const end = this.#skip(at, depth + 1)
      if (name === 'type' && this.#b.toString('latin1', at, end) !== '"text"') this.#structured = true
      return end
    })
  }

  #metadata (i: number): number {
    if (this.#b[i] !== OPEN_BRACE) return this.#skip(i, 1)
    return this.#members(i, 'metadata.', (name, at) =>
      name === 'user_id' || name === 'session_id' ? this.#session(at, METADATA_RANK, 2) : this.#skip(at, 2))
  }

  #session (i: number, rank: number, depth = 1): number {
    const end = this.#skip(i, depth)
    if (this.#b[i] === QUOTE && end - i > 2 && rank < this.#sessionRank) {
      // A longer key is known by its hash: cutting it could make two sessions one, or split a character.
      this.#sessionKey = end - i - 2 <= MAX_SESSION_KEY_BYTES
        ? decodeString(this.#b, i, end)
        : `hash:${hashRange(this.#b, i, end, 0)}:${hashRange(this.#b, i, end, 1)}`
      this.#sessionRank = rank
    }
    return end
  }

  /** A string, or token ids, or a list of either, or mixed (llama.cpp). */
  #prompt (i: number): number {
    if (this.#b[i] !== OPEN_BRACKET) return this.#content(i, 1, 2)
    let elements = 0
    let flat = false
    const end = this.#elements(i, 1, at => {
      elements++
      const c = this.#b[at]!
      if (c === OPEN_BRACKET) return this.#elements(at, 2, inner => this.#promptItem(inner, 3))
      if (c !== QUOTE && c !== OPEN_BRACE) flat = true
      return this.#promptItem(at, 2)
    })
    this.#promptCount = flat ? 1 : Math.max(1, elements)
    return end
  }

  #promptItem (i: number, depth: number): number {
    const c = this.#b[i]!
    if (c === QUOTE || c === OPEN_BRACE || c === OPEN_BRACKET) return this.#content(i, depth, 2)
    const end = this.#skip(i, depth)
    if (c !== LETTER_N && c !== LETTER_T && c !== LETTER_F) this.#tokenIds++
    this.#addSpan(2, i, end)
    return end
  }

  #elements (i: number, depth: number, visit: (at: number) => number): number {
    const b = this.#b
    const end = this.#end
    if (depth >= MAX_DEPTH) throw this.#syntax(i)
    i = skipSpace(b, i + 1, end)
    if (i < end && b[i] === CLOSE_BRACKET) return i + 1
    for (;;) {
      if (i >= end) throw this.#syntax(end)
      i = skipSpace(b, visit(i), end)
      if (i >= end) throw this.#syntax(end)
      if (b[i] === CLOSE_BRACKET) return i + 1
      if (b[i] !== COMMA) throw this.#syntax(i)
      i = skipSpace(b, i + 1, end)
    }
  }

  /** Any value that holds prompt text: strings count and are hashed, names of objects are hashed. */
  #content (i: number, depth: number, section: 0 | 1 | 2): number {
    const b = this.#b
    const end = this.#end
    if (i >= end) throw this.#syntax(end)
    const c = b[i]!
    if (c === QUOTE) {
      const after = this.#text(i, true)
      this.#addSpan(section, i, after)
      return after
    }
    if (c === OPEN_BRACKET) return this.#elements(i, depth, at => this.#content(at, depth + 1, section))
    if (c !== OPEN_BRACE) {
      const after = this.#skip(i, depth)
      this.#addSpan(section, i, after)
      return after
    }
    if (depth >= MAX_DEPTH) throw this.#syntax(i)
    i = skipSpace(b, i + 1, end)
    if (i < end && b[i] === CLOSE_BRACE) return i + 1
    for (;;) {
      if (i >= end || b[i] !== QUOTE) throw this.#syntax(i)
      const close = this.#pass(skipString(b, i, end))
      this.#addSpan(section, i, close)
      const value = this.#pass(skipColon(b, close, end))
      if (value >= end) throw this.#syntax(end)
      if (isOneOf(b, i + 1, close - 1, MEDIA) && (b[value] === OPEN_BRACE || b[value] === QUOTE)) this.#mediaParts++
      if (b[value] === QUOTE && isOneOf(b, i + 1, close - 1, NOT_TEXT)) {
        i = this.#text(value, false)
        this.#addSpan(section, value, i)
      } else i = this.#content(value, depth + 1, section)
      i = skipSpace(b, i, end)
      if (i >= end) throw this.#syntax(end)
      if (b[i] === CLOSE_BRACE) return i + 1
      if (b[i] !== COMMA) throw this.#syntax(i)
      i = skipSpace(b, i + 1, end)
    }
  }

  /** Steps over a string and counts the bytes that it stands for: an escape is shorter than its spelling. */
  #text (i: number, counts: boolean): number {
    const b = this.#b
    const end = this.#end
    const start = ++i
    let saved = 0
    for (i = skipPlain(b, i, end); i < end; i = skipPlain(b, i, end)) {
      const c = b[i]!
      if (c === QUOTE) {
        if (counts) {
          this.#promptBytes += i - start - saved
          if (this.#texts.push(start, i) >= MAX_TEXTS) this.#measureTexts()
        }
        return i + 1
      }
      if (c !== BACKSLASH) throw this.#syntax(i)
      const after = this.#pass(skipEscape(b, i, end))
      saved += after - i === 2 ? 1 : 6 - utf8Length(b, i + 2)
      i = after
    }
    throw this.#syntax(end)
  }

  #addSpan (section: 0 | 1 | 2, start: number, end: number): void {
    if (this.#spanBytes >= MAX_SPAN_BYTES) return
    this.#spans[section].push(start, end)
    // Tools and system come first in the hashed text but may come last in the body: only messages fill the budget.
    if (section === 2) this.#spanBytes += end - start + 1
  }

  #isNull (i: number): boolean {
    return this.#b[i] === LETTER_N
  }

  #boolean (i: number, name: string): boolean {
    switch (this.#b[i]) {
      case LETTER_T: return true
      case LETTER_F: case LETTER_N: return false
      default: throw this.#wrong(name, 'true or false', i)
    }
  }

  #integer (i: number, name: string, least: number): number | undefined {
    if (this.#isNull(i)) return undefined
    const expected = `an integer of at least ${least}`
    const c = this.#b[i]
    if (c === QUOTE || c === OPEN_BRACE || c === OPEN_BRACKET || c === LETTER_T || c === LETTER_F) throw this.#wrong(name, expected, i)
    const value = Number(this.#b.toString('latin1', i, this.#pass(skipNumber(this.#b, i, this.#end))))
    if (!Number.isSafeInteger(value) || value < least) throw this.#wrong(name, expected, i)
    return value
  }

  #string (i: number, end: number, name: string, mostBytes: Bytes): string {
    if (this.#b[i] !== QUOTE) throw this.#wrong(name, 'a string', i)
    if (end - i - 2 > mostBytes) throw new Refusal(`"${name}" must be at most ${mostBytes} bytes long; got ${end - i - 2}.`, name)
    return decodeString(this.#b, i, end)
  }

  #skip (i: number, depth: number): number {
    return this.#pass(skipValue(this.#b, i, this.#end, depth))
  }

  #pass (position: number): number {
    if (position < 0) throw this.#syntax(~position)
    return position
  }

  #wrong (name: string, expected: string, i: number): Refusal {
    return new Refusal(`"${clip(name)}" must be ${expected}; got ${this.#describe(i)}.`, clip(name))
  }

  /** A value in a few words: scalars as they stand. */
  #describe (i: number): string {
    const b = this.#b
    switch (b[i]) {
      case OPEN_BRACE: return 'an object'
      case OPEN_BRACKET: return 'an array'
      case QUOTE: {
        const end = this.#pass(skipString(b, i, this.#end))
        return end - i <= 40 ? `the string ${b.toString('utf8', i, end)}` : `a string of ${end - i - 2} bytes`
      }
      default: return clip(b.toString('utf8', i, this.#pass(skipValue(b, i, this.#end, 0))))
    }
  }

  /** What is wrong at a position, worked out only now that it is. */
  #syntax (at: number): Refusal {
    const b = this.#b
    if (at >= this.#end) {
      return new Refusal(`The request body is not valid JSON: it ends at byte ${this.#end} in the middle of a value.`, undefined)
    }
    let line = 1
    let lineStart = 0
    let depth = 0
    let quoted = false
    for (let i = 0; i < at; i++) {
      const c = b[i]!
      if (c === 0x0a) {
        line++
        lineStart = i + 1
      }
      if (quoted) {
        if (c === BACKSLASH) i++
        else if (c === QUOTE) quoted = false
      } else if (c === QUOTE) quoted = true
      else if (c === OPEN_BRACE || c === OPEN_BRACKET) depth++
      else if (c === CLOSE_BRACE || c === CLOSE_BRACKET) depth--
    }
    if (depth >= MAX_DEPTH) return new Refusal(`The request body is nested deeper than ${MAX_DEPTH} levels.`, undefined)
    const c = b[at]!
    const what = c > 0x20 && c < 0x7f ? JSON.stringify(String.fromCharCode(c)) : `byte 0x${c.toString(16).padStart(2, '0')}`
    return new Refusal(`The request body is not valid JSON: unexpected ${what} at byte ${at} (line ${line}, column ${at - lineStart + 1}).`, undefined)
  }
}

const larger = (a: number | undefined, b: number | undefined): number | undefined => a === undefined || (b !== undefined && b > a) ? b : a

/** Bytes in UTF-8 of the UTF-16 unit spelled by four hex digits; each half of a surrogate pair counts 2 of the pair's 4. */
function utf8Length (b: Uint8Array, hex: number): number {
  const unit = (nibble(b[hex]!) << 12) | (nibble(b[hex + 1]!) << 8) | (nibble(b[hex + 2]!) << 4) | nibble(b[hex + 3]!)
  if (unit < 0x80) return 1
  return unit < 0x800 || (unit >= 0xd800 && unit < 0xe000) ? 2 : 3
}

const nibble = (c: number): number => c <= 0x39 ? c - 0x30 : (c | 0x20) - 0x57

function isOneOf (b: Uint8Array, start: number, end: number, words: readonly Uint8Array[]): boolean {
  for (let k = 0; k < words.length; k++) if (equals(b, start, end, words[k]!)) return true
  return false
}

const clip = (text: string): string => text.length <= 60 ? text : `${text.slice(0, 57)}...`
