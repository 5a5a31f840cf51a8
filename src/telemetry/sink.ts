import { pino } from 'pino'
import type { Ms } from '../core/index.js'

/** Bytes that may wait for a slow disk or collector; what comes beyond is thrown away and counted. */
const MAX_BUFFERED_BYTES = 16 * 1024 * 1024
/** How long closing waits for what is buffered. */
const CLOSE_MS: Ms = 1_000

export interface SinkOptions {
  /** Absent: standard output. */
  readonly path?: string
  onDrop(): void
  onError(error: Error): void
}

export interface Sink {
  write(line: string): void
  /** Open the file anew after a rotation. */
  reopen(): void
  /** Write out what is buffered, for a bounded time. */
  close(): Promise<void>
}

/** Appends lines without ever making the caller wait or fail. A sink that lags or breaks loses lines, and says so. */
export function openSink({ path, onDrop, onError }: SinkOptions): Sink {
  const stream = pino.destination({ ...(path === undefined ? { dest: 1 } : { dest: path, append: true, mkdir: true }), sync: false, maxLength: MAX_BUFFERED_BYTES })
  let ready = false
  let closed = false
  stream.on('ready', () => { ready = true })
  stream.on('drop', onDrop)
  stream.on('error', (error: Error) => { onDrop(); onError(error) })
  return {
    write: (line) => { if (closed) onDrop(); else stream.write(line) },
    reopen: () => { if (path !== undefined && ready && !closed) stream.reopen() },
    close: () => new Promise<void>((resolve) => {
      if (closed) return resolve()
      closed = true
      const timer = setTimeout(resolve, CLOSE_MS)
      const done = () => { clearTimeout(timer); resolve() }
      // Standard output is flushed, and left open: it is not ours alone.
      if (path === undefined) return stream.flush(done)
      stream.once('close', done)
      stream.once('error', done)
      stream.end()
    }),
  }
}
