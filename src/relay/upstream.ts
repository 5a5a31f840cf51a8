import { Pool } from 'undici'
import type { Clock, Ms } from '../core/index.js'
import type { ResponseHandler } from './http1/connection.js'
import { ConnectionPool } from './http1/pool.js'

/** Where a backend listens. */
export interface UpstreamTarget {
  /** Scheme, host and port. */
  readonly origin: string
  /** Goes in front of every request path; usually ''. */
  readonly basePath: string
  /** PEM. Absent: the system's authorities, no certificate of ours. */
  readonly tls: { readonly ca?: Buffer, readonly cert?: Buffer, readonly key?: Buffer } | undefined
}

export interface UpstreamRequest {
  readonly method: string
  /** Path and query, from the slash. */
  readonly path: string
  /** Names and values in turn. */
  readonly headers: string[]
  readonly body: Buffer | undefined
}

/**
 * All connections to one backend. Attempts go over our own (http1/), which do less per event than undici: no parser in
 * WebAssembly, no readable stream per socket, no 64 KiB set aside per read. Calls that are merely passed through go over
 * undici's.
 */
export class Upstream {
  readonly basePath: string
  readonly #connections: ConnectionPool
  readonly #target: UpstreamTarget
  readonly #connectTimeoutMs: Ms
  #passthrough: Pool | undefined

  constructor(target: UpstreamTarget, connectTimeoutMs: Ms, clock: Clock) {
    this.basePath = target.basePath
    this.#target = target
    this.#connectTimeoutMs = connectTimeoutMs
    const { hostname, port, protocol, host } = new URL(target.origin)
    const secure = protocol === 'https:'
    this.#connections = new ConnectionPool({
      host: hostname.replace(/^\[|\]$/g, ''),
      port: port === '' ? (secure ? 443 : 80) : Number(port),
      tls: secure ? target.tls ?? {} : undefined,
      connectTimeoutMs,
    }, host, clock)
  }

  dispatch(request: UpstreamRequest, handler: ResponseHandler): void {
    this.#connections.dispatch({ ...request, path: this.basePath + request.path }, handler)
  }

  /** For `@fastify/http-proxy`. */
  get pool(): Pool {
    return this.#passthrough ??= new Pool(this.#target.origin, poolOptions(this.#connectTimeoutMs, this.#target.tls))
  }

  /** Idle connections closed, running requests left to finish. */
  async close(): Promise<void> {
    this.#connections.close()
    await this.#passthrough?.close()
  }

  async destroy(): Promise<void> {
    this.#connections.destroy()
    await this.#passthrough?.destroy()
  }
}

/** Every option that matters is said here, and none is left to a default of the library. */
export function poolOptions(connectTimeoutMs: Ms, tls: UpstreamTarget['tls']): Pool.Options {
  return {
    // No cap: how much a backend gets is the scheduler's to say, and a hidden queue here would falsify it.
    connections: null,
    // One request at a time on a connection: destroying the socket is then an abort of that request alone.
    pipelining: 1,
    allowH2: false,
    // uvicorn closes idle connections at 5 s; a reused one must not be closed under us.
    keepAliveTimeout: 4000,
    keepAliveMaxTimeout: 4000,
    keepAliveTimeoutThreshold: 1000,
    // Ours apply (relay/attempt.ts): per phase, and swept in one go.
    headersTimeout: 0,
    bodyTimeout: 0,
    maxHeaderSize: 32 * 1024,
    strictContentLength: true,
    connect: {
      timeout: connectTimeoutMs,
      keepAlive: true,
      noDelay: true,
      rejectUnauthorized: true,
      ...tls,
    },
  }
}
