import type { ServerResponse } from 'node:http'
import type { Ms } from '../core/index.js'
import { frame, Frames, FRAMING_BYTES } from './frames.js'
import { Shortcut } from './shortcut.js'
import { leaveTogether, type Writer } from './turn.js'
import type { Failure } from './verdict.js'

/** Above this, copying into a frame costs more than a second write. */
const COPY_LIMIT = 32 * 1024

/** Who is told that the client has left. */
export interface ClientOwner {
  clientGone(): void
}

/** Who is told that the client takes bytes again. */
export interface ClientFeeder {
  clientDrained(): void
}

/** What streams send in one turn of the loop, mostly. */
const FRAMES = new Frames()
/** The mark of the end of a body in chunks. */
const LAST_CHUNK = '0\r\n\r\n'

/** In place of the text of a head that has gone out: hundreds of bytes for as long as the stream runs. */
const SENT = 'sent'

const STREAM = Symbol('client stream')
/** With two properties that Node does not document: the head as text, and whether it has gone out. Where they are missing, Node sends the head. */
type Raw = ServerResponse & { [STREAM]?: ClientStream, _header?: string | null, _headerSent?: boolean }

/** One function for all answers: a listener of its own for each, with the request in its scope, outlives it (see `ById`). */
function closed(this: Raw): void {
  this[STREAM]?.closed()
}

/**
 * The client's side of one request: head, bytes, end, backpressure, and the news that the client has left. What arrived together
 * leaves together: one write per stream and turn of the loop, whatever number of events it brought.
 *
 * Where nothing is queued before it, all that is sent is put where the kernel reads it from, chunk framing included, and goes there straight away:
 * head, bytes and the mark of the end. What cannot go so goes to the socket, still with its framing in the same buffer: Node's own
 * `ServerResponse.write` makes three writes and a cork of it.
 */
export class ClientStream implements Writer {
  // What each event touches stands together: of five hundred streams hardly any is in the processor's caches when its next event comes.
  /** Nothing more is taken; what is pending still goes out. */
  #ended = false
  #blocked = false
  #gone = false
  /** Asked for `flush`. */
  #dirty = false
  /** Its body is sent in chunks. */
  #chunked = false
  /** The head has gone out, or is among its frames. */
  #headSent = false
  /** Where in `FRAMES` stands what it sends in this turn, and how many bytes it is. */
  #framesAt = 0
  #framesBytes = 0
  /** While nothing is queued on the socket. */
  #shortcut: Shortcut | undefined
  /** What waits for `flush` behind the frames: mostly one piece, which needs no array. */
  #pending: Buffer | undefined
  #more: Buffer[] | undefined
  /** The answer that is to go out in one piece. */
  #whole: Buffer | undefined
  bytesWritten = 0
  readonly #raw: Raw
  #headWritten = false
  /** The end is among its frames. */
  #endSent = false
  /** When the client stopped taking bytes; read by whoever enforces the write-stall timeout. */
  blockedSinceMs: Ms | undefined
  status = 0
  /** Told when the client takes bytes again after `write` answered false. */
  feeder: ClientFeeder | undefined
  /** Bytes pass as they are, events or not; see `Continuation`. */
  readonly garbled: boolean = false
  /** The client has the whole answer, but for the mark of its end; see `Continuation`. */
  readonly whole: boolean = false
  /** Told when the connection has closed before the answer was complete; at most once. */
  owner: ClientOwner | undefined
  #drained: (() => void) | undefined

  constructor(raw: ServerResponse) {
    this.#raw = raw
    // Gone while its body was read: no 'close' will come any more.
    this.#ended = this.#gone = raw.destroyed
    // Not the framework's request signal: on a POST that one fires when the body has been read.
    this.#raw[STREAM] = this
    raw.on('close', closed)
  }

