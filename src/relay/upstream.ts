import { isIP } from 'node:net'
import { Pool } from 'undici'
import type { Clock, Ms } from '../core/index.js'
import type { HostNames, ResponseHandler } from './http1/connection.js'
import { ConnectionPool } from './http1/pool.js'

/** Where a backend listens. */
export interface UpstreamTarget {
  /** Scheme, host and port. */
  readonly origin: string
  /** Goes in front of every request path; usually ''. */
  readonly basePath: string
  /** PEM. Absent: the system's authorities, no certificate of ours. */
  readonly tls: { readonly ca?: Buffer, readonly cert?: Buffer, readonly key?: Buffer } | undefined
  /** Looks the host's name up; absent: the system does. */
  readonly names?: HostNames | undefined
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
  #connectTimeoutMs: Ms
  #passthrough: Pool | undefined

  constructor(target: UpstreamTarget, connectTimeoutMs: Ms, clock: Clock) {
    this.basePath = target.basePath
    this.#target = target
    this.#connectTimeoutMs = connectTimeoutMs
    const { hostname, port, protocol, host: authority } = new URL(target.origin)
    const secure = protocol === 'https:'
    const host = hostname.replace(/^\[|\]$/g, '')
    this.#connections = new ConnectionPool({
      host,
      port: port === '' ? (secure ? 443 : 80) : Number(port),
      tls: secure ? target.tls ?? {} : undefined,
      connectTimeoutMs,
      names: isIP(host) > 0 ? undefined : target.names,
    }, authority, clock)
  }

  /** For connections that are opened from now on; those of calls passed through keep the one they began with. */
  set connectTimeoutMs(connectTimeoutMs: Ms) {
    this.#connectTimeoutMs = connectTimeoutMs
    this.#connections.connectTimeoutMs = connectTimeoutMs
  }

  /** Open and opening; calls passed through left out. */
  get connections(): number {
    return this.#connections.size
  }

  dispatch(request: UpstreamRequest, handler: ResponseHandler): void {
    this.#connections.dispatch({ ...request, path: this.basePath + request.path }, handler)
  }

  /** For `@fastify/http-proxy`. */
  get pool(): Pool {
    return this.#passthrough ??= new Pool(this.#target.origin, poolOptions(this.#connectTimeoutMs, this.#target))
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
export function poolOptions(connectTimeoutMs: Ms, { tls, names }: Pick<UpstreamTarget, 'tls' | 'names'>): Pool.Options {
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
    // A host whose address has changed is followed within this time, however busy the connection.
    clientTtl: 30_000,
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
      ...(names === undefined ? {} : { lookup: names.lookup }),
      ...tls,
    },
  }
}
