import { Pool, type Dispatcher } from 'undici'
import type { Ms } from '../core/index.js'

/** Where a backend listens. */
export interface UpstreamTarget {
  /** Scheme, host and port. */
  readonly origin: string
  /** Goes in front of every request path; usually ''. */
  readonly basePath: string
  /** PEM. Absent: the system's authorities, no certificate of ours. */
  readonly tls: { readonly ca?: Buffer, readonly cert?: Buffer, readonly key?: Buffer } | undefined
}

export type UpstreamHandler = Dispatcher.DispatchHandler

export interface UpstreamRequest {
  readonly method: string
  /** Path and query, from the slash. */
  readonly path: string
  /** Names and values in turn. */
  readonly headers: string[]
  readonly body: Buffer | undefined
}

/** All connections to one backend. */
export class Upstream {
  readonly pool: Pool
  readonly basePath: string

  constructor(target: UpstreamTarget, connectTimeoutMs: Ms) {
    this.basePath = target.basePath
    this.pool = new Pool(target.origin, poolOptions(connectTimeoutMs, target.tls))
  }

  dispatch(request: UpstreamRequest, handler: UpstreamHandler): void {
    this.pool.dispatch({
      method: request.method as Dispatcher.HttpMethod,
      path: this.basePath + request.path,
      headers: request.headers,
      body: request.body ?? null,
    }, handler)
  }

  /** Idle connections closed, running requests left to finish. */
  close(): Promise<void> {
    return this.pool.close()
  }

  destroy(): Promise<void> {
    return this.pool.destroy()
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
