import type { ServerResponse } from 'node:http'
import type { AnswerPlan } from './answer-plan.js'
import type { EmulatedSequence, EngineDriver, TokenReceiver } from './engine-driver.js'
import { EventStream } from './event-stream.js'
import { type ChosenFaults, type FaultRule, NO_FAULTS } from './faults.js'
import { type Language, wordId, wordJson, wordText } from './language.js'

/** How a dialect writes what was generated. Events are whole `data:` lines with their blank line. */
export interface Renderer {
  readonly streamHeaders: Readonly<Record<string, string>>
  /** A slow reader gets several tokens in one event. */
  readonly merges: boolean
  /** A piece of one answer: one or more tokens. Called at least once for each, the last time with `choice.done`. */
  delta(choice: Choice, piece: Piece): string
  /** After the last answer's last piece; `''` where nothing follows. */
  trailer(generation: Generation): string
  /** The sign of the end: `data: [DONE]` or nothing. */
  readonly terminator: string
  errorEvent(status: number, message: string): string
  /** The answer in one piece. */
  body(generation: Generation): { readonly json: string, readonly headers: Readonly<Record<string, string>> }
}

export interface Piece {
  /** Escaped to stand inside a JSON string. */
  readonly json: string
  readonly ids: readonly number[]
  /** True for the first piece of this answer. */
  readonly first: boolean
}

/** One answer of a request that may ask for several. */
export class Choice implements TokenReceiver {
  readonly index: number
  readonly plan: AnswerPlan
  readonly #generation: Generation
  #state: number
  /** Escaped text and ids that no event carries yet. */
  #heldJson = ''
  #heldIds: number[] = []
  #heldTokens = 0
  #firstSent = false
  sequence: EmulatedSequence | undefined
  /** Engine tokens so far, the end token included. */
  tokens = 0
  /** All text so far: kept where the answer or its last event repeats it. */
  text = ''
  readonly ids: number[] = []
  done = false

  constructor (generation: Generation, index: number, plan: AnswerPlan) {
    this.#generation = generation
    this.index = index
    this.plan = plan
    this.#state = plan.state
  }

