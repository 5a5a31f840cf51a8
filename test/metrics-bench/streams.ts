/**
 * What streams feel of being looked at: a gateway in a process and on a core of its own relays to a synthetic upstream, and a client measures
 * how unevenly events arrive. Intervals in which nobody looks alternate with ones in which a dashboard page opens and stays and `/metrics` is
 * scraped every second; a probe inside the gateway tells how long the turns of its event loop were meanwhile.
 */
import { fork, spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { availableParallelism, tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import { freePort } from '../bench/relay/proxies.js'
import type { Span } from './exposure.js'
import { BAR_MS, judge, type Interval, type StreamsResult } from './judge.js'
import type { LookOrder } from './looker.js'
import type { TurnsReport } from './loop-probe.js'
import type { StreamsOrder, StreamsReport, Take } from './stream-client.js'

const BACKENDS = 64, CLASSES = 20, POOLS = 3
const INTERVAL_MS = 5000
/** What follows at once after a change belongs to neither side of it. */
const SETTLE_MS = 250
const SCRAPE_MS = 1000

const CORES = availableParallelism()
const LOAD_CORES = `1-${CORES - 1}`
/** The gateway's event loop has a core to itself; all threads of everything else, and the helpers of its garbage collector, share the others. */
async function pin(child: ChildProcess, what: 'event loop' | 'load'): Promise<void> {
  if (process.platform !== 'linux' || CORES === 1) return
  await once(spawn('taskset', what === 'load' ? ['-acp', LOAD_CORES, String(child.pid)] : ['-cp', '0', String(child.pid)], { stdio: 'ignore' }), 'exit')
}
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
  const child = spawn(process.execPath, ['--import', here('loop-probe.js'), here('../../../../dist/cli/main.js'), '--config', file, '--port', '0', '--admin-port', '0'], { stdio: ['ignore', 'ignore', 'pipe', 'ipc'] })
  children.push(child)
  let banner = ''
  const [data, admin] = await new Promise<[string, string]>((resolve, reject) => {
    child.stderr!.on('data', (chunk) => {
      banner += String(chunk)
      const found = /data plane +(http:\S+)[^]*admin plane +(http:\S+)/.exec(banner)
      if (found !== null) resolve([found[1]!, found[2]!])
    })
    child.once('exit', (code) => { reject(new Error(`the gateway ended with ${code}: ${banner}`)) })
  })
  await pin(child, 'event loop')
  return { child, data, admin }
}

/** Nanoseconds of CPU of a process's main thread, which in the gateway relays and renders. */
async function cpuNs(pid: number): Promise<number> {
  return Number((await readFile(`/proc/${pid}/task/${pid}/schedstat`, 'utf8').catch(() => 'NaN')).split(' ', 1)[0])
}

/** Seconds for which the host gave the machine's cores to others. */
async function stolenS(): Promise<number> {
  const total = (await readFile('/proc/stat', 'utf8').catch(() => '')).split('\n', 1)[0]!.trim().split(/ +/)
  return Number(total[8] ?? NaN) / 100
}

export async function streams(count: number, rate: number, pairs: number): Promise<StreamsResult> {
  const folder = await mkdtemp(join(tmpdir(), 'sluice-bench-'))
  const children: ChildProcess[] = []
  const end = () => {
    for (const child of children) child.kill('SIGKILL')
    process.exit(1)
  }
  process.once('SIGTERM', end).once('SIGINT', end)
  /** A program of this folder, beside the load. */
  const helper = async (name: string): Promise<ChildProcess> => {
    const child = fork(here(name))
    children.push(child)
    await pin(child, 'load')
    return child
  }
  try {
    const upstreamPort = await freePort()
    const upstream = spawn(process.execPath, [here('../bench/relay/upstream.js'), String(upstreamPort), String(BACKENDS)], { stdio: ['ignore', 'pipe', 'inherit'] })
    children.push(upstream)
    await once(upstream.stdout, 'data')
    await pin(upstream, 'load')
    const gateway = await startGateway(folder, upstreamPort, children)
    const client = await helper('stream-client.js'), looker = await helper('looker.js')
    const read = async (looks: readonly Span[]): Promise<StreamsReport & { readonly turns: TurnsReport }> =>
      ({ ...await ask<StreamsReport>(client, { looks, lateUs: BAR_MS * 1000 } satisfies Take), turns: await ask<TurnsReport>(gateway.child, 'next') })
    await ask(client, { port: Number(new URL(gateway.data).port), streams: count, rate, classes: Array.from({ length: CLASSES }, (_, i) => `class${i}`) } satisfies StreamsOrder)
    await pause(2000)

    const interval = async (isWatched: boolean): Promise<Interval> => {
      await pause(SETTLE_MS)
      await read([])
      const startNs = await cpuNs(gateway.child.pid!), startMs = performance.now(), startStolenS = await stolenS()
      if (isWatched) await ask(looker, { admin: gateway.admin, scrapeMs: SCRAPE_MS } satisfies LookOrder)
      await pause(INTERVAL_MS)
      const looks = isWatched ? await ask<readonly Span[]>(looker, 'stop') : []
      const elapsedMs = performance.now() - startMs
      const result = { ...await read(looks), elapsedMs, cpuShare: (await cpuNs(gateway.child.pid!) - startNs) / 1e6 / elapsedMs, stolenShare: (await stolenS() - startStolenS) * 1000 / elapsedMs / CORES }
      if (result.errors > 0) throw new Error(`${result.errors} streams broke; nothing can be said about the others`)
      return result
    }
    // The code that looks is compiled as well as it will be before it counts.
    await interval(true)
    const intervals: Record<'alone' | 'watched', Interval[]> = { alone: [], watched: [] }
    for (let pair = 0; pair < pairs; pair++) {
      // Which goes first turns with each pair.
      for (const how of pair % 2 === 0 ? ['alone', 'watched'] as const : ['watched', 'alone'] as const) {
        process.stderr.write(`\r\x1b[K${count} streams × ${rate}/s, pair ${pair + 1} of ${pairs}: ${how}`)
        intervals[how].push(await interval(how === 'watched'))
      }
    }
    process.stderr.write('\r\x1b[K')
    return { streams: count, rate, backends: BACKENDS, classes: CLASSES, intervalMs: INTERVAL_MS, ...judge(intervals) }
  } finally {
    for (const child of children) child.kill('SIGKILL')
    await rm(folder, { recursive: true })
  }
}

async function ask<T>(child: ChildProcess, message: StreamsOrder | LookOrder | Take | 'next' | 'stop'): Promise<T> {
  const gone = new AbortController()
  const answer = Promise.race([
    once(child, 'message', { signal: gone.signal }),
    once(child, 'exit', { signal: gone.signal }).then(() => { throw new Error('a process of the measurement ended') }),
  ])
  child.send(message)
  try {
    return (await answer as [T])[0]
  } finally {
    gone.abort()
  }
}
