import { connect as connectTcp, type Socket } from 'node:net'
import { connect as connectTls } from 'node:tls'
import type { Target } from '../types.js'
import { beginningOf, READ_BUFFER } from './read-buffer.js'
import { ResponseParser, type ResponseHead } from './response-parser.js'

/** What becomes of one request. Exactly one of `end` and `failed` comes, and it comes last. */
export interface ResponseReader {
  head(head: ResponseHead): void
  /** Valid during the call only. */
  body(bytes: Buffer): void
  end(): void
  failed(error: Error): void
}

/** A request on its way. */
export interface InFlight {
  /** Closes its connection; nothing is heard of it any more. */
  abort(): void
}

/**
 * Keep-alive connections to one target: as many as there are requests at once, idle ones reused. A kept connection that the peer has closed
 * in the meantime costs a second try on a fresh one, never a failure.
 */
export class Connections {
  readonly #idle: Connection[] = []
  readonly #all = new Set<Connection>()

  constructor(private readonly target: Target) {}

  /** Has one ready for the next request, or on its way. */
  open(): void {
    if (this.#idle.length === 0) this.#idle.push(this.#connect())
  }

  send(bytes: Buffer, reader: ResponseReader): InFlight {
    const flight = new Flight(bytes, reader)
    const idle = this.#idle.pop()
    flight.mayRetry = idle !== undefined
    ;(idle ?? this.#connect()).start(flight)
    return flight
  }

  close(): void {
    for (const connection of this.#all) connection.drop()
  }

  #connect(): Connection {
    const { host, port, tls } = this.target
    const socket = tls
      ? connectTls({ host, port, servername: host, ALPNProtocols: ['http/1.1'] }).on('data', (bytes: Buffer) => { connection.read(bytes) })
      : connectTcp({ host, port, noDelay: true, onread: { buffer: READ_BUFFER, callback: length => connection.read(beginningOf(READ_BUFFER, length)) } })
    const connection: Connection = new Connection(socket, () => { this.#idle.push(connection) }, flight => { this.#gone(connection, flight) })
    this.#all.add(connection)
    return connection
  }

  #gone(connection: Connection, flight: Flight | undefined): void {
    this.#all.delete(connection)
    const at = this.#idle.indexOf(connection)
    if (at >= 0) this.#idle.splice(at, 1)
    if (flight === undefined) return
    flight.mayRetry = false
    this.#connect().start(flight)
  }
}

class Flight implements InFlight {
  connection: Connection | undefined
  mayRetry = false

  constructor(readonly bytes: Buffer, readonly reader: ResponseReader) {}

  abort(): void {
    this.connection?.drop()
  }
}

/** One socket, one request at a time. */
class Connection {
  readonly #parser: ResponseParser
  #flight: Flight | undefined
  #dropped = false

  /** `gone` gets the request that is to be tried again elsewhere, if any. */
  constructor(private readonly socket: Socket, private readonly free: () => void, private readonly gone: (again: Flight | undefined) => void) {
    this.#parser = new ResponseParser({
      head: head => { this.#flight?.reader.head(head) },
      body: bytes => { this.#flight?.reader.body(bytes) },
      end: reusable => { this.#ended(reusable) },
    })
    socket.on('error', error => { this.#lost(error) })
    socket.on('close', () => { this.#lost(undefined) })
    socket.setNoDelay(true)
  }

  start(flight: Flight): void {
    this.#flight = flight
    flight.connection = this
    this.socket.write(flight.bytes)
  }

  drop(): void {
    if (this.#dropped) return
    this.#dropped = true
    this.#flight = undefined
    this.socket.destroy()
    this.gone(undefined)
  }

  /** True: go on reading. */
  read(bytes: Buffer): boolean {
    if (this.#dropped) return true
    try {
      this.#parser.push(bytes)
    } catch (error) {
      this.#fail(error as Error)
    }
    return true
  }

  #ended(reusable: boolean): void {
    const flight = this.#flight
    this.#flight = undefined
    if (reusable) this.free()
    else this.drop()
    if (flight === undefined) return
    flight.connection = undefined
    flight.reader.end()
  }

  #lost(error: Error | undefined): void {
    if (this.#dropped) return
    if (this.#flight !== undefined && this.#parser.close()) return
    const flight = this.#flight
    if (flight?.mayRetry === true && !this.#parser.begun) {
      this.#dropped = true
      this.#flight = undefined
      this.socket.destroy()
      this.gone(flight)
    } else this.#fail(error ?? new Error('the connection was closed before the answer was complete'))
  }

  #fail(error: Error): void {
    const flight = this.#flight
    this.drop()
    flight?.reader.failed(error)
  }
}
