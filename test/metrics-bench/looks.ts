/** What a look at the gateway costs in CPU time, which a busy machine does not lengthen, and for how long it holds everything else up. */
import { BACKENDS, CLASSES, dashboard, passSecond, telemetry } from './gateway.js'

const REPEATS = 60, WARMUP = 15
/** Ten minutes: what the dashboard keeps. */
const PAST_SECONDS = 600

export interface Cost {
  readonly what: string
  readonly bytes: number
  /** CPU of all that a look takes, in milliseconds. */
  readonly cpuMs: { readonly median: number, readonly p99: number }
  /** The longest stretch of a look between two turns of the event loop: CPU of the thread and its helpers. */
  readonly blockMs: { readonly median: number, readonly p99: number }
}

const at = (values: readonly number[], q: number): number => {
  const sorted = [...values].sort((a, b) => a - b)
  return sorted[Math.min(sorted.length - 1, Math.floor(q * sorted.length))]!
}
const spread = (values: readonly number[]) => ({ median: at(values, 0.5), p99: at(values, 0.99) })

const cpuMsSince = (before: NodeJS.CpuUsage): number => {
  const { user, system } = process.cpuUsage(before)
  return (user + system) / 1000
}

async function cpuOf(look: () => Promise<number>): Promise<number> {
  const before = process.cpuUsage()
  await look()
  return cpuMsSince(before)
}

/** Turns of the event loop as a stream would get them, and the CPU that went by between two of them. */
async function longestBlockOf(look: () => Promise<number>): Promise<number> {
  let longestMs = 0, isLooking = true, before = process.cpuUsage()
  const turn = () => {
    longestMs = Math.max(longestMs, cpuMsSince(before))
    before = process.cpuUsage()
    if (isLooking) setImmediate(turn)
  }
  const ended = new Promise<void>((resolve) => {
    setImmediate(() => {
      before = process.cpuUsage()
      void look().then(() => { isLooking = false; setImmediate(resolve) })
      setImmediate(turn)
    })
  })
  await ended
  return longestMs
}

async function measure(what: string, between: () => void, look: () => Promise<number>): Promise<Cost> {
  const cpu: number[] = [], blocks: number[] = []
  let bytes = 0
  for (let i = 0; i < WARMUP + REPEATS; i++) {
    between()
    const cpuMs = await cpuOf(look)
    between()
    const blockMs = await longestBlockOf(async () => bytes = await look())
    if (i < WARMUP) continue
    cpu.push(cpuMs)
    blocks.push(blockMs)
  }
  return { what, bytes, cpuMs: spread(cpu), blockMs: spread(blocks) }
}

export async function looks(): Promise<readonly Cost[]> {
  for (let i = 0; i < PAST_SECONDS; i++) {
    passSecond()
    await dashboard.tick()
  }
  const scrape = async () => (await telemetry.metricsText()).length
  const costs = [
    await measure('scrape, every series changed', passSecond, scrape),
    await measure('scrape, nothing changed', () => {}, scrape),
    await measure('a second of the dashboard, nobody looks', passSecond, async () => { await dashboard.tick(); return 0 }),
  ]
  let bytes = 0
  const unsubscribe = dashboard.subscribe('all:all', (json) => { bytes = Buffer.byteLength(json) })
  costs.push(await measure('a second of the dashboard, a page is open', passSecond, async () => { await dashboard.tick(); return bytes }))
  unsubscribe()
  costs.push(await measure('a page opens', passSecond, () => new Promise((resolve) => {
    const close = dashboard.subscribe('all:all', (json) => {
      close()
      resolve(Buffer.byteLength(json))
    })
  })))
  return costs
}

export function table(costs: readonly Cost[]): string {
  const ms = (value: number) => value.toFixed(2).padStart(8)
  return [
    `${BACKENDS} backends, ${CLASSES} classes; milliseconds of CPU           all of it          longest block`,
    `${''.padEnd(44)}   bytes   median     p99   median     p99`,
    ...costs.map(({ what, bytes, cpuMs, blockMs }) => `${what.padEnd(44)}${String(bytes).padStart(8)} ${ms(cpuMs.median)}${ms(cpuMs.p99)} ${ms(blockMs.median)}${ms(blockMs.p99)}`),
  ].join('\n')
}
