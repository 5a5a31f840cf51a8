/**
 * Preloaded into the gateway: how long the turns of its event loop are, by the clock and in CPU of its own, which a host that takes the core
 * away for a while does not lengthen. Any message by IPC is answered with what has been seen since the one before it.
 */
import { PerformanceObserver } from 'node:perf_hooks'
import { Bins, type Sparse } from './bins.js'

/** Each turn weighs what it lasts: a quantile is over the moments at which an event may come. */
export interface TurnsReport {
  readonly wall: Sparse
  readonly cpu: Sparse
  /** The longest that the garbage collector stopped it, and all of that together. */
  readonly collectionMs: number
  readonly collectionsMs: number
}

const PERIOD_MS = 1
const wall = new Bins(), cpu = new Bins()
let collectionMs = 0, collectionsMs = 0
let lastMs = performance.now(), lastCpu = process.cpuUsage()

setInterval(() => {
  const nowMs = performance.now(), { user, system } = process.cpuUsage(lastCpu)
  const wallUs = (nowMs - lastMs) * 1000
  wall.add(wallUs, wallUs)
  cpu.add(Math.min(user + system, wallUs), wallUs)
  lastMs = nowMs
  lastCpu = process.cpuUsage()
}, PERIOD_MS).unref()

new PerformanceObserver((list) => {
  for (const { duration } of list.getEntries()) {
    collectionMs = Math.max(collectionMs, duration)
    collectionsMs += duration
  }
}).observe({ entryTypes: ['gc'] })

process.on('message', () => {
  process.send?.({ wall: wall.take(), cpu: cpu.take(), collectionMs, collectionsMs } satisfies TurnsReport)
  collectionMs = collectionsMs = 0
})
process.channel?.unref()
