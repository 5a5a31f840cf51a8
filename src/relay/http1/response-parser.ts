/**
 * HTTP/1.1 answers (RFC 9112) out of a byte stream, strictly: what two readers could read in two ways is an error, so that
 * no answer can be mistaken for a part of another one.
 */

/** What is told of one answer, in this order: `onHead` (also for interim ones, status < 200), `onBody`…, `onEnd`. */
export interface ResponseSink {
  /** `raw`: names as they came and values, in turn. */
  onHead(status: number, raw: string[]): void
  /** Bytes of the body without framing; a view into what was given to `execute`. */
  onBody(bytes: Buffer): void
  /** `reusable`: the connection may carry another request. */
  onEnd(reusable: boolean): void
}

export class ResponseError extends Error {
  readonly code = 'ERR_UPSTREAM_PROTOCOL'
}

const enum State { Head, Length, ChunkSize, ChunkExtension, ChunkSizeLf, ChunkData, ChunkDataCr, ChunkDataLf, Trailer, UntilClose, Done }

const CR = 13
const LF = 10
const MAX_HEAD_BYTES = 32 * 1024
/** Chunk extensions and trailers mean nothing to us; a backend that sends more of them than this is at fault. */
const MAX_EXTRA_BYTES = 16 * 1024
const NO_BYTES = Buffer.alloc(0)

const STATUS_LINE = /^HTTP\/1\.([01]) (\d{3})(?: [^\r\n]*)?$/
const FIELD_NAME = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/
const FIELD_VALUE = /^[\t\x20-\x7e\x80-\xff]*$/
const DECIMAL = /^\d{1,15}$/

export class ResponseParser {
  readonly #sink: ResponseSink
  #state: State = State.Head
  #head: Buffer = NO_BYTES
  /** Bytes left of the body, or of the chunk. */
  #left = 0
  #digits = 0
  #extra = 0
  /** A trailer line has bytes so far. */
  #lineStarted = false
  #reusable = true
  #noBody = false

  constructor(sink: ResponseSink) {
    this.#sink = sink
  }

  /** Ready for the next answer. `toHead`: the request was a HEAD, so its answer has no body. */
  reset(toHead = false): void {
    this.#state = State.Head
    this.#head = NO_BYTES
    this.#left = 0
    this.#extra = 0
    this.#reusable = true
    this.#noBody = toHead
  }

  /** Was a byte of the answer seen? */
  get begun(): boolean {
    return this.#state !== State.Head || this.#head.length > 0
  }

