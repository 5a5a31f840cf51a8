/**
 * `npm run bench:honesty [-- --streams 2000] [--events 10] [--duration 20] [--json]`: what `sluice bench` measures, against what a server of
 * known timing did. Both have a core of their own where the machine has two.
 * The server counts from its reading of a request, the load tool from its schedule. For a while the request may lie before the server, which is
 * at other work: that is no error of the load tool's. It is known from when the server last looked, and from how much longer than others the
 * request was on its way; the lesser of the two is taken off.
 * Nor is it the load tool's error when the machine lets no program run: a witness on each core sees that (`witness.ts`), and the requests that
 * no standstill touched are judged apart as well.
 */
import { execFileSync, fork, spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { cpus, tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { parseArgs } from 'node:util'
import { FIRST, keepCoresAwake } from '../awake.js'
import { cpuNsOf } from '../relay/proxies.js'
import type { Course, Deed } from './scripted-server.js'
import type { Standstill } from './witness.js'

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
/** A core of its own, and first on it. */
const alone = (core: number) => [...FIRST, ...cpus().length > 1 ? ['taskset', '-c', String(core)] : []]

interface Row { readonly first_token_ms: number, readonly type: string, readonly id: string, readonly ttft_ms: number, readonly tpot_ms: number, readonly sent_ms: number, readonly scheduled_ms: number }

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

/** On one core, threads that help to collect garbage are in its way; often and briefly is better than seldom and long. */
const PUNCTUAL = ['--single-threaded-gc', '--max-semi-space-size=1']

const startWitnesses = () => ['0', '1'].slice(0, cpus().length).map(core => fork(here('witness.js'), [core], { serialization: 'advanced', stdio: 'ignore' }))

/** What a witness saw; undefined = it could not go first, or does not live. */
async function askedWitness (witness: ChildProcess): Promise<readonly Standstill[] | undefined> {
  if (!witness.connected) return undefined
  const told = once(witness, 'message') as Promise<[{ seen: Standstill[] }]>
  witness.send('tell')
  return (await told)[0].seen
}

keepCoresAwake()
const witnesses = startWitnesses()
const witnessedFromMs = performance.now()
process.once('exit', () => { for (const witness of witnesses) witness.kill() })
const folder = mkdtempSync(join(tmpdir(), 'honesty-'))
const [first, ...rest] = [...alone(0), process.execPath, ...PUNCTUAL, here('server-process.js'), JSON.stringify(course)]
const server = spawn(first!, rest, { stdio: ['inherit', 'inherit', 'inherit', 'ipc'], serialization: 'advanced' })
process.once('exit', () => { server.kill() })
try {
  const [{ url }] = await once(server, 'message') as [{ url: string }]
  const scenario = join(folder, 'scenario.json')
  const lines = join(folder, 'rows.jsonl')
  writeFileSync(scenario, JSON.stringify({ name: 'known', arrivals: 'poisson', classes: { known: { ttft: '302ms', lengths: { prompt: [[0, 20], [1, 40]], output: [[0, 100], [1, 100]] } } } }))
  const [command, ...args] = [...alone(1), process.execPath, root('dist/cli/main.js'), 'bench', url, '--workload', scenario,
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
  const saw = await Promise.all(witnesses.map(askedWitness))
  const of = (value: (row: Row, deed: Deed) => number) => spread(rows.map(row => value(row, deeds.get(row.id)!)))
  const onItsWay = (row: Row, deed: Deed) => deed.arrivedMs - row.sent_ms
  // The clocks start at different times: the shortest way of all is taken for none.
  const shortestWay = Math.min(...rows.map(row => onItsWay(row, deeds.get(row.id)!)))
  const unread = (row: Row, deed: Deed) => Math.min(deed.unseenMs, onItsWay(row, deed) - shortestWay)
  const stood = saw.includes(undefined) ? undefined : saw.flatMap(seen => seen!)
  const stoodStillShare = stood === undefined ? null : Math.round(stood.reduce((sum, [from, to]) => sum + (to - from), 0) / saw.length / (performance.now() - witnessedFromMs) * 10_000) / 10_000
  const ttftError = (row: Row, deed: Deed) => row.ttft_ms - deed.ttftMs - unread(row, deed)
  // After a standstill all that came meanwhile is read at once: for as long as it lasted again.
  const standstills = stood?.map(([from, to]) => [from, to + (to - from)] as const)
  const touched = (row: Row, deed: Deed) => ([[row.scheduled_ms + shortestWay, deed.arrivedMs], [deed.arrivedMs + deed.ttftMs, row.first_token_ms + shortestWay]] as const)
    .some(([from, to]) => standstills!.some(stand => stand[0] < to && stand[1] > from))
  const calm = standstills === undefined ? [] : rows.filter(row => !touched(row, deeds.get(row.id)!))
  const result = {
    node: process.versions.node, streams, events_per_s: streams * 1000 / gapMs, requests: rows.length,
    ttft_error_ms: of(ttftError),
    tpot_error_ms: of((row, deed) => row.tpot_ms - deed.tpotMs),
    of_that_sent_late_ms: of(row => row.sent_ms - row.scheduled_ms),
    where_the_machine_ran: standstills === undefined ? null : {
      requests: calm.length, ttft_error_ms: spread(calm.map(row => ttftError(row, deeds.get(row.id)!))), machine_stood_still_share: stoodStillShare,
    },
    beside_it: {
      server_read_late_ms: of(unread),
      server_wrote_first_token_in_ms: of((_row, deed) => deed.writeMs),
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
