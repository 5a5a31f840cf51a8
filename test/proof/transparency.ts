/**
 * `npm run proof:transparency [-- --load 0.2] [--workload mix] [--fleets 1,4] [--arms nginx,slo] [--seeds 2] [--json] [--docs docs/results/transparency] [--note TEXT]`:
 * how much later each request's first token comes through a gateway, at low load, than the very same request's without one and through nginx.
 * What was measured so far is written after every seed.
 */
import { writeFileSync } from 'node:fs'
import { parseArgs } from 'node:util'
import type { RequestRow } from '../../src/bench/index.js'
import { saturatedRate, uniformFleet, WORKLOADS, type EnginePreset } from '../../src/simulator/index.js'
import { keepCoresAwake } from '../bench/awake.js'
import { ensureInstalled, type Proxy } from '../bench/relay/proxies.js'
import { ARMS, startArm, type ArmName } from './arms.js'
import { moveToLoadCore, startFleet } from './fleet.js'
import { askedFor, runLive, thisMachine } from './setting.js'

const { values: flags } = parseArgs({
  options: {
    load: { type: 'string', default: '0.2' },
    workload: { type: 'string', default: 'mix' },
    fleets: { type: 'string', default: '1,4' },
    arms: { type: 'string', default: ['nginx', ...ARMS.filter(arm => !/^(nginx|haproxy)/.test(arm))].join(',') },
    preset: { type: 'string', default: 'a100-8b' },
    seeds: { type: 'string', default: '1' },
    warmup: { type: 'string', default: '10' },
    duration: { type: 'string', default: '60' },
    json: { type: 'boolean', default: false },
    docs: { type: 'string' },
    note: { type: 'string', default: '' },
  },
})

/** What the others are held against is run twice: what differs between the two is chance. */
type Way = 'direct' | 'direct again' | 'nginx again' | ArmName
/** `beyondChance`: requests that came later by more than any did when nothing was changed. */
interface Added { readonly beyondChance: number, readonly requests: number, readonly p1: number, readonly p50: number, readonly p90: number, readonly p99: number, readonly max: number, readonly mean: number }
interface Entry { readonly backends: number, readonly way: Way, readonly against: Way, readonly rejected: number, readonly addedTtftMs: Added }

const workload = WORKLOADS[flags.workload]
if (workload === undefined) throw new Error(`unknown workload '${flags.workload}'; known: ${Object.keys(WORKLOADS).join(', ')}`)
const arms = flags.arms.split(',') as ArmName[]
const wrong = arms.find(arm => !ARMS.includes(arm))
if (wrong !== undefined) throw new Error(`unknown arm '${wrong}'; known: ${ARMS.join(', ')}`)
const load = Number(flags.load)

/** Request by request, in rising order. */
const differences = (own: readonly (readonly RequestRow[])[], reference: readonly (readonly RequestRow[])[]): number[] => own.flatMap((rows, run) => rows.flatMap((row, i) => {
  const same = reference[run]?.[i]
  return row.ttft_ms === null || same === undefined || same.ttft_ms === null ? [] : [row.ttft_ms - same.ttft_ms]
})).sort((a, b) => a - b)

function added (sorted: readonly number[], chanceMs: number): Added {
  const at = (q: number) => sorted[Math.min(sorted.length - 1, Math.floor(q * sorted.length))] ?? NaN
  return {
    beyondChance: sorted.filter(value => value > chanceMs).length, requests: sorted.length,
    p1: at(0.01), p50: at(0.5), p90: at(0.9), p99: at(0.99), max: at(1), mean: sorted.reduce((sum, value) => sum + value, 0) / sorted.length,
  }
}

/** One server has a way without a gateway; how a fleet's servers are chosen is part of what is measured, and nginx's choice is what it is held against. */
function entriesOf (backends: number, rows: ReadonlyMap<Way, readonly (readonly RequestRow[])[]>): Entry[] {
  return ([...backends === 1 ? ['direct' as const] : [], 'nginx' as const]).flatMap(against => {
    const reference = rows.get(against) ?? []
    if (reference.length === 0) return []
    // Either of the two may be the later one.
    const chanceMs = Math.max(0, ...differences(rows.get(`${against} again`) ?? [], reference).map(Math.abs))
    return [...rows].filter(([way, own]) => own.length > 0 && (way === `${against} again` || !/^(direct|nginx)/.test(way) || (against === 'direct' && way === 'nginx')))
      .map(([way, own]) => ({ backends, way, against, rejected: own.flat().filter(row => row.ending === 'rejected').length, addedTtftMs: added(differences(own, reference), chanceMs) }))
  })
}