  /** The connection has closed. */
  closed(): void {
    const raw = this.#raw
    if (this.#drained !== undefined) raw.socket?.removeListener('drain', this.#drained)
    if (raw.writableFinished) return
    this.#ended = this.#gone = true
    const { owner } = this
    this.owner = undefined
    owner?.clientGone()
  }

  get headWritten(): boolean {
    return this.#headWritten
  }

  get ended(): boolean {
    return this.#ended
  }

  /** `headers`: names and values in turn. Goes out with the first bytes. */
  head(status: number, headers: string[]): void {
    if (this.#headWritten || this.#ended) return
    this.#headWritten = true
    this.status = status
    this.#raw.writeHead(status, headers)
    this.#chunked = this.#raw.chunkedEncoding
    flatten(this.#raw)
  }

  /** Takes `bytes` from `from` up to `to`, and keeps nothing of the buffer. False: the client does not keep up; stop reading until `feeder` is told. */
  write(bytes: Buffer, from = 0, to = bytes.length): boolean {
    if (this.#ended || from === to) return !this.#blocked
    this.bytesWritten += to - from
    const framed = this.#frames() && this.#added(this.#chunked ? FRAMES.addChunk(bytes, from, to) : FRAMES.addPlain(bytes, from, to))
    if (!framed) this.#keep(Buffer.from(bytes.subarray(from, to)))
    this.#ask()
    return !this.#blocked
  }

  /** May what comes next be added to `FRAMES`? Sees to it that the head is there before it. */
  #frames(): boolean {
    // What waits already goes first.
    if (this.#pending !== undefined) return false
    // Another stream's stand between.
    if (this.#framesBytes > 0 && FRAMES.end !== this.#framesAt + this.#framesBytes) return false
    this.#shortcut ??= this.#findShortcut()
    return this.#shortcut !== undefined && (this.#headSent || this.#addHead())
  }

  #added(size: number): boolean {
    if (size === 0) return false
    if (this.#framesBytes === 0) {
      FRAMES.hold()
      this.#framesAt = FRAMES.end - size
    }
    this.#framesBytes += size
    return true
  }

  #addHead(): boolean {
    if (!this.#added(FRAMES.addText(this.#raw._header!))) return false
    this.#raw._headerSent = true
    // What Node asks after this is whether there was one.
    this.#raw._header = SENT
    this.#headSent = true
    return true
  }

  #findShortcut(): Shortcut | undefined {
    const { socket, writableLength, _header: head, _headerSent: sent } = this.#raw
    // A pipelined answer has no socket yet.
    return socket !== null && writableLength === 0 && (this.#headSent || (typeof head === 'string' && sent === false)) ? Shortcut.of(socket) : undefined
  }

  #keep(bytes: Buffer): void {
    if (this.#pending === undefined) this.#pending = bytes
    else if (this.#more === undefined) this.#more = [this.#pending, bytes]
    else this.#more.push(bytes)
  }

  /** The clean end of the answer. */
  end(): void {
    if (this.#ended) return
    this.#ended = true
    this.#endSent = this.#headWritten && this.#chunked && this.#frames() && this.#added(FRAMES.addText(LAST_CHUNK))
    this.#ask()
  }

  /** A whole answer in one go; its length is added to the headers. */
  answer(status: number, headers: string[], body: Buffer): void {
    if (this.#headWritten || this.#ended) return
    headers.push('content-length', String(body.length))
    this.head(status, headers)
    this.#ended = true
    this.bytesWritten += body.length
    this.#endSent = this.#frames() && this.#added(FRAMES.addPlain(body, 0, body.length))
    if (!this.#endSent) this.#whole = body
    this.#ask()
  }

  /** Cut the connection: the one honest end where no error event can be sent any more. */
  cut(): void {
    this.#ended = this.#gone = true
    this.#raw.destroy()
  }

  /** Will another attempt go on where a broken stream stopped, so that the client need not be told? See `Continuation`. */
  goesOn(_failure: Failure): boolean {
    return false
  }

  #ask(): void {
    if (this.#dirty) return
    this.#dirty = true
    leaveTogether(this)
  }

  /** What was taken leaves now, where nothing is queued, without those of the same turn. */
  hurry(): void {
    if (this.#framesBytes > 0) this.#sendFrames()
  }

  flush(): void {
    this.#dirty = false
    // The mark of the end with what goes before it; `end` uncorks.
    if (this.#ended && !this.#endSent && !this.#gone && this.#whole === undefined) this.#raw.socket?.cork()
    if (this.#framesBytes > 0) this.#sendFrames()
    if (this.#pending !== undefined) this.#sendPending()
    if (this.#ended && !this.#gone) this.#finish()
  }

  #sendFrames(): void {
    const from = this.#framesAt
    const to = from + this.#framesBytes
    this.#framesBytes = 0
    if (!this.#gone) {
      const taken = this.#shortcut!.write(FRAMES.bytes, from, to)
      if (from + taken < to) this.#queue(Buffer.from(FRAMES.bytes.subarray(from + taken, to)))
    }
    FRAMES.release()
  }

  /** What the kernel does not take at once. */
  #queue(frames: Buffer): void {
    this.#shortcut = undefined
    const { socket } = this.#raw
    if (socket?.write(frames) === false) this.#block(socket)
  }

  #sendPending(): void {
    const bytes = this.#more === undefined ? this.#pending! : Buffer.concat(this.#more)
    this.#pending = undefined
    this.#more = undefined
    if (!this.#gone) this.#send(bytes)
  }

  #finish(): void {
    const whole = this.#whole
    if (whole === undefined) {
      // Else Node would mark the end.
      if (this.#endSent) this.#raw.chunkedEncoding = false
      this.#raw.end()
      return
    }
    this.#whole = undefined
    // As one string with the head it leaves in one plain write; a buffer would take a gathering one.
    if (whole.length <= COPY_LIMIT) this.#raw.end(whole.toString('latin1'), 'latin1')
    else this.#raw.end(whole)
  }

  #send(bytes: Buffer): void {
    this.#shortcut = undefined
    const { socket, writableCorked } = this.#raw
    // The first bytes take the head along; a large piece is not worth a copy; a pipelined answer has no socket yet; Node may hold pieces back.
    const keepsUp = !this.#headSent || bytes.length > COPY_LIMIT || socket === null || writableCorked > 0
      ? this.#raw.write(bytes)
      : socket.write(this.#chunked ? framed(bytes) : bytes)
    this.#headSent = true
    if (!keepsUp) this.#block(socket)
  }

  #block(socket: ServerResponse['socket']): void {
    if (this.#blocked) return
    this.#blocked = true
    const drained = this.#drained ??= () => {
      this.#raw.socket?.removeListener('drain', drained)
      this.#blocked = false
      this.blockedSinceMs = undefined
      this.feeder?.clientDrained()
    }
    if (socket === null) this.#raw.once('drain', drained)
    else socket.on('drain', drained)
  }

  /** Since when the client takes nothing, found by looking now and then: the write path reads no clock. */
  stalledForMs(nowMs: Ms): Ms {
    if (!this.#blocked) return 0
    this.blockedSinceMs ??= nowMs
    return nowMs - this.blockedSinceMs
  }
}

/**
 * Node keeps the text of the head as the tree of some fifty pieces that it was added up from, until the answer has ended; looking at a
 * character makes it one string. For the collector that is every fifth object of a stream (heap snapshots of idle ones).
 */
function flatten(raw: Raw): void {
  raw._header?.charCodeAt(0)
}

/** An HTTP/1.1 chunk, framing and data in one piece. */
function framed(data: Buffer): Buffer {
  const chunk = Buffer.allocUnsafe(data.length + FRAMING_BYTES)
  return chunk.subarray(0, frame(chunk, 0, data, 0, data.length))
}
