/**
 * `npm run bench:relay -- --profile [--before DIR] [--docs PATH]`: where the gateway's CPU goes, per relayed event and per
 * request, by sampling its stack under load. `--before`: another checkout (built) beside this one, in the same run.
 */
import { mkdtempSync, readFileSync, readdirSync, rmSync } from 'node:fs'
import { cpus, tmpdir } from 'node:os'
import { join } from 'node:path'
import type { ClientReport } from './client.js'
import type { Proxy } from './proxies.js'

interface CpuProfile {
  readonly nodes: readonly { readonly id: number, readonly callFrame: { readonly functionName: string, readonly url: string }, readonly children?: readonly number[] }[]
  readonly samples: readonly number[]
  /** Microseconds since the previous sample. */
  readonly timeDeltas: readonly number[]
  /** Microseconds on the machine's monotonic clock. */
  readonly startTime: number
}

/** Microseconds of CPU per event or per request, by area. */
export interface Breakdown {
  readonly title: string
  readonly unit: 'event' | 'request'
  readonly totalUs: number
  readonly areasUs: ReadonlyMap<string, number>
}

export interface Load {
  readonly title: string
  readonly scenario: string
  readonly unit: 'event' | 'request'
}

export const LOADS: readonly Load[] = [
  { title: '500 streams × 50/s', scenario: '500x50', unit: 'event' },
  { title: 'not streamed, as fast as they go', scenario: 'requests', unit: 'request' },
]

/** Writes are nearly all kernel: the sending side of TCP, and on loopback the receiving side too. */
const WRITES = new Set(['writeBuffer', 'writev', 'writeLatin1String', 'writeUtf8String'])
const ROOMS: Record<string, string> = {
  relay: 'relay: parse, hold, forward', protocol: 'protocol: meter, body fields, headers', core: 'scheduler and accounting',
  runtime: 'runtime: leases and attempts', telemetry: 'telemetry: metrics and log line', gateway: 'gateway: classify, promise, limits',
  dashboard: 'dashboard figures',
}
const PACKAGES: Record<string, string> = { pino: 'log writer (pino)', 'sonic-boom': 'log writer (pino)', 'p-queue': 'p-queue', eventemitter3: 'p-queue', fastify: 'Fastify', 'find-my-way': 'Fastify' }

function areaOf({ functionName, url }: CpuProfile['nodes'][number]['callFrame']): string {
  if (WRITES.has(functionName)) return 'socket writes (kernel)'
  if (functionName === 'writeString') return 'log writer (pino)'
  if (functionName === '(garbage collector)') return 'garbage collection'
  if (url.startsWith('node:')) {
    if (/http/.test(url)) return 'Node: HTTP server'
    return /net|stream/.test(url) ? 'Node: sockets and streams' : 'Node: rest'
  }
  const name = /node_modules\/((?:@[^/]+\/)?[^/]+)/.exec(url)?.[1]
  if (name !== undefined) return PACKAGES[name] ?? 'other packages'
  const room = /dist\/([^/]+)/.exec(url)?.[1]
  if (room !== undefined) return ROOMS[room] ?? 'other rooms'
  return 'engine and system, not attributed'
}

/** Self time of each area between two moments (µs, monotonic), as a share of the time not spent idle. */
function shares(profile: CpuProfile, fromUs: number, toUs: number): Map<string, number> {
  const byId = new Map(profile.nodes.map(node => [node.id, node]))
  const spent = new Map<string, number>()
  let nowUs = profile.startTime
  let busyUs = 0
  profile.samples.forEach((id, i) => {
    const tookUs = profile.timeDeltas[i]!
    nowUs += tookUs
    const { callFrame } = byId.get(id)!
    if (nowUs < fromUs || nowUs > toUs || callFrame.functionName === '(idle)') return
    busyUs += tookUs
    const area = areaOf(callFrame)
    spent.set(area, (spent.get(area) ?? 0) + tookUs)
  })
  return new Map([...spent].map(([area, us]) => [area, us / busyUs]))
}

export interface Profiled {
  readonly report: ClientReport
  readonly cpuNs: number
  /** The measured window on the monotonic clock. */
  readonly fromUs: number
  readonly toUs: number
}

/** Runs `work` against a freshly started gateway that samples itself, and reads what it sampled. */
export async function profiled(load: Load, start: (nodeFlags: string[]) => Promise<Proxy>, work: (proxy: Proxy) => Promise<Profiled>): Promise<Breakdown> {
  const dir = mkdtempSync(join(tmpdir(), 'relay-profile-'))
  try {
    const proxy = await start(['--cpu-prof', '--cpu-prof-interval', '500', '--cpu-prof-dir', dir])
    const { report, cpuNs, fromUs, toUs } = await work(proxy)
    await proxy.stop()
    const file = readdirSync(dir).find(name => name.endsWith('.cpuprofile'))
    if (file === undefined) throw new Error('the gateway left no profile: it did not end by itself when asked to')
    const profile = JSON.parse(readFileSync(join(dir, file), 'utf8')) as CpuProfile
    const totalUs = cpuNs / 1000 / (load.unit === 'event' ? report.events : report.requests)
    const areasUs = new Map([...shares(profile, fromUs, toUs)].map(([area, share]) => [area, share * totalUs]))
    return { title: load.title, unit: load.unit, totalUs, areasUs }
  } finally {
    rmSync(dir, { recursive: true, force: true })
  }
}

/** One table per load; columns are checkouts, `now` last. */
export function profileMarkdown(columns: ReadonlyMap<string, readonly Breakdown[]>, command: string): string {
  const names = [...columns.keys()]
  const row = (cells: string[]) => `| ${cells.join(' | ')} |`
  const tables = LOADS.map((load, i) => {
    const breakdowns = names.map(name => columns.get(name)![i]!)
    const latest = breakdowns.at(-1)!
    const areas = [...new Set(breakdowns.flatMap(({ areasUs }) => [...areasUs.keys()]))].sort((a, b) => (latest.areasUs.get(b) ?? 0) - (latest.areasUs.get(a) ?? 0))
    return [
      `## ${load.title}: µs of CPU per ${load.unit}`,
      '',
      row(['where', ...names]),
      row(['---', ...names.map(() => '---:')]),
      ...areas.map(area => row([area, ...breakdowns.map(({ areasUs }) => (areasUs.get(area) ?? 0).toFixed(1))])),
      row(['**all**', ...breakdowns.map(({ totalUs }) => `**${totalUs.toFixed(1)}**`)]),
    ].join('\n')
  })
  return `# Where the relay's CPU goes

Made by \`${command}\` on one core of ${cpus()[0]?.model ?? 'an unknown processor'}, Node ${process.version}, all features on. The sum is what the kernel charged
the process, helper threads of the engine included; its parts are shares of stack samples. Sampling itself costs some, so sums are
above those of the [bench](relay.md).

${tables.join('\n\n')}
`
}
