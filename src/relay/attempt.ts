import type { Clock, Ms, Tokens, Usage } from '../core/index.js'
import { createStreamMeter, errorEvent, readAnswer, type StreamMeter } from '../protocol/index.js'
import type { ClientFeeder } from './client-stream.js'
import type { Abortable, ResponseHandler } from './http1/connection.js'
import { readResponseHead, streamHead, type ResponseHead } from './headers.js'
import { joined } from './joined.js'
import { UNSWEPT, type Sweep, type Swept } from './sweep.js'
import type { AttemptOwner, AttemptRequest, AttemptTimeouts, ClientSide, GapRecorder } from './types.js'
import type { Upstream } from './upstream.js'
import * as verdict from './verdict.js'
import type { Failure } from './verdict.js'

/** `connecting` → `waiting` (request sent) → one of the answers → `ended`. */
type Phase = 'connecting' | 'waiting' | 'refusal' | 'whole' | 'stream' | 'ended'

/** A whole answer up to this size goes to the client in one piece, and can still be retried when the backend dies over it. */
const HOLD_BYTES = 64 * 1024
/** Whole answers are kept up to this size, to read the engine's usage from them. */
const USAGE_BYTES = 4 * 1024 * 1024
/** A stream whose first event does not end within this goes out as it is. */
const HOLD_STREAM_BYTES = 256 * 1024
const REFUSAL_BYTES = 64 * 1024
/** A refusal whose body is not there by then is judged by its status. */
const REFUSAL_MS: Ms = 5_000
const MAX_INTERIM = 16
/** What a stream holds once its head is out. */
const NOTHING: Buffer[] = []
/** LF LF */
const BLANK_LINE = 0x0a0a

/** Times of an attempt. */
const LAST_TOKEN = 0
/** Up to then the owner need not be told of tokens. */
const UNTOLD_UNTIL = 1
const FIRST_TOKEN = 2
const SENT = 3
const PHASE_SINCE = 4
/** When the request as a whole is over. */
const TOTAL = 5

/**
 * One attempt on one backend, told by its connection how it goes: head held until the first event that is not a comment,
 * bytes on to the client as they come, metered by scanning, limits per phase, one result at the end.
 */
export class Attempt implements Swept, ResponseHandler, ClientFeeder {
  // What each event touches stands first, and together; see `ClientStream`.
  #phase: Phase = 'connecting'
  /** Bytes came since the last look; a clock reading per look is cheaper than one per chunk. */
  #active = false
  #meter: StreamMeter | undefined
  #tokenEvents = 0
  #committed = false
  /** The latest two bytes given to the client, to know whether they ended an event; not the buffer, whose memory others share. */
  #lastTwo = BLANK_LINE
  readonly #client: ClientSide
  readonly #clock: Clock
  #gaps: GapRecorder | undefined
  /** In one array: see `setUpCollector` for what a number by itself costs. */
  readonly #ms: number[]

  readonly #owner: AttemptOwner
  readonly #dialect: AttemptRequest['dialect']
  readonly #stripUsage: boolean
  /** Until it is sent: a body of megabytes must not live as long as the answer. */
  #request: AttemptRequest | undefined
  readonly #timeouts: AttemptTimeouts
  readonly #sweep: Sweep
  readonly #credentialsPassed: boolean

  sweepAt = UNSWEPT
  #upstream: Abortable | undefined
  #resumeUpstream: (() => void) | undefined
  #interim = 0
  #status = 0
  /** Of a stream until it has gone to the client. */
  #head: ResponseHead | undefined
  #retryAfterMs: Ms | undefined
  #held: Buffer[] = []
  #heldBytes = 0
  /** A whole answer's bytes, until it gets too large to be read for its usage. */
  #kept: Buffer[] | undefined = []
  #keptBytes = 0
  #answerUsage: Usage | undefined

  #reportedTokens = 0
  #clientStalled = false
  /** Since the last look: it was the client that held the stream up. */
  #heldUp = false
  #seenEvents = 0

  constructor(request: AttemptRequest, client: ClientSide, owner: AttemptOwner, timeouts: AttemptTimeouts, totalAtMs: Ms, credentialsPassed: boolean, clock: Clock, sweep: Sweep) {
    this.#request = request
    this.#dialect = request.dialect
    this.#stripUsage = request.stripUsage
    this.#client = client
    this.#owner = owner
    this.#timeouts = timeouts
    this.#credentialsPassed = credentialsPassed
    this.#clock = clock
    this.#sweep = sweep
    this.#ms = [0, -Infinity, 0, 0, clock.now(), totalAtMs]
  }

  get lastTokenAtMs(): Ms | undefined {
    return this.#tokenEvents === 0 ? undefined : this.#ms[LAST_TOKEN]!
  }

