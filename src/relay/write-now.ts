import { writeSync } from 'node:fs'
import type { Socket } from 'node:net'
import type { TLSSocket } from 'node:tls'

/**
 * Gives the kernel the first `size` bytes of `bytes`, and answers how many it took; the rest is for `socket.write`. They may be overwritten
 * at once. Only where nothing is queued on the socket already.
 *
 * `socket.write` makes a request object for each piece and takes it through the stream's states, for a piece that nearly always leaves in one
 * system call (`npm run bench:relay -- --profile`: Node's sockets and streams). The descriptor is asked for each time: a closed socket has
 * none. It is in a property that Node does not document; where that is missing, all goes through `socket.write`.
 */
export function writeNow(socket: Socket, bytes: Buffer, size: number): number {
  // Past the encryption nothing may go.
  if ((socket as Partial<TLSSocket>).encrypted === true) return 0
  const fd = (socket as { _handle?: { fd?: number } | null })._handle?.fd
  if (fd === undefined || fd < 0) return 0
  try {
    return writeSync(fd, bytes, 0, size)
  } catch {
    // Full, or broken: the socket finds out which by itself.
    return 0
  }
}
