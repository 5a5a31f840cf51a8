/**
 * Reads HTTP/1.1 responses on one connection, one after the other. Chunk framing is taken out in place, so that a body that came in one
 * read is handed on in one piece and nothing is allocated per event.
 */
import { beginningOf } from './read-buffer.js'

const LF = 0x0a
const MAX_HEAD_BYTES = 256 * 1024

export interface ResponseHead {
  readonly status: number
  /** Names in lower case; of repeated ones the last. */
  readonly headers: ReadonlyMap<string, string>
}

export interface ResponseSink {
  head(head: ResponseHead): void
  /** Valid during the call only. */
  body(bytes: Buffer): void
  /** The response is complete; `reusable` = another request may go out on the connection. */
  end(reusable: boolean): void
}

export class ResponseError extends Error {
  override readonly name = 'ResponseError'
}

const HEAD = 0
const LENGTH = 1
const CHUNK_SIZE = 2
const CHUNK_DATA = 3
const CHUNK_END = 4
const TRAILER = 5
const UNTIL_CLOSE = 6
/** What may follow a chunk's size in its line. */
const CHUNK_EXTENSION = 7

const MAX_SIZE_DIGITS = 12

const HEX = Buffer.from('0123456789abcdefABCDEF')
const AFTER_SIZE = Buffer.from('\r\n; \t')

export class ResponseParser {
  #state = HEAD
  #held: Buffer | undefined
  /** Bytes that the body, or the current chunk, still has. */
  #left = 0
  #digits = 0
  #line = ''
  #reusable = true

  constructor(private readonly sink: ResponseSink) {}

  /** Is a response under way, or nothing of one seen yet? */
  get begun(): boolean {
    return this.#state !== HEAD || this.#held !== undefined
  }

  /** The peer closed. True if that is a proper end of the response under way. */
  close(): boolean {
    if (this.#state !== UNTIL_CLOSE) return false
    this.#finish(false)
    return true
  }

  /** @throws ResponseError for bytes that are no HTTP */
  push(bytes: Buffer): void {
    let at = 0
    if (this.#state === HEAD) {
      const all = this.#held === undefined ? bytes : Buffer.concat([this.#held, bytes])
      at = this.#readHead(all)
      if (at < 0) return
      bytes = all
    }
    if (at >= bytes.length) return
    switch (this.#state) {
      case LENGTH: this.#readLength(bytes, at); break
      case UNTIL_CLOSE: this.sink.body(bytes.subarray(at)); break
      case HEAD: throw new ResponseError('bytes after the end of the response')
      default: this.#readChunks(bytes, at)
    }
  }

  /** Position after the head, or −1 while it is not complete. Heads of status 1xx are passed over. */
  #readHead(bytes: Buffer): number {
    let from = 0
    for (;;) {
      const end = bytes.indexOf('\r\n\r\n', from, 'latin1')
      if (end < 0) {
        if (bytes.length - from > MAX_HEAD_BYTES) throw new ResponseError('the head of the response does not end')
        this.#held = Buffer.from(bytes.subarray(from))
        return -1
      }
      const [statusLine = '', ...lines] = bytes.toString('latin1', from, end).split('\r\n')
      const status = Number(/^HTTP\/1\.[01] (\d{3})/.exec(statusLine)?.[1])
      if (Number.isNaN(status)) throw new ResponseError(`expected an HTTP/1.1 response, got '${statusLine.slice(0, 60)}'`)
      from = end + 4
      if (status < 200) continue
      this.#held = undefined
      const headers = new Map(lines.map(line => {
        const colon = line.indexOf(':')
        return [line.slice(0, colon).toLowerCase(), line.slice(colon + 1).trim()]
      }))
      this.#reusable = !/close/i.test(headers.get('connection') ?? '') && !statusLine.startsWith('HTTP/1.0')
      this.#frame(status, headers)
      return from
    }
  }

  #frame(status: number, headers: ReadonlyMap<string, string>): void {
    const length = headers.get('content-length')
    if (/chunked/i.test(headers.get('transfer-encoding') ?? '')) this.#state = CHUNK_SIZE
    else if (length !== undefined) {
      this.#state = LENGTH
      this.#left = Number(length)
    } else this.#state = status === 204 || status === 304 ? LENGTH : UNTIL_CLOSE
    this.#line = ''
    this.sink.head({ status, headers })
    if (this.#state === LENGTH && this.#left === 0) this.#finish(this.#reusable)
  }

  #readLength(bytes: Buffer, at: number): void {
    const take = Math.min(this.#left, bytes.length - at)
    this.#left -= take
    this.sink.body(bytes.subarray(at, at + take))
    if (this.#left > 0) return
    if (at + take < bytes.length) throw new ResponseError('bytes after the end of the response')
    this.#finish(this.#reusable)
  }

  #readChunks(bytes: Buffer, from: number): void {
    let at = from
    // The body's bytes are moved together towards `from`.
    let to = from
    let ended = false
    while (at < bytes.length && !ended) {
      switch (this.#state) {
        case CHUNK_DATA: {
          const take = Math.min(this.#left, bytes.length - at)
          if (to !== at) bytes.copyWithin(to, at, at + take)
          to += take
          at += take
          this.#left -= take
          if (this.#left === 0) this.#state = CHUNK_END
          break
        }
        case CHUNK_END:
          if (bytes[at++] === LF) this.#state = CHUNK_SIZE
          break
        case CHUNK_SIZE:
          this.#readSize(bytes[at++]!)
          break
        case CHUNK_EXTENSION:
          if (bytes[at++] === LF) this.#sizeRead()
          break
        default: {
          const end = bytes.indexOf(LF, at)
          this.#line += bytes.toString('latin1', at, end < 0 ? bytes.length : end)
          if (this.#line.length > MAX_HEAD_BYTES) throw new ResponseError('a trailer does not end')
          at = end < 0 ? bytes.length : end + 1
          if (end >= 0) {
            ended = this.#line.trim() === ''
            this.#line = ''
          }
        }
      }
    }
    if (to > from) this.sink.body(from === 0 ? beginningOf(bytes, to) : bytes.subarray(from, to))
    if (!ended) return
    if (at < bytes.length) throw new ResponseError('bytes after the end of the response')
    this.#finish(this.#reusable)
  }

  /** The next byte of a line that has a chunk's size. */
  #readSize(byte: number): void {
    const place = HEX.indexOf(byte)
    if (place >= 0 && this.#digits < MAX_SIZE_DIGITS) {
      this.#left = this.#left * 16 + (place < 16 ? place : place - 6)
      this.#digits++
    } else if (this.#digits === 0 || !AFTER_SIZE.includes(byte)) throw new ResponseError('expected the size of a chunk')
    else if (byte === LF) this.#sizeRead()
    else this.#state = CHUNK_EXTENSION
  }

  #sizeRead(): void {
    this.#digits = 0
    this.#state = this.#left === 0 ? TRAILER : CHUNK_DATA
  }

  #finish(reusable: boolean): void {
    this.#state = HEAD
    this.#left = 0
    this.sink.end(reusable)
  }
}