const table = (entries: readonly Entry[]): string => [
  '| servers | through | against | requests | later beyond chance | p1 | p50 | p90 | p99 | most | mean |', `|${' ---: |---|---|'}${' ---: |'.repeat(8)}`,
  ...entries.map(({ backends, way, against, addedTtftMs: { requests, beyondChance, ...ms } }) => `| ${[backends, way, against, requests, beyondChance, ...[ms.p1, ms.p50, ms.p90, ms.p99, ms.max, ms.mean].map(value => value.toFixed(2))].join(' | ')} |`),
].join('\n')

/** Does any policy make a request later than nginx does? */
function verdict (entries: readonly Entry[]): string {
  const own = entries.filter(({ way, against }) => against === 'nginx' && way !== 'nginx again')
  const late = own.filter(({ addedTtftMs }) => addedTtftMs.beyondChance > 0)
  if (late.length === 0) return `No policy made a request later than nginx did, beyond what repeating nginx itself differs by, in ${own.reduce((sum, { addedTtftMs }) => sum + addedTtftMs.requests, 0)} requests.`
  return late.map(({ backends, way, addedTtftMs: { beyondChance, requests, max } }) => `\`${way}\`, ${backends} server${backends === 1 ? '' : 's'}: ${beyondChance} of ${requests} requests later than through nginx by more than repeating nginx itself differs by, ${max.toFixed(0)} ms at most.`).join('\n')
}

const page = (entries: readonly Entry[]): string => `# What a gateway adds at low load

Measured by \`npm run proof:transparency -- ${askedFor()}\`, which anybody can run, on ${thisMachine(flags.note)}. Emulated servers (\`${flags.preset}\`) get
\`${flags.workload}\` at ${flags.load} of what they can complete; each request's TTFT, in ms, less that of the very same request on the other way. \`slo\` runs with \`admission: observe\`, the default;
the other policies with admission off.

${verdict(entries)}

An emulated server begins a request with its next step, 10 ms apart or more: a request that comes a tenth of a millisecond later may find a step gone, and one that comes in another
order waits for another's prompt. \`direct again\` shows how much of that is chance. \`slo\` chooses an order: a long prompt may wait so that tokens of running answers come in time, which makes some requests earlier and some later.

${table(entries)}
`

ensureInstalled()
keepCoresAwake()
moveToLoadCore(process.pid)
const done: Entry[] = []
const write = (entries: readonly Entry[]) => {
  if (flags.docs === undefined) return
  writeFileSync(`${flags.docs}.md`, page(entries))
  writeFileSync(`${flags.docs}.json`, `${JSON.stringify(entries, null, 1)}\n`)
}
const fleets = flags.fleets.split(',').map(Number)
const seeds = Array.from({ length: Number(flags.seeds) }, (_, i) => i + 1)
const waysOf = (backends: number): Way[] => [...backends === 1 ? ['direct' as const, 'direct again' as const] : [], ...arms, ...arms.includes('nginx') ? ['nginx again' as const] : []]
process.stderr.write(`about ${Math.round(fleets.reduce((sum, backends) => sum + waysOf(backends).length, 0) * seeds.length * (Number(flags.warmup) + Number(flags.duration) + 8) / 60)} minutes\n`)
for (const backends of fleets) {
  const fleet = await startFleet(backends, flags.preset, 1)
  const ratePerSecond = load * saturatedRate(workload, uniformFleet(backends, flags.preset as EnginePreset))
  const ways = waysOf(backends)
  const rows = new Map<Way, RequestRow[][]>(ways.map(way => [way, []]))
  const direct: Proxy = { name: 'direct', port: fleet.ports[0]!, cpuNs: () => 0, residentBytes: () => 0, stop: async () => {} }
  try {
    for (const [turn, seed] of seeds.entries()) {
      for (let i = 0; i < ways.length; i++) {
        const way = ways[(i + turn) % ways.length]!
        process.stderr.write(`\r\u001b[K${backends} servers, ${way}, seed ${seed}`)
        await fleet.idle()
        const proxy = way === 'direct' || way === 'direct again' ? direct : await startArm(way === 'nginx again' ? 'nginx' : way, {
          backendPorts: fleet.ports, classes: workload.classes.map(({ service }) => service), maxconn: Infinity, admission: { mode: 'observe', probeShare: 0.05, maxFalseRejectionRatio: 0.2 },
        })
        const run = await runLive(fleet, proxy, { workload, ratePerSecond, seed, warmupMs: 1000 * Number(flags.warmup), measureMs: 1000 * Number(flags.duration) })
        rows.get(way)!.push([...run.load.rows])
      }
      write([...done, ...entriesOf(backends, rows)])
    }
    done.push(...entriesOf(backends, rows))
  } finally {
    await fleet.stop()
  }
}
process.stderr.write('\r\u001b[K')
process.stdout.write(flags.json ? `${JSON.stringify(done)}\n` : `${table(done)}\n\n${verdict(done)}\n`)
