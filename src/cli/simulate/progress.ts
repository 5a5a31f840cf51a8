import type { RunCell } from '../../simulator/index.js'
import type { Io } from '../process.js'

const WIDTH = 24

/** Counts the simulations of a runner and shows how far they are, on stderr and only to people. */
export function withProgress(run: RunCell, io: Io): { readonly run: RunCell, readonly finish: () => { readonly requests: number, readonly seconds: number } } {
  const startMs = io.clock.now()
  let asked = 0
  let done = 0
  let requests = 0
  const seconds = () => (io.clock.now() - startMs) / 1000
  const show = () => {
    if (!io.terminal.err) return
    const filled = Math.round(WIDTH * done / asked)
    io.err(`\r[${'#'.repeat(filled)}${'.'.repeat(WIDTH - filled)}] ${done}/${asked} runs, ${(requests / 1000).toFixed(0)}k requests, ${(requests / 1000 / seconds() * 60).toFixed(0)}k a minute `)
  }
  return {
    run: async spec => {
      asked++
      const result = await run(spec)
      done++
      requests += result.simulatedRequests
      show()
      return result
    },
    finish: () => {
      if (io.terminal.err) io.err('\r\u001b[K')
      return { requests, seconds: seconds() }
    },
  }
}
