/**
 * `npm run bench:honesty [-- --streams 2000] [--events 10] [--duration 20] [--json]`: what `sluice bench` measures, against what a server of
 * known timing did. Both have a core of their own where the machine has two.
 * The server counts from a request's arrival, the load tool from its schedule: the difference is the load tool's own error, the loopback, and
 * what the server itself noted too early or too late, which is shown beside it.
 */
import { execFileSync, fork, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { cpus, tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { parseArgs } from 'node:util'
import { cpuNsOf } from '../relay/proxies.js'
import type { Course, Deed } from './scripted-server.js'

const { values: flags } = parseArgs({
  options: {
    streams: { type: 'string', default: '2000' },
    events: { type: 'string', default: '10' },
    duration: { type: 'string', default: '20' },
    json: { type: 'boolean', default: false },
  },
})
const streams = Number(flags.streams)
const gapMs = 1000 / Number(flags.events)
/** One stream lives 10 s, and so many start per second that the ordered number is open at once. */
const lifeS = 10
const course: Course = { firstMs: 300, gapMs, tokens: Math.round((lifeS * 1000 - 300) / gapMs) }
const root = (path: string) => new URL(`../../../${path}`, import.meta.url).pathname
const here = (path: string) => new URL(path, import.meta.url).pathname
const pinned = (core: number) => cpus().length > 1 ? ['taskset', '-c', String(core)] : []

interface Row { readonly type: string, readonly id: string, readonly ttft_ms: number, readonly tpot_ms: number, readonly sent_ms: number, readonly scheduled_ms: number }

function spread (values: readonly number[]) {
  const sorted = [...values].sort((a, b) => a - b)
  const at = (q: number) => Math.round(sorted[Math.min(sorted.length - 1, Math.floor(q * sorted.length))]! * 1000) / 1000
  return { p1: at(0.01), p50: at(0.5), p99: at(0.99), max: at(1) }
}

/** What share of a core each process uses, after `waitMs`, over `spanMs`. */
async function cpuSharesOf (pids: readonly number[], waitMs: number, spanMs: number): Promise<number[]> {
  await sleep(waitMs)
  const before = pids.map(cpuNsOf)
  const startMs = performance.now()
  await sleep(spanMs)
  const tookNs = (performance.now() - startMs) * 1e6
  return pids.map((pid, i) => Math.round((cpuNsOf(pid) - before[i]!) / tookNs * 1000) / 1000)
}

const folder = mkdtempSync(join(tmpdir(), 'honesty-'))
const server = fork(here('server-process.js'), [JSON.stringify(course)], { serialization: 'advanced' })
process.once('exit', () => { server.kill() })
try {
  const [{ url }] = await once(server, 'message') as [{ url: string }]
  if (cpus().length > 1) execFileSync('taskset', ['-acp', '0', String(server.pid)], { stdio: 'ignore' })
  const scenario = join(folder, 'scenario.json')
  const lines = join(folder, 'rows.jsonl')
  writeFileSync(scenario, JSON.stringify({ name: 'known', arrivals: 'poisson', classes: { known: { ttft: '302ms', lengths: { prompt: [[0, 20], [1, 40]], output: [[0, 100], [1, 100]] } } } }))
  const [command, ...args] = [...pinned(1), process.execPath, root('dist/cli/main.js'), 'bench', url, '--workload', scenario,
    '--rate', String(streams / lifeS), '--warmup', `${lifeS + 1}s`, '--duration', `${flags.duration}s`, '--cooldown', '30s', '--jsonl', lines, '--json']
  const bench = spawn(command!, args, { stdio: ['ignore', 'pipe', 'inherit'] })
  process.once('exit', () => { bench.kill() })
  let out = ''
  bench.stdout.on('data', chunk => { out += String(chunk) })
  const closed = once(bench, 'close')
  const cpuShares = await cpuSharesOf([bench.pid!, server.pid!], (lifeS + 3) * 1000, 5000)
  const [code] = await closed as [number]
  if (code !== 0) throw new Error(`the load tool ended with ${code}`)
  const told = once(server, 'message') as Promise<[{ deeds: [string, Deed][] }]>
  server.send('deeds')
  const deeds = new Map((await told)[0].deeds)
  const summary = JSON.parse(out) as { attainment: number, request_goodput_per_s: number }
  const recomputed = JSON.parse(execFileSync(process.execPath, [root('scripts/goodput.js'), lines], { encoding: 'utf8' })) as typeof summary
  const rows = readFileSync(lines, 'utf8').split('\n').filter(Boolean).map(line => JSON.parse(line) as Row).filter(row => row.type === 'request')
  const of = (value: (row: Row, deed: Deed) => number) => spread(rows.map(row => value(row, deeds.get(row.id)!)))
  const result = {
    node: process.versions.node, streams, events_per_s: streams * 1000 / gapMs, requests: rows.length,
    ttft_error_ms: of((row, deed) => row.ttft_ms - deed.ttftMs),
    tpot_error_ms: of((row, deed) => row.tpot_ms - deed.tpotMs),
    ttft_error_less_server_ms: of((row, deed) => row.ttft_ms - deed.ttftMs - deed.unseenMs - deed.writeMs),
    of_that: {
      sent_late_ms: of(row => row.sent_ms - row.scheduled_ms),
      server_read_late_at_most_ms: of((_row, deed) => deed.unseenMs),
      server_wrote_late_at_most_ms: of((_row, deed) => deed.writeMs),
    },
    share_of_a_core: { load_tool: cpuShares[0], server: cpuShares[1] },
    goodput_per_s: { reported: summary.request_goodput_per_s, recomputed: recomputed.request_goodput_per_s },
    honest: Math.abs(summary.request_goodput_per_s - recomputed.request_goodput_per_s) < 1e-9,
  }
  process.stdout.write(flags.json ? `${JSON.stringify(result)}\n` : `${JSON.stringify(result, null, 2)}\n`)
} finally {
  server.kill()
  rmSync(folder, { recursive: true })
}
