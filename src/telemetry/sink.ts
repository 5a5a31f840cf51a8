import { createWriteStream, mkdirSync, type WriteStream } from 'node:fs'
import { dirname } from 'node:path'
import { pino } from 'pino'
import type { Bytes, Ms } from '../core/index.js'

/** Bytes that may wait for a slow disk or collector; what comes beyond is thrown away and counted. */
const MAX_BUFFERED: Bytes = 16 * 1024 * 1024
/**
 * Lines leave together when there are this many characters of them, or after this time: a system call per line would cost more than making it.
 * Each write waits until a thread gets the core that the gateway fills. With a quarter of this, lines came faster than they left, and those that
 * stood in line got old, which the collector's long stops then cleared away.
 */
const BATCH_CHARS = 64 * 1024
const FLUSH_MS: Ms = 100
/** How long closing waits for what is buffered. */
const CLOSE_MS: Ms = 1_000

/** Takes lines without ever making the caller wait or fail. One that lags or breaks loses lines, and says so. */
export interface Sink {
  write(line: string): void
  /** Write out what is buffered, for a bounded time. */
  close(): Promise<void>
}

export interface FileSink extends Sink {
  /** Open the file anew: after a rotation, or after it could not be written. */
  reopen(): void
}

/**
 * Standard output, which is flushed but never closed: it is not ours alone. Nobody is left to tell when it breaks. `onDrop` is told how
 * many lines were lost.
 */
export function openStdout(onDrop: (lines: number) => void): Sink {
  // Lines are joined here: given one by one, the stream measures all that it holds anew for each of them.
  let lines: string[] = []
  let chars = 0
  let timer: NodeJS.Timeout | undefined
  let broken = false
  const leave = () => {
    clearTimeout(timer)
    timer = undefined
    const text = lines.join('')
    lines = []
    chars = 0
    if (text !== '' && !broken) stream.write(text)
  }
  // Before the stream's own listener, which writes out what it holds.
  process.on('exit', leave)
  // With a least length of 0 its `flush` would not wait for what is on its way.
  const stream = pino.destination({ dest: 1, sync: false, maxLength: MAX_BUFFERED, minLength: 1 })
  stream.on('drop', (text: string) => { onDrop(text.split('\n').length - 1) })
  stream.on('error', () => { onDrop(1) })
  let closed = false
  return {
    write: (line) => {
      lines.push(line)
      chars += line.length
      if (closed || chars >= BATCH_CHARS) leave()
      else timer ??= setTimeout(leave, FLUSH_MS).unref()
    },
    close: async () => {
      closed = true
      process.off('exit', leave)
      leave()
      let flushed = false
      await within(CLOSE_MS, (done) => {
        stream.flush(() => {
          flushed = true
          done()
        })
      })
      // What nobody takes would be tried again for ever, at the exit of the process even without pause.
      if (flushed) return
      broken = true
      stream.destroy()
    },
  }
}

/** A file that is only ever appended to; folders on the way are made. */
export function openFile(path: string, onDrop: () => void, onError: (error: Error) => void): FileSink {
  let stream = open()

  function open(): WriteStream | undefined {
    try {
      mkdirSync(dirname(path), { recursive: true })
    } catch (error) {
      onError(error as Error)
      return undefined
    }
    const opened = createWriteStream(path, { flags: 'a', mode: 0o600 })
    opened.on('error', (error) => {
      if (stream === opened) stream = undefined
      onDrop()
      onError(error)
    })
    return opened
  }

  return {
    write: (line) => {
      if (stream === undefined || stream.writableLength > MAX_BUFFERED) onDrop()
      else stream.write(line)
    },
    reopen: () => {
      stream?.end()
      stream = open()
    },
    close: () => {
      const last = stream
      stream = undefined
      return last === undefined ? Promise.resolve() : within(CLOSE_MS, (done) => last.end(done))
    },
  }
}

function within(limitMs: Ms, work: (done: () => void) => void): Promise<void> {
  return new Promise((resolve) => {
    const timer = setTimeout(resolve, limitMs)
    work(() => { clearTimeout(timer); resolve() })
  })
}
