import type { Io, Signal } from '../../src/cli/process.js'

/** An `Io` that stands on nothing: what was written, signals at will, a clock that stands still unless moved. */
export const fakeIo = (env: Record<string, string> = {}) => {
  const written = { out: '', err: '' }
  const handlers = new Map<Signal, Set<() => void>>()
  let ids = 0
  const time = { nowMs: 0 }
  const io: Io = {
    clock: { now: () => time.nowMs },
    wallClock: () => 1_700_000_000_000 + time.nowMs,
    seed: () => 1,
    newId: () => `id-${++ids}`,
    env,
    out: text => { written.out += text },
    err: text => { written.err += text },
    terminal: { out: false, err: false },
    onSignal: (signal, handler) => {
      handlers.set(signal, (handlers.get(signal) ?? new Set()).add(handler))
      return () => { handlers.get(signal)?.delete(handler) }
    },
    onFault: () => {},
  }
  return { io, written, time, signal: (signal: Signal) => { for (const handler of handlers.get(signal) ?? []) handler() } }
}

/** An `Io` on the real clock that writes nowhere and hears no signals: for a whole gateway inside a test. */
export const liveIo = (env: Record<string, string> = {}): Io => ({
  ...fakeIo(env).io,
  clock: { now: () => performance.now() },
  wallClock: () => Date.now(),
})
