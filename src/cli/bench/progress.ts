import type { Load, LoadProgress, Target } from '../../bench/index.js'
import type { Io } from '../process.js'

const WIDTH = 20

/** Shows how far the run under way is, on stderr and only to people. */
export function benchProgress(io: Io): { start(target: Target, load: Load, seed: number): void, show(progress: LoadProgress): void, clear(): void } {
  let what = ''
  return {
    start: (target, load, seed) => {
      what = `${target.label} ${load.kind === 'open' ? `${Number(load.ratePerSecond.toPrecision(4))}/s` : `${load.concurrency} at once`} seed ${seed}`
    },
    show: ({ elapsedMs, totalMs, sent, active, met, counted }) => {
      if (!io.terminal.err) return
      const filled = Math.round(WIDTH * Math.min(1, Math.max(0, elapsedMs / totalMs)))
      io.err(`\r\u001b[K[${'#'.repeat(filled)}${'.'.repeat(WIDTH - filled)}] ${what}: ${(Math.max(0, elapsedMs) / 1000).toFixed(0)}/${(totalMs / 1000).toFixed(0)} s, ${sent} sent, ${active} running, ${met} of ${counted} met`)
    },
    clear: () => { if (io.terminal.err) io.err('\r\u001b[K') },
  }
}
