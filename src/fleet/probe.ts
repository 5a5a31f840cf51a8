import { Pool } from 'undici'
import type { Bytes, Ms } from '../core/index.js'
import { isOwnShortage } from '../protocol/index.js'
import type { Names } from './names.js'
import type { TlsMaterial } from './types.js'

/** One answer, whole and bounded. */
export interface ProbeAnswer {
  readonly status: number
  readonly body: string
}

/** Why a probe got no answer. The message is fit for people and never holds a secret. */
export class ProbeError extends Error {
  override readonly name = 'ProbeError'
  /** Nobody listens at the address: the process is gone, or not there yet. */
  readonly refused: boolean
  /** Nothing was asked, for want of a file or a port on this machine. */
  readonly ownShortage: boolean

  constructor(message: string, refused: boolean, ownShortage = false) {
    super(message)
    this.refused = refused
    this.ownShortage = ownShortage
  }
}

export interface ProbeTarget {
  readonly origin: string
  readonly basePath: string
  readonly apiKey: string | undefined
  readonly tls: TlsMaterial | undefined
}

const MAX_HEADER_BYTES = 64 * 1024

/** A connection is used for this long, then a new one opened: so a host whose address has changed is checked where it is now. */
const CONNECTION_MS = 5_000

/**
 * Small GETs to one backend over connections of their own, so that checks never wait behind streams. Idle connections are
 * closed before uvicorn's 5 s.
 */
export class ProbeClient {
  readonly #pool: Pool
  readonly #target: ProbeTarget

  constructor(target: ProbeTarget, names?: Names) {
    this.#target = target
    this.#pool = new Pool(target.origin, {
      connections: 3,
      pipelining: 1,
      keepAliveTimeout: 4_000,
      keepAliveMaxTimeout: 4_000,
      maxHeaderSize: MAX_HEADER_BYTES,
      headersTimeout: 0,
      bodyTimeout: 0,
      clientTtl: CONNECTION_MS,
      connect: { timeout: 30_000, ...(names === undefined ? {} : { lookup: names.lookup }), ...target.tls },
    })
  }

  /** One GET within `timeoutMs`, connect and body included. Redirects are answers, not followed. */
  async get(path: string, timeoutMs: Ms, maxBytes: Bytes): Promise<ProbeAnswer> {
    const abort = new AbortController()
    const { signal } = abort
    // An answer that came while this process stood still is read first, and is in time.
    const timer = setTimeout(() => { setImmediate(() => { abort.abort() }) }, timeoutMs)
    const { apiKey, basePath } = this.#target
    try {
      const answer = await this.#pool.request({
        method: 'GET',
        path: basePath + path,
        signal,
        headers: {
          // OpenMetrics has other names and trailing marks; this keeps servers from choosing it.
          accept: 'application/json, text/plain;version=0.0.4;q=0.9, */*;q=0.1',
          'accept-encoding': 'identity',
          ...(apiKey === undefined ? {} : { authorization: `Bearer ${apiKey}` }),
        },
      })
      const chunks: Buffer[] = []
      let bytes = 0
      for await (const chunk of answer.body as AsyncIterable<Buffer>) {
        bytes += chunk.length
        if (bytes > maxBytes) throw new ProbeError(`${path} answered with more than ${maxBytes} bytes`, false)
        chunks.push(chunk)
      }
      return { status: answer.statusCode, body: Buffer.concat(chunks).toString('utf8') }
    } catch (error) {
      if (error instanceof ProbeError) throw error
      if (signal.aborted) throw new ProbeError(`${path} gave no whole answer within ${timeoutMs} ms`, false)
      throw new ProbeError(...describe(error))
    } finally {
      clearTimeout(timer)
    }
  }

  /** Probes under way fail at once. */
  async close(): Promise<void> {
    await this.#pool.destroy()
  }
}

const WORDS: Readonly<Record<string, string>> = {
  ECONNREFUSED: 'connection refused',
  ECONNRESET: 'connection reset',
  ENOTFOUND: 'host name not found',
  EAI_AGAIN: 'host name lookup failed',
  EHOSTUNREACH: 'host unreachable',
  ENETUNREACH: 'network unreachable',
  UND_ERR_CONNECT_TIMEOUT: 'no connection in time',
  UND_ERR_SOCKET: 'connection closed by the server',
}

function describe(error: unknown): [message: string, refused: boolean, ownShortage: boolean] {
  const code = codeOf(error)
  return [code === undefined ? 'unreadable answer' : WORDS[code] ?? code, code === 'ECONNREFUSED', isOwnShortage(code)]
}

function codeOf(error: unknown): string | undefined {
  if (error instanceof AggregateError && error.errors.length > 0) return codeOf(error.errors[0])
  if (!(error instanceof Error)) return undefined
  const { code } = error as NodeJS.ErrnoException
  return code ?? (error.cause === undefined ? undefined : codeOf(error.cause))
}
