import type { Server } from 'node:http'
import type { Socket } from 'node:net'
import type { Clock, Ms } from '../core/index.js'

const LOOK_EVERY_MS: Ms = 1000

/**
 * Cuts connections whose client takes nothing of what was written to it. Whoever answers watches its own stream while that
 * runs; what is left is the end of an answer that nobody watches any more, and calls that are passed through.
 */
export function cutStalled(server: Server, secure: boolean, stallMs: () => Ms, clock: Clock): void {
  const sockets = new Set<Socket>()
  /** Of those with bytes to take: how many they had taken when last seen to take any, and when. */
  const waiting = new Map<Socket, { taken: number, sinceMs: Ms }>()
  server.on(secure ? 'secureConnection' : 'connection', (socket: Socket) => {
    sockets.add(socket)
    socket.once('close', () => {
      sockets.delete(socket)
      waiting.delete(socket)
    })
  })
  const look = () => {
    const nowMs = clock.now()
    for (const socket of sockets) {
      if (socket.writableLength === 0) {
        waiting.delete(socket)
        continue
      }
      const taken = socket.bytesWritten - socket.writableLength
      const before = waiting.get(socket)
      if (before?.taken !== taken) waiting.set(socket, { taken, sinceMs: nowMs })
      else if (nowMs - before.sinceMs >= stallMs()) socket.destroy()
    }
  }
  const timer = setInterval(look, Math.min(LOOK_EVERY_MS, stallMs() / 4)).unref()
  server.once('close', () => { clearInterval(timer) })
}