  /** What its stream shows of the backend's speed; undefined where it shows nothing, or the client's. */
  get pace(): { tokens: Tokens, tookMs: Ms } | undefined {
    return this.#tokenEvents < 2 || this.#clientStalled ? undefined : { tokens: this.#tokenEvents, tookMs: this.#ms[LAST_TOKEN]! - this.#ms[FIRST_TOKEN]! }
  }

  get #hasEnded(): boolean {
    return this.#phase === 'ended'
  }

  get tokenEvents(): number {
    return this.#tokenEvents
  }

  start(upstream: Upstream): void {
    this.#sweep.add(this)
    const { method, path, headers, body } = this.#request!
    this.#request = undefined
    upstream.dispatch({ method, path, headers, body }, this)
  }

  /** The client has left, or the gateway wants no more of it: the backend stops working at once. No result is reported. */
  abort(): void {
    if (this.#phase === 'ended') return
    this.#leave()
    this.#upstream?.destroy()
  }

  /** Ends the attempt with a failure of the gateway's own making, told to the client as a backend's would be. */
  breakOff(failure: Failure): void {
    this.#fail(failure)
  }

  // What the connection says.

  /** Also when a connection that had served before turns out closed, and another one is opened in its place. */
  onOpening(connection: Abortable): void {
    this.#upstream = connection
    if (this.#phase !== 'connecting') this.#enter('connecting')
  }

  onConnect(connection: Abortable): void {
    if (this.#phase === 'ended') {
      connection.destroy()
      return
    }
    this.#upstream = connection
    this.#enter('waiting')
    this.#ms[SENT] = this.#ms[PHASE_SINCE]!
    this.#owner.connected(this.#ms[PHASE_SINCE]!)
  }

  onHeaders(status: number, raw: string[], resume: () => void): void {
    if (this.#phase === 'ended') return
    if (status < 200) {
      if (++this.#interim > MAX_INTERIM) this.#fail(verdict.headTooLong)
      return
    }
    this.#resumeUpstream = resume
    this.#status = status
    const head = readResponseHead(raw)
    this.#head = head
    this.#retryAfterMs = head.retryAfterMs
    if (status >= 300) {
      this.#enter('refusal')
    } else if (head.contentType?.startsWith('text/event-stream')) {
      this.#kept = undefined
      this.#meter = createStreamMeter(this.#dialect, { stripUsage: this.#stripUsage })
      this.#client.feeder = this
      this.#enter('stream')
    } else {
      this.#client.feeder = this
      this.#enter('whole')
    }
  }

  onData(bytes: Buffer, from: number, to: number): boolean {
    this.#active = true
    switch (this.#phase) {
      case 'stream': return this.#onStream(bytes, from, to)
      case 'whole': return this.#onWhole(bytes, from, to)
      case 'refusal':
        this.#hold(copied(bytes, from, to))
        if (this.#heldBytes >= REFUSAL_BYTES) this.#cutRefusal()
        return true
      default: return false
    }
  }

  onComplete(): void {
    switch (this.#phase) {
      case 'stream': return this.#completeStream()
      case 'whole': return this.#completeWhole()
      case 'refusal': return this.#completeRefusal()
    }
  }

  onError(error: Error & { code?: string }): void {
    if (this.#phase === 'ended') return
    const phase = this.#phase === 'connecting' || this.#phase === 'waiting' ? this.#phase : 'answering'
    this.#fail(verdict.judgeTransport(error.code, phase))
  }

  // The stream.

  #onStream(bytes: Buffer, from: number, to: number): boolean {
    const meter = this.#meter!
    const pieces = meter.push(bytes, from, to)
    if (!this.#committed && meter.firstEventIsError === true) {
      // A refusal in the place of an answer, whatever else it says: nothing has gone out, so it can still be retried, or be given its status.
      this.#fail(verdict.judgeEngineError(meter.error, true))
      return true
    }
    const { tokenEvents } = meter
    if (tokenEvents === this.#tokenEvents) return this.#take(bytes, from, to, pieces)
    const nowMs = this.#clock.now()
    if (this.#tokenEvents > 0) {
      this.#onTokens(tokenEvents, nowMs)
      return this.#take(bytes, from, to, pieces)
    }
    // The client has waited long enough: first it gets its token, then the owner is told.
    const keepsUp = this.#take(bytes, from, to, pieces)
    // What turned out to be no event is not told: the owner has moved on.
    if (this.#hasEnded) return keepsUp
    this.#client.hurry()
    this.#onTokens(tokenEvents, nowMs)
    return keepsUp
  }

  /** What the meter has read, `pieces` of it where something was taken out. */
  #take(bytes: Buffer, from: number, to: number, pieces: readonly Buffer[] | undefined): boolean {
    if (this.#committed) return pieces === undefined ? this.#pass(bytes, from, to) : this.#passAll(pieces)
    if (pieces === undefined) this.#hold(copied(bytes, from, to))
    else for (const piece of pieces) this.#hold(copied(piece))
    if (this.#meter!.firstEventIsError === false || this.#heldBytes > HOLD_STREAM_BYTES) return this.#commit()
    return true
  }

  /** Bytes of a stream whose head is out. What is no event ends the attempt, where another one can go on. */
  #pass(bytes: Buffer, from: number, to: number): boolean {
    const keepsUp = this.#give(bytes, from, to)
    if (this.#client.garbled) this.#fail(verdict.unreadable)
    return keepsUp
  }

  #passAll(pieces: readonly Buffer[]): boolean {
    let keepsUp = true
    for (const piece of pieces) keepsUp = this.#give(piece, 0, piece.length)
    if (this.#client.garbled) this.#fail(verdict.unreadable)
    return keepsUp
  }

  #onTokens(tokenEvents: number, nowMs: Ms): void {
    if (this.#tokenEvents === 0) {
      this.#ms[FIRST_TOKEN] = nowMs
      this.#owner.firstToken(nowMs)
      this.#gaps = this.#owner.gaps
    } else this.#gaps!.record(nowMs - this.#ms[LAST_TOKEN]!)
    this.#ms[LAST_TOKEN] = nowMs
    if (nowMs > this.#ms[UNTOLD_UNTIL]!) this.#ms[UNTOLD_UNTIL] = this.#owner.tokens(tokenEvents, tokenEvents - this.#tokenEvents, nowMs)
    this.#tokenEvents = tokenEvents
  }

  #give(bytes: Buffer, from: number, to: number): boolean {
    if (to - from >= 2) this.#lastTwo = bytes[to - 2]! << 8 | bytes[to - 1]!
    else if (to > from) this.#lastTwo = (this.#lastTwo & 0xff) << 8 | bytes[from]!
    return this.#client.write(bytes, from, to)
  }

  #completeStream(): void {
    const meter = this.#meter!
    const rest = meter.flush()
    if (!this.#committed) {
      if (meter.firstEventIsError === true) return this.#fail(verdict.judgeEngineError(meter.error, true))
      if (meter.events === 0) return this.#fail(verdict.empty)
      this.#commit()
    }
    if (rest !== undefined) this.#give(rest, 0, rest.length)
    if (meter.error !== undefined) {
      const failure = verdict.judgeEngineError(meter.error, false)
      if (this.#client.goesOn(failure)) return this.#fail(failure)
      // The engine has told the client itself; its bytes have gone through.
      this.#client.end()
      return this.#end(failure)
    }
    if (!meter.finished) return this.#fail(verdict.truncated)
    this.#client.end()
    this.#end(undefined)
  }

  // A whole answer.

  #onWhole(bytes: Buffer, from: number, to: number): boolean {
    this.#keptBytes += to - from
    if (this.#keptBytes > USAGE_BYTES) this.#kept = undefined
    const own = this.#committed && this.#kept === undefined ? undefined : copied(bytes, from, to)
    if (own !== undefined) this.#kept?.push(own)
    if (this.#committed) return this.#client.write(bytes, from, to)
    this.#hold(own!)
    return this.#heldBytes > HOLD_BYTES ? this.#commit() : true
  }

  #completeWhole(): void {
    if (this.#kept !== undefined && this.#head!.contentType?.includes('json') === true) {
      const answer = readAnswer(this.#dialect, this.#kept)
      this.#answerUsage = answer.usage
      if (!this.#committed) {
        if (answer.error !== undefined) return this.#fail(verdict.judgeEngineError(answer.error, true))
        if (!answer.complete) return this.#fail(verdict.garbled)
      }
    }
    if (this.#committed) {
      this.#client.end()
    } else {
      this.#committed = true
      this.#client.answer(this.#status, this.#owner.headers(this.#head!.forwarded), joined(this.#held, this.#heldBytes))
    }
    this.#end(undefined)
  }

  #completeRefusal(): void {
    const judged = verdict.judgeStatus(this.#status, this.#credentialsPassed)
    const refusal = judged.verdict === 'client_error'
      ? { status: this.#status, headers: this.#head!.forwarded, body: joined(this.#held, this.#heldBytes) }
      : undefined
    this.#end(judged, refusal)
  }

  /** Enough of a refusal to judge it by: what makes it endless, or slow beyond patience, is not waited for. */
  #cutRefusal(): void {
    const upstream = this.#upstream
    this.#completeRefusal()
    upstream?.destroy()
  }

  // Shared.

  #hold(bytes: Buffer): void {
    this.#held.push(bytes)
    this.#heldBytes += bytes.length
  }

  /** The point of no return: the head goes out, and this backend's answer is the answer. */
  #commit(): boolean {
    this.#committed = true
    const head = this.#head!
    if (this.#phase === 'stream') {
      this.#head = undefined
      this.#client.head(this.#status, this.#owner.headers(streamHead(head.forwarded)))
    } else {
      const headers = this.#owner.headers(head.forwarded)
      if (head.contentLength !== undefined) headers.push('content-length', String(head.contentLength))
      this.#client.head(this.#status, headers)
    }
    const held = this.#held
    this.#held = NOTHING
    return this.#passAll(held)
  }

  clientDrained(): void {
    this.#active = true
    this.#heldUp = true
    this.#resumeUpstream?.()
  }

  /** After the head a failure is told in the stream and never looks like a clean end; before it, the owner decides. */
  #fail(failure: Failure): void {
    if (this.#phase === 'ended') return
    if (this.#client.whole && failure.verdict === 'fault') return this.#closeWhole()
    const goesOn = this.#committed && this.#client.goesOn(failure)
    if (this.#committed && !goesOn) {
      if (this.#phase === 'stream') {
        this.#client.write(errorEvent(this.#dialect, failure.code ?? 'backend_error', failure.detail, this.#lastTwo !== BLANK_LINE))
        this.#client.end()
      } else {
        this.#client.cut()
      }
    }
    const upstream = this.#upstream
    this.#end({ ...failure, retryable: goesOn || (failure.retryable && !this.#committed) })
    upstream?.destroy()
  }

  /** What broke had nothing more to say: no answer is lost, and none is to be told as lost. */
  #closeWhole(): void {
    const upstream = this.#upstream
    this.#client.end()
    this.#end(undefined)
    upstream?.destroy()
  }

  #end(failure: Failure | undefined, refusal?: { status: number, headers: string[], body: Buffer }): void {
    this.#leave()
    this.#owner.attemptEnded({
      verdict: failure?.verdict ?? 'success',
      retryable: failure?.retryable ?? false,
      committed: this.#committed,
      status: failure?.status ?? this.#status,
      code: failure?.code,
      detail: failure?.detail,
      usage: this.#meter?.usage ?? this.#answerUsage,
      retryAfterMs: this.#retryAfterMs,
      refusal,
    })
  }

  #enter(phase: Phase): void {
    this.#phase = phase
    this.#ms[PHASE_SINCE] = this.#clock.now()
  }

  #leave(): void {
    this.#phase = 'ended'
    this.#sweep.remove(this)
    this.#client.feeder = undefined
  }

  sweep(nowMs: Ms): void {
    if (this.#tokenEvents !== this.#reportedTokens) {
      this.#reportedTokens = this.#tokenEvents
      this.#owner.progress(this.#tokenEvents)
    }
    if (nowMs >= this.#ms[TOTAL]!) return this.#fail(verdict.totalTimeout)
    const stalledMs = this.#client.stalledForMs(nowMs)
    if (stalledMs > 0) {
      // A client that does not read is not the backend's silence.
      this.#active = true
      this.#heldUp = true
      this.#clientStalled = true
      if (stalledMs >= this.#timeouts.writeStallMs) this.#owner.writeStalled()
      return
    }
    if (this.#active) {
      this.#active = false
      // Comments keep a stream's connection alive, but they are no progress: a hung engine may well send them.
      const events = this.#meter?.events ?? 0
      if (this.#phase === 'whole' || events !== this.#seenEvents || this.#heldUp) this.#ms[PHASE_SINCE] = nowMs
      this.#seenEvents = events
      this.#heldUp = false
    }
    if (this.#phase === 'connecting') {
      if (nowMs - this.#ms[PHASE_SINCE]! >= this.#timeouts.connectMs) this.#fail(verdict.connectTimeout)
    } else if (this.#phase === 'waiting' || (this.#phase === 'stream' && this.#tokenEvents === 0)) {
      // Comments and role chunks keep a connection alive, but they are no token: counted from the sending of the request.
      if (nowMs - this.#ms[SENT]! >= this.#timeouts.firstTokenMs) this.#fail(verdict.firstTokenTimeout)
    } else if (this.#phase === 'refusal') {
      if (nowMs - this.#ms[PHASE_SINCE]! >= Math.min(this.#timeouts.idleMs, REFUSAL_MS)) this.#cutRefusal()
    } else if (nowMs - this.#ms[PHASE_SINCE]! >= this.#timeouts.idleMs) {
      this.#fail(verdict.idleTimeout)
    }
  }
}

/** What is kept of bytes that are valid for a moment. */
function copied(bytes: Buffer, from = 0, to = bytes.length): Buffer {
  return Buffer.from(bytes.subarray(from, to))
}
