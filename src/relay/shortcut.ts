import { writeSync } from 'node:fs'
import type { Socket } from 'node:net'
import type { TLSSocket } from 'node:tls'

/** What Node keeps of an open socket in a property that it does not document. */
interface Handle {
  readonly fd?: number
}

/**
 * The way to the kernel past a socket's queue. `socket.write` makes a request object for each piece and takes it through the stream's states,
 * for a piece that nearly always leaves in one system call (`npm run bench:relay -- --profile`: Node's sockets and streams).
 */
export class Shortcut {
  readonly #socket: { readonly _handle?: Handle | null }
  readonly #handle: Handle
  readonly #fd: number

  /** Undefined where there is none: past the encryption nothing may go, nor past what is queued; and where Node has no such property. */
  static of(socket: Socket): Shortcut | undefined {
    if ((socket as Partial<TLSSocket>).encrypted === true || socket.writableLength > 0 || socket.writableCorked > 0) return undefined
    const handle = (socket as { _handle?: Handle | null })._handle
    const fd = handle?.fd
    return handle && fd !== undefined && fd >= 0 ? new Shortcut(socket, handle, fd) : undefined
  }

  private constructor(socket: Socket, handle: Handle, fd: number) {
    this.#socket = socket as { _handle?: Handle | null }
    this.#handle = handle
    this.#fd = fd
  }

  /**
   * Gives the kernel `bytes` from `from` up to `to`, and answers how many it took; they may be overwritten at once. Where that is less, the rest is
   * for `socket.write`, and this shortcut has come to its end.
   */
  write(bytes: Buffer, from: number, to: number): number {
    // A closed socket has another handle or none, and its descriptor may be another one's by now.
    if (this.#socket._handle !== this.#handle) return 0
    try {
      return writeSync(this.#fd, bytes, from, to - from)
    } catch {
      // Full, or broken: the socket finds out which by itself.
      return 0
    }
  }
}
