import { connect as connectTcp, isIP, type LookupFunction, type Socket } from 'node:net'
import { connect as connectTls } from 'node:tls'
import type { Ms } from '../../core/index.js'
import { leaveTogether, type Writer } from '../turn.js'
import { Shortcut } from '../shortcut.js'
import { ResponseError, ResponseParser, type ResponseSink } from './response-parser.js'

/** What is known of a host by its name. */
export interface HostNames {
  /** In place of the system's own. */
  readonly lookup: LookupFunction
  /** Is this still an address of the host, as far as anybody knows? */
  holds(host: string, address: string): boolean
}

/** Where and how to connect. */
export interface Endpoint {
  readonly host: string
  readonly port: number
  /** Undefined: plain TCP. Certificates are always verified. */
  readonly tls: { readonly ca?: Buffer, readonly cert?: Buffer, readonly key?: Buffer } | undefined
  readonly connectTimeoutMs: Ms
  /** Undefined: the host is an address, or the system looks it up. */
  readonly names: HostNames | undefined
}

/** What a request goes over, as far as its sender may touch it. Nothing is told after `destroy`. */
export interface Abortable {
  destroy(): void
}

/** Who makes a request, and is told what comes of it. */
export interface ResponseHandler {
  /** A connection is being opened for the request. */
  onOpening?(connection: Abortable): void
  /** The connection is there and the request is being written. */
  onConnect(connection: Abortable): void
  /** Also for interim answers (status < 200). `raw`: names and values in turn. `resume`: go on after `onData` answered false. */
  onHeaders(status: number, raw: string[], resume: () => void): void
  /** Part of the body: `bytes` from `from` up to `to`, valid until it returns. False: enough for now. What was read already still comes. */
  onData(bytes: Buffer, from: number, to: number): boolean
  onComplete(): void
  onError(error: Error & { code?: string }): void
}

/** Who waits for a connection to be there: told one of the two, once. */
export interface Opening {
  ready(connection: Connection): void
  failed(error: Error & { code?: string }): void
}

/** What a connection tells the pool that owns it. */
export interface ConnectionOwner {
  idle(connection: Connection): void
  gone(connection: Connection): void
}

export class ConnectionError extends Error {
  readonly code: string
  constructor(code: string, message: string) {
    super(message)
    this.code = code
  }
}

/** Every read of every plain connection lands here: Node would otherwise set 64 KiB aside per read. Who wants to keep some of it copies that. */
const READ_BUFFER = Buffer.allocUnsafeSlow(64 * 1024)
/** Where requests are put together; larger ones go out in two pieces. */
const SEND_BUFFER = Buffer.allocUnsafeSlow(16 * 1024)
const NO_BYTES = Buffer.alloc(0)

/** One connection to a backend, one request at a time: destroying it is then an abort of that request alone. */
export class Connection implements ResponseSink, Writer {
  // What each read touches stands first, and together; see `ClientStream`.
  #handler: ResponseHandler | undefined
  readonly #parser = new ResponseParser(this)
  #complete = false
  #paused = false
  readonly #socket: Socket
  readonly #owner: ConnectionOwner
  readonly #resume = (): void => { this.#socket.resume() }
  /** In a field, not in a listener's scope: that lives as long as the connection, and would keep its first request alive. */
  #opening: Opening | undefined
  /** What is still to be sent. */
  #head = ''
  #body: Buffer | undefined
  /** While nothing is queued on the socket. */
  #shortcut: Shortcut | undefined
  #address: string | undefined
  #reusable = false
  /** Requests before the present one. */
  served = 0
  idleSinceMs: Ms = 0