  /** @throws ResponseError where the bytes are no valid answer; the connection is then to be destroyed. */
  execute(bytes: Buffer): void {
    let at = 0
    const end = bytes.length
    while (at < end) {
      switch (this.#state) {
        case State.Head:
          at = this.#readHead(bytes, at)
          break
        case State.Length: {
          const take = Math.min(this.#left, end - at)
          this.#left -= take
          this.#sink.onBody(take === end ? bytes : bytes.subarray(at, at + take))
          at += take
          if (this.#left === 0) this.#finish()
          break
        }
        case State.ChunkSize: {
          const byte = bytes[at++]!
          const digit = byte >= 48 && byte <= 57 ? byte - 48 : byte >= 97 && byte <= 102 ? byte - 87 : byte >= 65 && byte <= 70 ? byte - 55 : -1
          if (digit >= 0) {
            if (++this.#digits > 12) throw new ResponseError('a chunk size has more digits than any chunk needs')
            this.#left = this.#left * 16 + digit
          } else if (this.#digits === 0) {
            throw new ResponseError('a chunk does not begin with its size')
          } else if (byte === CR) {
            this.#state = State.ChunkSizeLf
          } else if (byte === 59 || byte === 32 || byte === 9) {
            this.#state = State.ChunkExtension
          } else {
            throw new ResponseError('a chunk size has a character that is no hexadecimal digit')
          }
          break
        }
        case State.ChunkExtension: {
          const byte = bytes[at++]!
          if (byte === CR) this.#state = State.ChunkSizeLf
          else if (byte === LF || ++this.#extra > MAX_EXTRA_BYTES) throw new ResponseError('a chunk extension is malformed or too long')
          break
        }
        case State.ChunkSizeLf:
          if (bytes[at++] !== LF) throw new ResponseError('a chunk size does not end in CR LF')
          this.#digits = 0
          this.#state = this.#left === 0 ? State.Trailer : State.ChunkData
          break
        case State.ChunkData: {
          const take = Math.min(this.#left, end - at)
          this.#left -= take
          this.#sink.onBody(bytes.subarray(at, at + take))
          at += take
          if (this.#left === 0) this.#state = State.ChunkDataCr
          break
        }
        case State.ChunkDataCr:
          if (bytes[at++] !== CR) throw new ResponseError('a chunk is longer than its size says')
          this.#state = State.ChunkDataLf
          break
        case State.ChunkDataLf:
          if (bytes[at++] !== LF) throw new ResponseError('a chunk does not end in CR LF')
          this.#state = State.ChunkSize
          break
        case State.Trailer:
          at = this.#skipTrailer(bytes, at)
          break
        case State.UntilClose:
          this.#sink.onBody(at === 0 ? bytes : bytes.subarray(at))
          return
        case State.Done:
          throw new ResponseError('the backend sent bytes that belong to no answer')
      }
    }
  }

  /** The backend closed the connection. True where that is the proper end of the answer. */
  closed(): boolean {
    if (this.#state !== State.UntilClose) return false
    this.#state = State.Done
    this.#sink.onEnd(false)
    return true
  }

  /** Takes what belongs to the head; answers where the rest begins. */
  #readHead(bytes: Buffer, at: number): number {
    const before = this.#head.length
    const all = before === 0 ? bytes.subarray(at) : Buffer.concat([this.#head, bytes.subarray(at)])
    const end = all.indexOf('\r\n\r\n', Math.max(0, before - 3), 'latin1')
    if (end < 0 ? all.length > MAX_HEAD_BYTES : end > MAX_HEAD_BYTES) throw new ResponseError(`the head of the answer is larger than ${MAX_HEAD_BYTES} bytes`)
    if (end < 0) {
      this.#head = before === 0 ? Buffer.from(all) : all
      return bytes.length
    }
    this.#head = NO_BYTES
    this.#begin(all.toString('latin1', 0, end))
    return at + end + 4 - before
  }

  #begin(head: string): void {
    const lines = head.split('\r\n')
    const status = STATUS_LINE.exec(lines[0]!)
    if (status === null) throw new ResponseError('the answer does not begin with an HTTP/1.1 status line')
    const code = Number(status[2])
    const raw: string[] = []
    let length: string | undefined
    let encoding: string | undefined
    let connection = ''
    for (let i = 1; i < lines.length; i++) {
      const line = lines[i]!
      const colon = line.indexOf(':')
      const name = line.slice(0, colon)
      const value = line.slice(colon + 1).trim()
      if (colon <= 0 || !FIELD_NAME.test(name) || !FIELD_VALUE.test(value)) throw new ResponseError('a header of the answer is malformed')
      raw.push(name, value)
      switch (name.length) {
        case 10: if (name.toLowerCase() === 'connection') connection += `,${value.toLowerCase()}`; break
        case 14:
          if (name.toLowerCase() !== 'content-length') break
          if (!DECIMAL.test(value) || (length !== undefined && length !== value)) throw new ResponseError('the length of the answer is not one plain number')
          length = value
          break
        case 17:
          if (name.toLowerCase() !== 'transfer-encoding') break
          if (encoding !== undefined || value.toLowerCase() !== 'chunked') throw new ResponseError('the answer has a transfer encoding other than chunked')
          encoding = value
          break
      }
    }
    if (length !== undefined && encoding !== undefined) throw new ResponseError('the answer has both a length and a transfer encoding')
    if (code === 101) throw new ResponseError('the backend switched protocols, which nobody asked for')
    if (code < 200) {
      this.#sink.onHead(code, raw)
      return
    }
    const minor = status[1]
    const close = /(?:^|,)\s*close\s*(?:,|$)/.test(connection)
    this.#reusable = !close && minor === '1'
    // Decided before the head is told: whoever is told may end the connection.
    const bodiless = this.#noBody || code === 204 || code === 304
    if (!bodiless) {
      if (encoding !== undefined) {
        this.#state = State.ChunkSize
        this.#digits = 0
        this.#left = 0
      } else if (length === undefined) {
        this.#state = State.UntilClose
      } else {
        this.#left = Number(length)
        this.#state = State.Length
      }
    }
    this.#sink.onHead(code, raw)
    if (bodiless || (this.#state === State.Length && this.#left === 0)) this.#finish()
  }

  #skipTrailer(bytes: Buffer, from: number): number {
    for (let at = from; at < bytes.length; at++) {
      if (++this.#extra > MAX_EXTRA_BYTES) throw new ResponseError('the trailers of the answer are too long')
      const byte = bytes[at]!
      if (byte === LF) {
        if (!this.#lineStarted) {
          this.#finish()
          return at + 1
        }
        this.#lineStarted = false
      } else if (byte !== CR) {
        this.#lineStarted = true
      }
    }
    return bytes.length
  }

  #finish(): void {
    this.#state = State.Done
    this.#sink.onEnd(this.#reusable)
  }
}
