/**
 * The one place that reads the clocks, the entropy, the environment and the process. Everything else is handed an `Io`.
 */
import { randomInt, randomUUID } from 'node:crypto'
import type { Clock } from '../core/index.js'

export type Signal = 'SIGTERM' | 'SIGINT' | 'SIGHUP'

/** What a command may know of, and do to, the world around it. */
export interface Io {
  readonly clock: Clock
  /** Milliseconds since the epoch; for people only, never for measuring. */
  readonly wallClock: () => number
  /** A fresh seed, 0 to 2^32 − 1, for runs that were not given one. */
  readonly seed: () => number
  /** An id that nobody can guess and that no other request has. */
  readonly newId: () => string
  readonly env: Readonly<Record<string, string | undefined>>
  /** Results go to stdout, all else to stderr. Both are written as given: end lines with `\n`. */
  readonly out: (text: string) => void
  readonly err: (text: string) => void
  /** Are people reading? Decides about progress lines and tables. */
  readonly terminal: { readonly out: boolean, readonly err: boolean }
  /** Calls `handler` on each such signal, in place of the default action, until the returned function is called. */
  readonly onSignal: (signal: Signal, handler: () => void) => () => void
  /** Calls `handler` with each error that nobody caught, promises' included, in place of ending at once. */
  readonly onFault: (handler: (error: unknown) => void) => void
}

export const realIo: Io = {
  clock: { now: () => performance.now() },
  wallClock: () => Date.now(),
  seed: () => randomInt(2 ** 32),
  newId: () => randomUUID(),
  env: process.env,
  out: text => { process.stdout.write(text) },
  err: text => { process.stderr.write(text) },
  terminal: { out: process.stdout.isTTY === true, err: process.stderr.isTTY === true },
  onSignal: (signal, handler) => {
    process.on(signal, handler)
    return () => { process.off(signal, handler) }
  },
  // Rejections that nobody handles arrive here as well.
  onFault: handler => { process.on('uncaughtException', handler) },
}

/** How long what is still written may take when all is done. */
const LINGER_MS = 1_000

/** Runs the program on this process: its arguments, its exit code. */
export const runProcess = async (program: (args: string[], io: Io) => Promise<number>): Promise<void> => {
  // A reader that closes early (`sluice … | head`) is not a fault of ours.
  process.stdout.on('error', error => { if ((error as NodeJS.ErrnoException).code === 'EPIPE') process.exit(0) })
  process.exitCode = await program(process.argv.slice(2), realIo)
  // A write that its reader does not take cannot be cancelled, and would keep a process that is done from ending.
  setTimeout(() => { process.exit() }, LINGER_MS).unref()
}
