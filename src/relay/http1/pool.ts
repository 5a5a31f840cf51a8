import type { Clock, Ms } from '../../core/index.js'
import { Connection, type Abortable, type ConnectionOwner, type Endpoint, type ResponseHandler } from './connection.js'

/** uvicorn closes idle connections at 5 s; a reused one must not be closed under us. */
const MAX_IDLE_MS: Ms = 4000
const SWEEP_MS: Ms = 500

export interface PoolRequest {
  readonly method: string
  /** Path and query, from the slash. */
  readonly path: string
  /** Names and values in turn; valid header text. Host and length are added here. */
  readonly headers: readonly string[]
  readonly body: Buffer | undefined
}

/**
 * All connections to one backend. No cap: how much a backend gets is the scheduler's to say, and a hidden queue here would
 * falsify it. The latest used idle one goes first, so that the others can age.
 */
export class ConnectionPool implements ConnectionOwner {
  #endpoint: Endpoint
  readonly #authority: string
  readonly #clock: Clock
  readonly #idle: Connection[] = []
  readonly #all = new Set<Connection>()
  #sweeper: NodeJS.Timeout | undefined
  #closing = false

  constructor(endpoint: Endpoint, authority: string, clock: Clock) {
    this.#endpoint = endpoint
    this.#authority = authority
    this.#clock = clock
  }

  get size(): number {
    return this.#all.size
  }

  /** For connections that are opened from now on. */
  set connectTimeoutMs(connectTimeoutMs: Ms) {
    this.#endpoint = { ...this.#endpoint, connectTimeoutMs }
  }

  dispatch(request: PoolRequest, handler: ResponseHandler): void {
    const head = this.#headOf(request)
    const connection = this.#idleOne()
    if (connection === undefined) this.dispatchAnew(request, head, handler)
    else connection.send(head, request.body, request.method === 'HEAD', new Revival(handler, connection, this, request, head))
  }

  /** The latest used one that leads where the host's name leads now: one that does not would keep a moved backend's traffic at its old address. */
  #idleOne(): Connection | undefined {
    const { host, names } = this.#endpoint
    for (let connection = this.#idle.pop(); connection !== undefined; connection = this.#idle.pop()) {
      if (names === undefined || connection.address === undefined || names.holds(host, connection.address)) return connection
      connection.destroy()
    }
    return undefined
  }

  /** On a connection of its own. */
  dispatchAnew(request: PoolRequest, head: string, handler: ResponseHandler): void {
    const connection = new Connection(this.#endpoint, this, {
      ready: ready => ready.send(head, request.body, request.method === 'HEAD', handler),
      failed: error => handler.onError(error),
    })
    this.#all.add(connection)
    handler.onOpening?.(connection)
  }

  #headOf({ method, path, headers, body }: PoolRequest): string {
    const lines = [`${method} ${path} HTTP/1.1`, `host: ${this.#authority}`]
    for (let i = 0; i + 1 < headers.length; i += 2) lines.push(`${headers[i]!}: ${headers[i + 1]!}`)
    if (body !== undefined) lines.push(`content-length: ${body.length}`)
    lines.push('', '')
    // Joined, it is one string; added up, it would be a tree of some fifty that lives until the answer begins.
    return lines.join('\r\n')
  }

  // What connections say.

  idle(connection: Connection): void {
    if (this.#closing) return connection.destroy()
    connection.idleSinceMs = this.#clock.now()
    connection.rest()
    this.#idle.push(connection)
    this.#sweeper ??= setInterval(() => this.#sweep(), SWEEP_MS).unref()
  }

  gone(connection: Connection): void {
    this.#all.delete(connection)
    const at = this.#idle.indexOf(connection)
    if (at >= 0) this.#idle.splice(at, 1)
  }

  /** The oldest stand in front. */
  #sweep(): void {
    const nowMs = this.#clock.now()
    while (this.#idle.length > 0 && nowMs - this.#idle[0]!.idleSinceMs >= MAX_IDLE_MS - SWEEP_MS) this.#idle.shift()!.destroy()
    if (this.#idle.length > 0) return
    clearInterval(this.#sweeper)
    this.#sweeper = undefined
  }

  /** Idle connections close now, the others after what they carry. */
  close(): void {
    this.#closing = true
    for (const connection of this.#idle.splice(0)) connection.destroy()
  }

  destroy(): void {
    this.close()
    for (const connection of this.#all) connection.destroy()
  }
}

/**
 * A request on a connection that had served before. When the backend closed it in the same instant, without a byte of an
 * answer, the request goes out once more on a fresh one: it is the connection that failed, not the backend.
 */
class Revival implements ResponseHandler {
  readonly #handler: ResponseHandler
  readonly #connection: Connection
  readonly #pool: ConnectionPool
  readonly #head: string
  readonly #request: PoolRequest

  constructor(handler: ResponseHandler, connection: Connection, pool: ConnectionPool, request: PoolRequest, head: string) {
    this.#handler = handler
    this.#connection = connection
    this.#pool = pool
    this.#request = request
    this.#head = head
  }

  onConnect(connection: Abortable): void { this.#handler.onConnect(connection) }

  /** An answer has begun: from here on it is the handler's alone. */
  onHeaders(status: number, raw: string[], resume: () => void): void {
    this.#connection.handOver(this, this.#handler)
    this.#handler.onHeaders(status, raw, resume)
  }

  // These come after the head.
  onData(): boolean { return false }
  onComplete(): void {}

  onError(error: Error & { code?: string }): void {
    if (this.#connection.stale && (error.code === 'ECONNRESET' || error.code === 'EPIPE')) this.#pool.dispatchAnew(this.#request, this.#head, this.#handler)
    else this.#handler.onError(error)
  }
}
