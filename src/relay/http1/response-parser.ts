/**
 * HTTP/1.1 answers (RFC 9112) out of a byte stream, strictly: what two readers could read in two ways is an error, so that
 * no answer can be mistaken for a part of another one.
 */

/** What is told of one answer, in this order: `onHead` (also for interim ones, status < 200), `onBody`…, `onEnd`. */
export interface ResponseSink {
  /** `raw`: names as they came and values, in turn. */
  onHead(status: number, raw: string[]): void
  /** Part of the body: what was given to `execute`, from `from` up to `to`, and no longer than that is valid. */
  onBody(bytes: Buffer, from: number, to: number): void
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
/** All of them with one expression, not with two for each. */
const FIELDS = /^(?:\r\n[!#$%&'*+\-.^_`|~0-9A-Za-z]+:[\t\x20-\x7e\x80-\xff]*)*$/
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

  /**
   * Takes `bytes` up to `end`.
   * @throws ResponseError where the bytes are no valid answer; the connection is then to be destroyed.
   */
  execute(bytes: Buffer, end = bytes.length): void {
    let at = 0
    while (at < end) {
      switch (this.#state) {
        case State.Head:
          at = this.#readHead(bytes, at, end)
          break
        case State.Length: {
          const take = Math.min(this.#left, end - at)
          this.#left -= take
          this.#sink.onBody(bytes, at, at + take)
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
          this.#sink.onBody(bytes, at, at + take)
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
          at = this.#skipTrailer(bytes, at, end)
          break
        case State.UntilClose:
          this.#sink.onBody(bytes, at, end)
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
  #readHead(bytes: Buffer, at: number, end: number): number {
    const before = this.#head.length
    const all = before === 0 ? bytes.subarray(at, end) : Buffer.concat([this.#head, bytes.subarray(at, end)])
    const headEnd = all.indexOf('\r\n\r\n', Math.max(0, before - 3), 'latin1')
    if (headEnd < 0 ? all.length > MAX_HEAD_BYTES : headEnd > MAX_HEAD_BYTES) throw new ResponseError(`the head of the answer is larger than ${MAX_HEAD_BYTES} bytes`)
    if (headEnd < 0) {
      this.#head = before === 0 ? Buffer.from(all) : all
      return end
    }
    this.#head = NO_BYTES
    this.#begin(all.toString('latin1', 0, headEnd))
    return at + headEnd + 4 - before
  }

  #begin(head: string): void {
    let end = head.indexOf('\r\n')
    if (end < 0) end = head.length
    const status = STATUS_LINE.exec(head.slice(0, end))
    if (status === null) throw new ResponseError('the answer does not begin with an HTTP/1.1 status line')
    if (!FIELDS.test(head.slice(end))) throw new ResponseError('a header of the answer is malformed')
    const code = Number(status[2])
    const raw: string[] = []
    let length: string | undefined
    let encoding: string | undefined
    let connection = ''
    while (end < head.length) {
      const start = end + 2
      const colon = head.indexOf(':', start)
      end = head.indexOf('\r\n', colon)
      if (end < 0) end = head.length
      const name = head.slice(start, colon)
      const value = head.slice(colon + 1, end).trim()
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

  #skipTrailer(bytes: Buffer, from: number, end: number): number {
    for (let at = from; at < end; at++) {
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
    return end
  }

  #finish(): void {
    this.#state = State.Done
    this.#sink.onEnd(this.#reusable)
  }
}