  /** Characters of text that the client is to see: a stop string and what follows it are not shown. */
  get #visibleChars (): number {
    return this.plan.stopped?.atChars ?? Infinity
  }

  token (): void {
    const { language, keepText, interval } = this.#generation
    this.tokens++
    this.#heldTokens++
    if (this.tokens <= this.plan.words) {
      const word = language.word(this.#state)
      this.#state = language.after(this.#state, word)
      if (this.plan.stopped === undefined) {
        this.#heldJson += wordJson(word)
        if (keepText) this.text += wordText(word)
      } else {
        const shown = wordText(word).slice(0, Math.max(0, this.#visibleChars - this.text.length))
        this.#heldJson += JSON.stringify(shown).slice(1, -1)
        this.text += shown
      }
      if (this.#generation.keepIds) {
        this.#heldIds.push(wordId(word))
        this.ids.push(wordId(word))
      }
    }
    this.done = this.tokens === this.plan.outputTokens
    if (this.done || this.#heldTokens >= interval || !this.#firstSent) this.#generation.progress(this)
  }

  finished (): void {
    this.#generation.choiceFinished()
  }

  /** What no event carries yet, and forget it. */
  takePiece (): Piece {
    const piece = { json: this.#heldJson, ids: this.#heldIds, first: !this.#firstSent }
    this.#heldJson = ''
    if (this.#heldIds.length > 0) this.#heldIds = []
    this.#heldTokens = 0
    this.#firstSent = true
    return piece
  }

  get holding (): boolean {
    return this.#heldTokens > 0
  }
}

export interface GenerationOptions {
  readonly res: ServerResponse
  readonly driver: EngineDriver
  readonly language: Language
  readonly plans: readonly AnswerPlan[]
  readonly stream: boolean
  readonly faults: ChosenFaults
  /** Tokens per event. */
  readonly interval: number
  readonly keepText: boolean
  readonly keepIds: boolean
  readonly onEnd: (generation: Generation, how: 'completed' | 'aborted' | 'cut') => void
}

/** One generation request on its way: its answers in the engine, and the bytes that go to the client. */
export class Generation {
  readonly language: Language
  readonly choices: readonly Choice[]
  readonly keepText: boolean
  readonly keepIds: boolean
  readonly interval: number
  readonly #options: GenerationOptions
  readonly #renderer: Renderer
  #stream: EventStream | undefined
  #left: number
  #ended = false
  /** A fault has silenced it: the engine works on, the client hears nothing. */
  #mute = false
  #waitingForDrain = false

  constructor (options: GenerationOptions, renderer: (generation: Generation) => Renderer) {
    this.#options = options
    this.language = options.language
    this.keepText = options.keepText || !options.stream
    this.keepIds = options.keepIds
    this.interval = options.interval
    this.choices = options.plans.map((plan, i) => new Choice(this, i, plan))
    this.#left = this.choices.length
    this.#renderer = renderer(this)
  }

  get promptTokens (): number {
    let tokens = 0
    let last: readonly number[] | undefined
    for (const { plan } of this.choices) {
      // Several answers to one prompt share it.
      if (plan.promptIds !== last) tokens += plan.promptIds.length
      last = plan.promptIds
    }
    return tokens
  }

  get completionTokens (): number {
    return this.choices.reduce((sum, choice) => sum + choice.tokens, 0)
  }

  get cachedTokens (): number {
    return this.choices[0]?.sequence?.cachedTokens ?? 0
  }

  /** Hand the answers to the engine and, for a stream, the head to the client. False, and nothing done, if the engine is full. */
  start (): boolean {
    const { driver, res, faults, stream } = this.#options
    for (const choice of this.choices) {
      const { plan } = choice
      choice.sequence = driver.submit({ promptTokens: plan.promptIds.length, outputTokens: plan.outputTokens, prefixHashes: plan.prefixHashes, tag: choice })
      if (choice.sequence === undefined) {
        this.#abortSequences()
        return false
      }
    }
    res.once('close', () => { this.#closed() })
    if (stream) {
      this.#head()
      const course = faults.course?.kind
      if (course === 'hang-after-headers') this.#mute = true
      if (course === 'reset-after-headers') this.#cut()
      if (course === 'error-first') this.#fail()
    }
    return true
  }

  /** A choice has tokens that no event carries. */
  progress (choice: Choice): void {
    if (this.#ended || this.#mute) return
    const stream = this.#stream
    if (stream === undefined) return
    const { course } = this.#options.faults
    if (course !== undefined && this.#courseTurns(choice, stream)) return
    if (this.#renderer.merges && stream.congested && !choice.done) {
      // A slow reader gets fewer and larger events; nothing piles up.
      if (!this.#waitingForDrain) {
        this.#waitingForDrain = true
        stream.onDrain(() => { this.#drained() })
      }
      return
    }
    stream.write(this.#renderer.delta(choice, choice.takePiece()))
  }

  choiceFinished (): void {
    if (--this.#left > 0 || this.#ended || this.#mute) return
    const { res, onEnd, faults } = this.#options
    this.#ended = true
    if (this.#stream !== undefined) {
      const last = this.#renderer.trailer(this) + (faults.course?.kind === 'no-done' ? '' : this.#renderer.terminator)
      if (last !== '') this.#stream.write(last)
      this.#stream.end()
    } else if (!res.destroyed) {
      this.#sendBody(res)
    }
    onEnd(this, 'completed')
  }

  #sendBody (res: ServerResponse): void {
    const { json, headers } = this.#renderer.body(this)
    const { course } = this.#options.faults
    res.writeHead(200, { 'content-type': 'application/json', 'content-length': Buffer.byteLength(json), ...headers })
    if (course === undefined) res.end(json)
    else this.#breakBody(res, course, Buffer.from(json))
  }

  /** Faults of streams, as they look on an answer in one piece. */
  #breakBody (res: ServerResponse, course: FaultRule, bytes: Buffer): void {
    if (course.kind === 'garbage') {
      res.end(bytes.fill(0xff, 1, Math.ceil(bytes.length / 2)))
      return
    }
    if (course.kind === 'no-done' || course.kind.startsWith('error')) {
      res.end(bytes)
      return
    }
    const part = course.kind.endsWith('after-headers') ? 0 : Math.floor(bytes.length / 2)
    res.flushHeaders()
    if (part > 0) res.write(bytes.subarray(0, part))
    if (course.kind !== 'stall' && course.kind !== 'hang-after-headers') new EventStream(res, NO_FAULTS.shapes).cut(course.cut ?? 'reset')
  }

  #head (): void {
    const { res, faults } = this.#options
    res.writeHead(200, this.#renderer.streamHeaders)
    res.flushHeaders()
    this.#stream = new EventStream(res, faults.shapes)
  }

  #drained (): void {
    this.#waitingForDrain = false
    if (this.#ended || this.#stream === undefined) return
    for (const choice of this.choices) {
      if (choice.holding) this.#stream.write(this.#renderer.delta(choice, choice.takePiece()))
    }
  }

  /** Carry out a fault whose moment has come. True if the choice's piece must not go out. */
  #courseTurns (choice: Choice, stream: EventStream): boolean {
    const rule = this.#options.faults.course
    if (rule === undefined || choice.index !== 0 || choice.tokens <= (rule.afterTokens ?? 1)) return false
    switch (rule.kind) {
      case 'stall':
        this.#mute = true
        return true
      case 'reset-stream':
        this.#cut()
        return true
      case 'cut-mid-event':
      case 'cut-mid-utf8': {
        const piece = choice.takePiece()
        const bytes = Buffer.from(this.#renderer.delta(choice, { ...piece, json: `${piece.json} é` }))
        const inCharacter = bytes.indexOf(Buffer.from('é')) + 1
        stream.writeBytes(bytes.subarray(0, rule.kind === 'cut-mid-utf8' ? inCharacter : Math.floor(bytes.length / 2)))
        this.#cut()
        return true
      }
      case 'garbage':
        if (choice.tokens === (rule.afterTokens ?? 1) + 1) stream.writeBytes(Buffer.from('data: {"choices":[{\u0000\xff\xfe\x80}}]}\n\n', 'latin1'))
        return false
      case 'error-event':
        this.#fail()
        return true
      case 'end-early':
        this.#abandon()
        stream.end()
        return true
      default:
        return false
    }
  }

  #fail (): void {
    const { course } = this.#options.faults
    this.#abandon()
    this.#stream?.write(this.#renderer.errorEvent(course?.status ?? 500, course?.message ?? 'EngineCore encountered an issue.') + this.#renderer.terminator)
    this.#stream?.end()
  }

  #cut (): void {
    this.#abandon()
    this.#stream?.cut(this.#options.faults.course?.cut ?? 'reset')
  }

  /** End the work by a fault's order. */
  #abandon (): void {
    this.#ended = true
    this.#abortSequences()
    this.#options.onEnd(this, 'cut')
  }

  #closed (): void {
    if (this.#ended) return
    this.#ended = true
    this.#abortSequences()
    this.#options.onEnd(this, 'aborted')
  }

  #abortSequences (): void {
    for (const { sequence } of this.choices) {
      if (sequence !== undefined) this.#options.driver.abort(sequence)
    }
  }
}
