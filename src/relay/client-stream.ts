import type { ServerResponse } from 'node:http'
import type { Socket } from 'node:net'
import type { Ms } from '../core/index.js'
import { leaveTogether, type Writer } from './turn.js'
import type { Failure } from './verdict.js'
import { writeNow } from './write-now.js'

const CR = 13
const LF = 10
const HEX_DIGITS = Buffer.from('0123456789abcdef')
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

const STREAM = Symbol('client stream')
type Raw = ServerResponse & { [STREAM]?: ClientStream }

/** One function for all answers: a listener of its own for each, with the request in its scope, outlives it (see `ById`). */
function closed(this: Raw): void {
  this[STREAM]?.closed()
}

/**
 * The client's side of one request: head, bytes, end, backpressure, and the news that the client has left. What arrived together
 * leaves together: one write per stream and turn of the loop, whatever number of events it brought.
 *
 * After the head the bytes go to the socket itself, with the chunk framing in the same buffer: Node's own
 * `ServerResponse.write` makes three writes and a cork of it.
 */
export class ClientStream implements Writer {
  readonly #raw: Raw
  /** What waits for `flush`: mostly one piece, which needs no array. */
  #pending: Buffer | undefined
  #more: Buffer[] | undefined
  #headWritten = false
  /** Nothing more is taken; what is pending still goes out. */
  #ended = false
  /** Asked for `flush`. */
  #dirty = false
  #gone = false
  /** The answer that is to go out in one piece. */
  #whole: Buffer | undefined
  #blocked = false
  /** When the client stopped taking bytes; read by whoever enforces the write-stall timeout. */
  blockedSinceMs: Ms | undefined
  bytesWritten = 0
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
    raw.once('close', closed)
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
    flatten(this.#raw)
  }

  /** False: the client does not keep up; stop reading until `feeder` is told. */
  write(bytes: Buffer): boolean {
    if (this.#ended || bytes.length === 0) return !this.#blocked
    if (this.#pending === undefined) this.#pending = bytes
    else if (this.#more === undefined) this.#more = [this.#pending, bytes]
    else this.#more.push(bytes)
    this.#ask()
    return !this.#blocked
  }

  /** The clean end of the answer. */
  end(): void {
    if (this.#ended) return
    this.#ended = true
    this.#ask()
  }

  /** A whole answer in one go; its length is added to the headers. */
  answer(status: number, headers: string[], body: Buffer): void {
    if (this.#headWritten || this.#ended) return
    headers.push('content-length', String(body.length))
    this.head(status, headers)
    this.#ended = true
    this.bytesWritten += body.length
    this.#whole = body
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

  flush(): void {
    this.#dirty = false
    const bytes = this.#more === undefined ? this.#pending : Buffer.concat(this.#more)
    this.#pending = undefined
    this.#more = undefined
    if (this.#gone) return
    const whole = this.#whole
    if (whole !== undefined) {
      this.#whole = undefined
      // As one string with the head it leaves in one plain write; a buffer would take a gathering one.
      if (whole.length <= COPY_LIMIT) this.#raw.end(whole.toString('latin1'), 'latin1')
      else this.#raw.end(whole)
      return
    }
    // Together with the last bytes; `end` uncorks.
    if (this.#ended) this.#raw.socket?.cork()
    if (bytes !== undefined) this.#send(bytes)
    if (this.#ended) this.#raw.end()
  }

  #send(bytes: Buffer): void {
    const first = this.bytesWritten === 0
    this.bytesWritten += bytes.length
    const socket = this.#raw.socket
    // The first bytes take the head along; a large piece is not worth a copy; a pipelined answer has no socket yet.
    const keepsUp = first || bytes.length > COPY_LIMIT || socket === null
      ? this.#raw.write(bytes)
      : this.#raw.chunkedEncoding ? writeChunk(socket, bytes) : socket.write(bytes)
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
function flatten(raw: ServerResponse): void {
  (raw as { _header?: string | null })._header?.charCodeAt(0)
}

/** What most chunks are framed in: it stays in the processor's caches, where new memory for each would have to be fetched. */
const SCRATCH = Buffer.allocUnsafeSlow(16 * 1024)
const MAX_FRAMING_BYTES = 12

/** Writes an HTTP/1.1 chunk, framing and data in one piece. */
function writeChunk(socket: Socket, data: Buffer): boolean {
  if (data.length + MAX_FRAMING_BYTES <= SCRATCH.length && socket.writableLength === 0 && socket.writableCorked === 0) {
    const size = frame(SCRATCH, data)
    const taken = writeNow(socket, SCRATCH, size)
    return taken === size || socket.write(Buffer.from(SCRATCH.subarray(taken, size)))
  }
  const own = Buffer.allocUnsafe(data.length + MAX_FRAMING_BYTES)
  return socket.write(own.subarray(0, frame(own, data)))
}

/** Writes data with its framing to the start of `out`; answers how many bytes that are. By hand, so that no string is made of the size. */
function frame(out: Buffer, data: Buffer): number {
  const size = data.length
  let digits = 1
  for (let rest = size >>> 4; rest > 0; rest >>>= 4) digits++
  for (let at = digits - 1, rest = size; at >= 0; at--, rest >>>= 4) out[at] = HEX_DIGITS[rest & 15]!
  let at = digits
  out[at++] = CR
  out[at++] = LF
  out.set(data, at)
  at += size
  out[at++] = CR
  out[at++] = LF
  return at
}
