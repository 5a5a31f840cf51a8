import type { Dispatcher } from 'undici'
import type { Ms } from '../core/index.js'
import type { Upstream } from './upstream.js'

/** Carries a call's ticket from where the backend is chosen to where the call is made; never sent on. */
export const TICKET_HEADER = 'x-sluice-ticket'

export interface PassthroughCall {
  readonly upstream: Upstream
  /** Aborts when the client leaves. */
  readonly signal: AbortSignal
  /** Until the head of the answer. */
  readonly headMs: Ms
  /** Between two chunks of it. */
  readonly idleMs: Ms
}

type RequestOptions = Omit<Dispatcher.RequestOptions, 'headers'> & { headers: Record<string, string | string[] | undefined> }
type Callback = (error: Error | null, response?: Dispatcher.ResponseData) => void

/**
 * What `@fastify/http-proxy` calls in undici's place: it goes to the backend's own connections (its TLS material, no hidden
 * cap, verification on), and with the client's signal, without which a backend would work on for nobody.
 */
export class PassthroughClient {
  readonly #calls = new Map<string, PassthroughCall>()
  #next = 0

  get open(): number {
    return this.#calls.size
  }

  /** The ticket to put into `TICKET_HEADER`. */
  register(call: PassthroughCall): string {
    const ticket = String(this.#next++)
    this.#calls.set(ticket, call)
    return ticket
  }

  discard(ticket: string): void {
    this.#calls.delete(ticket)
  }

  request(options: RequestOptions, callback: Callback): void {
    const ticket = String(options.headers[TICKET_HEADER])
    const call = this.#calls.get(ticket)
    if (call === undefined) {
      callback(new Error('passthrough: a call without a ticket; every call must be registered before it is made'))
      return
    }
    this.#calls.delete(ticket)
    const { [TICKET_HEADER]: _, ...headers } = options.headers
    call.upstream.pool.request({ ...options, headers, signal: call.signal, headersTimeout: call.headMs, bodyTimeout: call.idleMs } as Dispatcher.RequestOptions).then(
      response => callback(null, response),
      (error: Error) => callback(error),
    )
  }
}
