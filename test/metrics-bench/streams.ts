/**
 * What streams feel of being looked at: a gateway in a process of its own relays to a synthetic upstream in another one, and a
 * client in a third measures the gaps between events. Intervals in which nobody looks alternate with ones in which `/metrics` is
 * scraped every second and a dashboard page is open, so that the machine's own unrest hits both alike.
 */
import { fork, spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { availableParallelism, tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import { freePort } from '../bench/relay/proxies.js'
import type { StreamsOrder, StreamsReport } from './stream-client.js'

const BACKENDS = 64, CLASSES = 20, POOLS = 3
const INTERVAL_MS = 5000
const SCRAPE_MS = 1000
/** A look may add this much to the gap that one in a thousand is longer than. */
const BAR_MS = 5

export interface StreamsResult {
  readonly streams: number
  readonly rate: number
  readonly pairs: number
  readonly alone: Summary
  readonly watched: Summary
  /** Median over pairs of neighbouring intervals: watched less alone. */
  readonly addedMs: { readonly gapP99: number, readonly gapP999: number, readonly delayP999: number }
  readonly spreadMs: { readonly least: number, readonly most: number }
  readonly kept: boolean
}

interface Summary {
  readonly gapMs: StreamsReport['gapMs']
  readonly delayMs: StreamsReport['delayMs']
  readonly events: number
  /** CPU of the gateway as a share of one core. */
  readonly cpuShare: number
}

type Interval = StreamsReport & { readonly cpuShare: number }

const CORES = availableParallelism()
/** The gateway has a core to itself. */
const pinned = (core: 'gateway' | 'load', command: string, args: readonly string[]): [string, readonly string[]] =>
  process.platform === 'linux' && CORES > 1 ? ['taskset', ['-c', core === 'gateway' ? '0' : `1-${CORES - 1}`, command, ...args]] : [command, args]
const here = (path: string) => new URL(path, import.meta.url).pathname

function configuration(upstreamPort: number): object {
  const pools = Array.from({ length: POOLS }, (_, i) => `pool${i}`)
  const classes = Array.from({ length: CLASSES }, (_, i) => `class${i}`)
  return {
    pools: Object.fromEntries(pools.map((pool, p) => [pool, {
      backends: Array.from({ length: BACKENDS }, (_, i) => i).filter((i) => i % POOLS === p).map((i) => ({ name: `backend-${i}`, url: `http://127.0.0.${i + 1}:${upstreamPort}`, engine: 'vllm', cost_per_hour: 2 })),
    }])),
    classes: Object.fromEntries(classes.map((name, i) => [name, { ttft: '60s', tpot: '10s', queue_limit: 10_000, pools: [pools[i % POOLS], pools[(i + 1) % POOLS]] }])),
    routes: classes.map((name) => ({ match: { header: { 'x-class': name } }, class: name })),
    log: { level: 'warn', requests: false },
  }
}

async function startGateway(folder: string, upstreamPort: number, children: ChildProcess[]): Promise<{ readonly child: ChildProcess, readonly data: string, readonly admin: string }> {
  const file = join(folder, 'sluice.yaml')
  await writeFile(file, JSON.stringify(configuration(upstreamPort)))
  const child = spawn(...pinned('gateway', process.execPath, [here('../../../../dist/cli/main.js'), '--config', file, '--port', '0', '--admin-port', '0']), { stdio: ['ignore', 'ignore', 'pipe'] })
  children.push(child)
  let banner = ''
  const [data, admin] = await new Promise<[string, string]>((resolve, reject) => {
    child.stderr.on('data', (chunk) => {
      banner += String(chunk)
      const found = /data plane +(http:\S+)[^]*admin plane +(http:\S+)/.exec(banner)
      if (found !== null) resolve([found[1]!, found[2]!])
    })
    child.once('exit', (code) => { reject(new Error(`the gateway ended with ${code}: ${banner}`)) })
  })
  return { child, data, admin }
}

/** CPU nanoseconds of the gateway's main thread, which relays and renders. */
async function cpuNs(pid: number): Promise<number> {
  return Number((await readFile(`/proc/${pid}/task/${pid}/schedstat`, 'utf8').catch(() => 'NaN')).split(' ', 1)[0])
}

/** Scrapes every second and keeps a page open, until told to stop. Resolves to the bytes of the last scrape. */
async function look(admin: string, signal: AbortSignal): Promise<number> {
  const page = (async () => {
    const response = await fetch(`${admin}/api/dashboard`, { signal })
    for await (const chunk of response.body!) void chunk
  })().catch(() => {})
  let bytes = 0
  while (!signal.aborted) {
    const next = pause(SCRAPE_MS, undefined, { signal }).catch(() => {})
    bytes = (await (await fetch(`${admin}/metrics`)).arrayBuffer()).byteLength
    await next
  }
  await page
  return bytes
}

export async function streams(count: number, rate: number, pairs: number): Promise<StreamsResult> {
  const folder = await mkdtemp(join(tmpdir(), 'sluice-bench-'))
  const children: ChildProcess[] = []
  const end = () => {
    for (const child of children) child.kill('SIGKILL')
    process.exit(1)
  }
  process.once('SIGTERM', end).once('SIGINT', end)
  try {
    const upstreamPort = await freePort()
    const upstream = spawn(...pinned('load', process.execPath, [here('../bench/relay/upstream.js'), String(upstreamPort), String(BACKENDS)]), { stdio: ['ignore', 'pipe', 'inherit'] })
    children.push(upstream)
    await once(upstream.stdout, 'data')
    const gateway = await startGateway(folder, upstreamPort, children)
    const client = fork(here('stream-client.js'))
    children.push(client)
    if (process.platform === 'linux' && CORES > 1) for (const pid of [client.pid, process.pid]) spawn('taskset', ['-acp', `1-${CORES - 1}`, String(pid)], { stdio: 'ignore' })
    const gone = once(client, 'exit').then(() => { throw new Error('the client of the streams ended') })
    const ask = async <T>(message: StreamsOrder | 'next'): Promise<T> => {
      const answer = Promise.race([once(client, 'message'), gone])
      client.send(message)
      return (await answer as [T])[0]
    }
    await ask({ port: Number(new URL(gateway.data).port), streams: count, rate, classes: Array.from({ length: CLASSES }, (_, i) => `class${i}`) })
    await pause(2000)
    await ask('next')

    const intervals: Record<'alone' | 'watched', Interval[]> = { alone: [], watched: [] }
    for (let pair = 0; pair < pairs; pair++) {
      // Which goes first turns with each pair.
      for (const how of pair % 2 === 0 ? ['alone', 'watched'] as const : ['watched', 'alone'] as const) {
        process.stderr.write(`\r\x1b[K${count} streams × ${rate}/s, pair ${pair + 1} of ${pairs}: ${how}`)
        const stop = new AbortController(), startNs = await cpuNs(gateway.child.pid!), startMs = performance.now()
        const looking = how === 'watched' ? look(gateway.admin, stop.signal) : undefined
        await pause(INTERVAL_MS)
        const cpuShare = (await cpuNs(gateway.child.pid!) - startNs) / 1e6 / (performance.now() - startMs)
        intervals[how].push({ ...await ask<StreamsReport>('next'), cpuShare })
        stop.abort()
        await looking
      }
    }
    process.stderr.write('\r\x1b[K')
    const errors = Math.max(...intervals.alone.map((one) => one.errors), ...intervals.watched.map((one) => one.errors))
    if (errors > 0) throw new Error(`${errors} streams broke; nothing can be said about the others`)
    return judge(count, rate, pairs, intervals)
  } finally {
    for (const child of children) child.kill('SIGKILL')
    await rm(folder, { recursive: true })
  }
}

function judge(count: number, rate: number, pairs: number, { alone, watched }: Record<'alone' | 'watched', readonly Interval[]>): StreamsResult {
  const added = (read: (one: Interval) => number) => watched.map((one, i) => read(one) - read(alone[i]!)).sort((a, b) => a - b)
  const gapP999 = added(({ gapMs }) => gapMs.p999)
  return {
    streams: count, rate, pairs, alone: summary(alone), watched: summary(watched),
    addedMs: { gapP99: middle(added(({ gapMs }) => gapMs.p99)), gapP999: middle(gapP999), delayP999: middle(added(({ delayMs }) => delayMs.p999)) },
    spreadMs: { least: gapP999[0]!, most: gapP999.at(-1)! },
    kept: middle(gapP999) <= BAR_MS,
  }
}

/** Medians over the intervals; the maximum of all. */
function summary(intervals: readonly Interval[]): Summary {
  const of = (kind: 'gapMs' | 'delayMs') => ({
    p50: middle(intervals.map((one) => one[kind].p50)), p99: middle(intervals.map((one) => one[kind].p99)), p999: middle(intervals.map((one) => one[kind].p999)),
    max: Math.max(...intervals.map((one) => one[kind].max)),
  })
  return { gapMs: of('gapMs'), delayMs: of('delayMs'), events: intervals.reduce((sum, { events }) => sum + events, 0), cpuShare: middle(intervals.map((one) => one.cpuShare)) }
}

function middle(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b), half = sorted.length >> 1
  return sorted.length % 2 === 1 ? sorted[half]! : (sorted[half - 1]! + sorted[half]!) / 2
}

export function verdict({ streams: count, rate, pairs, alone, watched, addedMs, spreadMs, kept }: StreamsResult): string {
  const ms = (value: number) => value.toFixed(2).padStart(8)
  const line = (name: string, { gapMs, delayMs, events, cpuShare }: Summary) =>
    `${name.padEnd(36)}${ms(gapMs.p50)}${ms(gapMs.p99)}${ms(gapMs.p999)}${ms(gapMs.max)} ${ms(delayMs.p50)}${ms(delayMs.p999)}${`${(cpuShare * 100).toFixed(0)} %`.padStart(8)}${String(events).padStart(10)}`
  return [
    `${count} streams × ${rate} events/s, ${BACKENDS} backends, ${CLASSES} classes; ${pairs} pairs of ${INTERVAL_MS / 1000} s; milliseconds`,
    `${''.padEnd(36)}   gap beyond the period            delay           gateway    events`,
    `${''.padEnd(36)}     p50     p99   p99.9     max      p50   p99.9     CPU`,
    line('nobody looks', alone),
    line('a scrape a second and an open page', watched),
    `added to p99.9 of gaps: ${addedMs.gapP999.toFixed(2)} ms, median over pairs (${spreadMs.least.toFixed(2)} to ${spreadMs.most.toFixed(2)}); of delays: ${addedMs.delayP999.toFixed(2)} ms`,
    kept ? `KEPT: at most ${BAR_MS} ms` : `BROKEN: more than ${BAR_MS} ms`,
    ...spreadMs.most - spreadMs.least > 4 * BAR_MS ? ['The pairs differ by far more than that: the machine is too unquiet for this to mean anything.'] : [],
  ].join('\n')
}