  constructor(endpoint: Endpoint, owner: ConnectionOwner, opening: Opening) {
    this.#owner = owner
    this.#opening = opening
    const { host, port, tls, names, connectTimeoutMs } = endpoint
    const plain = tls === undefined
    const where = names === undefined ? { host, port } : { host, port, lookup: names.lookup }
    this.#socket = plain
      ? connectTcp({ ...where, noDelay: true, keepAlive: true, onread: { buffer: READ_BUFFER, callback: bytesRead => this.#onRead(READ_BUFFER, bytesRead) } })
      : connectTls({ ...where, ...(isIP(host) > 0 ? {} : { servername: host }), rejectUnauthorized: true, ALPNProtocols: ['http/1.1'], ...tls })
    const timer = setTimeout(() => this.#socket.destroy(new ConnectionError('ERR_CONNECT_TIMEOUT', `no connection within ${connectTimeoutMs} ms`)), connectTimeoutMs)
    this.#socket.once(plain ? 'connect' : 'secureConnect', () => {
      clearTimeout(timer)
      this.#address = this.#socket.remoteAddress
      if (!plain) this.#socket.setNoDelay(true).setKeepAlive(true).on('data', (bytes: Buffer) => this.#onRead(bytes, bytes.length))
      this.#opened()?.ready(this)
    })
    this.#socket.on('error', error => {
      clearTimeout(timer)
      const waiting = this.#opened()
      if (waiting !== undefined) waiting.failed(error)
      else this.#fail(error)
    })
    this.#socket.on('end', () => this.#onEndOfInput())
    this.#socket.on('close', () => {
      clearTimeout(timer)
      this.#opened()?.failed(new ConnectionError('ERR_CONNECT', 'the connection closed before it was there'))
      this.#fail(new ConnectionError('ECONNRESET', 'the backend closed the connection'))
      this.#owner.gone(this)
    })
  }

  /** Where it leads; undefined before it is there. */
  get address(): string | undefined {
    return this.#address
  }

  /** Was nothing of the answer seen yet, on a connection that had served before? Then the backend closed it under us. */
  get stale(): boolean {
    return this.served > 0 && !this.#parser.begun
  }

  send(head: string, body: Buffer | undefined, toHead: boolean, handler: ResponseHandler): void {
    this.#handler = handler
    this.#complete = false
    this.#paused = false
    this.#parser.reset(toHead)
    this.#socket.ref()
    handler.onConnect(this)
    if (this.#handler !== handler) return
    this.#head = head
    this.#body = body
    leaveTogether(this)
  }

  flush(): void {
    const head = this.#head
    const body = this.#body ?? NO_BYTES
    const size = head.length + body.length
    this.#head = ''
    this.#body = undefined
    if (this.#socket.destroyed) return
    if (size > SEND_BUFFER.length) {
      this.#socket.cork()
      this.#queue(Buffer.from(head, 'latin1'))
      this.#queue(body)
      this.#socket.uncork()
      return
    }
    // One buffer, one segment: cheaper than a gathering write.
    SEND_BUFFER.write(head, 0, 'latin1')
    body.copy(SEND_BUFFER, head.length)
    this.#shortcut ??= Shortcut.of(this.#socket)
    const taken = this.#shortcut?.write(SEND_BUFFER, 0, size) ?? 0
    if (taken < size) this.#queue(Buffer.from(SEND_BUFFER.subarray(taken, size)))
  }

  #queue(bytes: Buffer): void {
    this.#shortcut = undefined
    this.#socket.write(bytes)
  }

  /** From now on `successor` is told in its place. */
  handOver(handler: ResponseHandler, successor: ResponseHandler): void {
    if (this.#handler === handler) this.#handler = successor
  }

  /** Nothing more is told to the handler. */
  destroy(): void {
    this.#handler = undefined
    this.#opening = undefined
    this.#socket.destroy()
  }

  /** An idle connection does not keep the process alive. */
  rest(): void {
    this.#socket.unref()
  }

  #opened(): Opening | undefined {
    const opening = this.#opening
    this.#opening = undefined
    return opening
  }

  // What the socket says.

  #onRead(bytes: Buffer, end: number): boolean {
    try {
      if (this.#handler === undefined) throw new ResponseError('the backend sent bytes that belong to no answer')
      this.#parser.execute(bytes, end)
    } catch (error) {
      if (!(error instanceof ResponseError)) throw error
      this.#fail(error)
      this.#socket.destroy()
      return false
    }
    if (this.#complete) this.#release()
    else if (this.#paused) {
      this.#paused = false
      this.#socket.pause()
    }
    return true
  }

  #onEndOfInput(): void {
    if (this.#handler !== undefined && this.#parser.closed()) this.#release()
    else this.#fail(new ConnectionError('ECONNRESET', 'the backend closed the connection'))
    this.#socket.destroy()
  }

  #fail(error: Error & { code?: string }): void {
    const handler = this.#handler
    this.#handler = undefined
    handler?.onError(error)
  }

  #release(): void {
    this.#complete = false
    const handler = this.#handler
    this.#handler = undefined
    this.served++
    if (this.#reusable && !this.#socket.destroyed) this.#owner.idle(this)
    else this.#socket.destroy()
    handler?.onComplete()
  }

  // What the parser says.

  onHead(status: number, raw: string[]): void {
    this.#handler?.onHeaders(status, raw, this.#resume)
  }

  onBody(bytes: Buffer, from: number, to: number): void {
    if (this.#handler?.onData(bytes, from, to) === false) this.#paused = true
  }

  onEnd(reusable: boolean): void {
    this.#complete = true
    this.#reusable = reusable
  }
}
