import type { ServerResponse } from 'node:http'
import type { Socket } from 'node:net'
import type { ShapeFault } from './faults.js'

const BIG_EVENT_BYTES = 1 << 20

/**
 * The body of a streamed answer. On the fast path an event is one write to the socket, framed here as an HTTP chunk: the server's
 * own `write` costs several times as much. Shapes (see faults) take a slower way.
 */
export class EventStream {
  readonly #res: ServerResponse
  readonly #socket: Socket | undefined
  readonly #shapes: ReadonlySet<ShapeFault>
  #pieces: Buffer[] = []
  #next = 0
  #pumping = false
  #ending = false
  bytes = 0

  /** The head must have been written. */
  constructor (res: ServerResponse, shapes: ReadonlySet<ShapeFault>) {
    this.#res = res
    this.#shapes = shapes
    // HTTP/1.0 knows no chunks; a pipelined answer has no socket yet. Both go the server's own way.
    this.#socket = shapes.size === 0 && res.req.httpVersionMinor > 0 && res.socket !== null ? res.socket : undefined
  }

  /** The peer reads more slowly than the engine writes. */
  get congested (): boolean {
    return this.#res.socket?.writableNeedDrain === true
  }

  onDrain (listener: () => void): void {
    this.#res.socket?.once('drain', listener)
  }

  /** One or more whole events, as text. */
  write (text: string): void {
    if (this.#socket !== undefined) {
      const bytes = Buffer.byteLength(text)
      this.bytes += bytes
      this.#socket.write(`${bytes.toString(16)}\r\n${text}\r\n`)
      return
    }
    this.#writeShaped(text)
  }

  /** Bytes as they are. */
  writeBytes (bytes: Buffer): void {
    if (this.#socket === undefined) return this.#enqueue([bytes])
    // Not by the server's own `write`: since Node 26 that holds back what it is given until the end of the turn, and later events would overtake it.
    this.#socket.write(Buffer.concat([Buffer.from(`${bytes.length.toString(16)}\r\n`), bytes, Buffer.from('\r\n')]))
  }

  /** The end of the body, after all that was written. */
  end (): void {
    this.#ending = true
    if (!this.#pumping) this.#res.end()
  }

  /** Cut the connection as soon as what was written has been handed to the system. */
  cut (how: 'reset' | 'close'): void {
    const { socket } = this.#res
    if (socket === null) return
    socket.write('', () => {
      if (how === 'reset') socket.resetAndDestroy()
      else socket.destroy()
    })
  }

  #writeShaped (text: string): void {
    const shapes = this.#shapes
    let shaped = text
    if (shapes.has('big-events')) shaped = shaped.replaceAll('data: {', () => `data: {"padding":"${'x'.repeat(BIG_EVENT_BYTES)}",`)
    if (shapes.has('comments')) shaped = shaped.replaceAll('data: ', ': ping\n\ndata: ')
    if (shapes.has('crlf')) shaped = shaped.replaceAll('\n', '\r\n')
    const bytes = Buffer.from(shaped)
    if (shapes.has('one-byte-chunks')) this.#enqueue(Array.from(bytes, (_, i) => bytes.subarray(i, i + 1)))
    else if (shapes.has('split-utf8')) this.#enqueue(splitCharacters(bytes))
    else this.#enqueue([bytes])
  }

  #enqueue (pieces: Buffer[]): void {
    for (const piece of pieces) this.#pieces.push(piece)
    if (this.#pumping) return
    this.#pumping = true
    this.#pump()
  }

  /** One piece at a time, each after the last was handed to the system, so that the pieces become packets of their own. */
  #pump (): void {
    const piece = this.#pieces[this.#next++]
    if (piece === undefined || this.#res.destroyed) {
      this.#pumping = false
      this.#pieces = []
      this.#next = 0
      if (this.#ending) this.#res.end()
      return
    }
    this.bytes += piece.length
    this.#res.write(piece, () => { setImmediate(() => { this.#pump() }) })
  }
}

/** Pieces that end after the first byte of each multi-byte character. */
function splitCharacters (bytes: Buffer): Buffer[] {
  const pieces: Buffer[] = []
  let start = 0
  for (let i = 0; i < bytes.length; i++) {
    if ((bytes[i] as number) < 0xc0) continue
    pieces.push(bytes.subarray(start, i + 1))
    start = i + 1
  }
  pieces.push(bytes.subarray(start))
  return pieces.filter(piece => piece.length > 0)
}
