/**
 * `npm run proof [-- --quick] [--workloads mix,chat] [--arms slo,nginx] [--loads 0.5,1.5] [--seeds 2] [--json] [--docs docs/results/proof] [--note TEXT]`:
 * the scheduler over real sockets, beside other proxies and the simulator's prediction for the same requests.
 */
import { writeFileSync } from 'node:fs'
import { cpus } from 'node:os'
import { parseArgs } from 'node:util'
import { parseTarget, runLoad, summarise, type LoadRunResult } from '../../src/bench/index.js'
import { POLICIES, type Ms, type PolicyName, type SloTargets } from '../../src/core/index.js'
import { RUN_DEFAULTS, saturatedRate, simulate, uniformFleet, WORKLOADS, type EnginePreset, type RunResult, type Workload } from '../../src/simulator/index.js'
import { ensureInstalled } from '../bench/relay/proxies.js'
import { ARMS, startArm, type ArmName } from './arms.js'
import { startFleet, type EmulatedFleet } from './fleet.js'
import { page, tables, transparencyTable, type Cell, type Setup, type Transparency } from './report.js'

const { values: flags } = parseArgs({
  options: {
    quick: { type: 'boolean', default: false },
    workloads: { type: 'string' },
    arms: { type: 'string' },
    loads: { type: 'string' },
    seeds: { type: 'string' },
    backends: { type: 'string', default: '4' },
    preset: { type: 'string', default: 'a100-8b' },
    'time-scale': { type: 'string', default: '2' },
    warmup: { type: 'string' },
    duration: { type: 'string' },
    maxconn: { type: 'string', default: '24' },
    json: { type: 'boolean', default: false },
    docs: { type: 'string' },
    note: { type: 'string', default: '' },
  },
})

const list = (given: string | undefined, quick: string, full: string) => (given ?? (flags.quick ? quick : full)).split(',')
const number = (given: string | undefined, quick: number, full: number) => given === undefined ? (flags.quick ? quick : full) : Number(given)

const timeScale = Number(flags['time-scale'])
const workloads = list(flags.workloads, 'mix', 'mix,chat,chat+code')
const loads = list(flags.loads, '0.8,1.5', '0.5,0.8,1,1.2,1.5').map(Number)
const arms = list(flags.arms, 'slo,nginx', ARMS.join(',')) as ArmName[]
const seeds = Array.from({ length: number(flags.seeds, 1, 2) }, (_, i) => i + 1)
const warmupMs = 1000 * number(flags.warmup, 10, 20)
const measureMs = 1000 * number(flags.duration, 20, 60)
const backends = uniformFleet(Number(flags.backends), flags.preset as EnginePreset).map(backend => ({ ...backend, speed: 1 / timeScale }))
const admission = { mode: 'enforce', probeShare: 0.05, maxFalseRejectionRatio: 0.2 } as const
const clock = { now: () => performance.now() }

for (const [what, names, known] of [['arm', arms, ARMS], ['workload', workloads, Object.keys(WORKLOADS)]] as const) {
  const wrong = names.find(name => !(known as readonly string[]).includes(name))
  if (wrong !== undefined) throw new Error(`unknown ${what} '${wrong}'; known: ${known.join(', ')}`)
}

/** The same workload with every target so many times as long. */
function stretched (workload: Workload): Workload {
  const stretch = ({ ttftMs, tpotMs, deadlineMs }: SloTargets): SloTargets => {
    const longer = (name: keyof SloTargets, value: Ms | undefined) => value === undefined ? {} : { [name]: value * timeScale }
    return { ...longer('ttftMs', ttftMs), ...longer('tpotMs', tpotMs), ...longer('deadlineMs', deadlineMs) }
  }
  return { ...workload, classes: workload.classes.map(entry => ({ ...entry, service: { ...entry.service, targets: stretch(entry.service.targets) } })) } as Workload
}

/** The policy of the simulator that is like the arm. */
const likeness = (arm: ArmName): PolicyName | undefined =>
  arm === 'nginx' || arm === 'haproxy' ? 'least-requests' : (POLICIES as readonly string[]).includes(arm) ? arm as PolicyName : undefined

function predicted (workload: Workload, arm: ArmName, ratePerSecond: number): Cell['simulated'] {
  const policy = likeness(arm)
  if (policy === undefined) return undefined
  const runs: RunResult[] = seeds.map(seed => simulate({
    ...RUN_DEFAULTS, workload, backends, policy, seed, ratePerSecond, warmupMs, measureMs, admission: { ...admission, mode: policy === 'slo' ? 'enforce' : 'off' },
  }))
  const names = workload.classes.map(({ service }) => service.name)
  const share = (entries: readonly { met: number, counted: number }[]) => entries.reduce((sum, entry) => sum + entry.met, 0) / entries.reduce((sum, entry) => sum + entry.counted, 0)
  const byName = names.map(name => [name, share(runs.map(run => run.classes.find(entry => entry.name === name)!))] as const)
  const total = (of: (run: RunResult) => number) => runs.reduce((sum, run) => sum + of(run), 0)
  return {
    attainment: Object.fromEntries(byName),
    overall: share(runs.flatMap(run => run.classes)),
    worst: Math.min(...byName.map(([, value]) => value).filter(value => !Number.isNaN(value))),
    wasted: total(run => run.wastedMs) / total(run => run.workedMs),
  }
}

let runs = 0
async function live (fleet: EmulatedFleet, workload: Workload, arm: ArmName, ratePerSecond: number, seed: number): Promise<LoadRunResult> {
  await fleet.idle()
  const proxy = await startArm(arm, { backendPorts: fleet.ports, classes: workload.classes.map(({ service }) => service), maxconn: Number(flags.maxconn), admission })
  try {
    return await runLoad({
      target: parseTarget(`http://127.0.0.1:${proxy.port}`),
      style: { api: 'chat', model: undefined, trueLengths: 'emulate', headers: {}, classHeader: 'x-slo-class' },
      workload, load: { kind: 'open', ratePerSecond }, seed, warmupMs, measureMs, cooldownMs: 10_000, timeoutMs: 600_000, cutLost: true, targets: new Map(), clock, runId: `proof-${++runs}`,
    })
  } finally {
    await proxy.stop()
  }
}

/** At the lowest load measured, each request against the very same request through nginx. */
function added (results: ReadonlyMap<ArmName, readonly LoadRunResult[]>, load: number): Transparency[] {
  const reference = results.get('nginx')
  if (reference === undefined || load > 0.5) return []
  return [...results].flatMap(([arm, own]) => {
    if (arm === 'nginx') return []
    const differences = own.flatMap((run, seed) => run.rows.flatMap((row, i) => {
      const same = reference[seed]!.rows[i]
      return row.ttft_ms === null || same === undefined || same.ttft_ms === null ? [] : [row.ttft_ms - same.ttft_ms]
    })).sort((a, b) => a - b)
    const at = (q: number) => differences[Math.min(differences.length - 1, Math.floor(q * differences.length))] ?? NaN
    return [{ arm, load, requests: differences.length, addedTtftMs: { p50: at(0.5), p90: at(0.9), p99: at(0.99) } }]
  })
}

ensureInstalled()
const fleet = await startFleet(backends.length, flags.preset, 1 / timeScale)
const cells: Cell[] = []
const transparency: Transparency[] = []
const rawRates: Record<string, number> = {}
const setup: Setup = {
  backends: backends.length, preset: flags.preset, timeScale, warmupS: warmupMs / 1000, durationS: measureMs / 1000, seeds, maxconn: Number(flags.maxconn), rawRates,
  machine: `All on one machine with ${cpus().length} cores, Node ${process.versions.node}${flags.note === '' ? '' : `. ${flags.note}`}`,
}
/** What was asked for, without where the page goes and what is said on it. */
const asked = process.argv.slice(2).filter((arg, i, all) => ![arg, all[i - 1] ?? ''].some(flag => flag === '--docs' || flag === '--note'))
const write = () => {
  if (flags.docs === undefined) return
  writeFileSync(`${flags.docs}.md`, page(cells, transparency, setup, ['npm run proof --', ...asked].join(' ')))
  writeFileSync(`${flags.docs}.json`, `${JSON.stringify({ setup, transparency, cells }, null, 1)}\n`)
}
try {
  const total = workloads.length * loads.length * arms.length * seeds.length
  process.stderr.write(`${total} runs, about ${Math.round(total * (warmupMs + 1.8 * measureMs) / 60_000)} minutes\n`)
  for (const name of workloads) {
    const workload = stretched(WORKLOADS[name]!)
    rawRates[name] = saturatedRate(workload, backends)
    for (const load of [...loads].sort((a, b) => a - b)) {
      const ratePerSecond = load * rawRates[name]!
      const results = new Map<ArmName, LoadRunResult[]>(arms.map(arm => [arm, []]))
      // Arms in turn within each seed, in an order that changes: drift of the machine hits all alike.
      for (const [turn, seed] of seeds.entries()) {
        for (let i = 0; i < arms.length; i++) {
          const arm = arms[(i + turn) % arms.length]!
          process.stderr.write(`\r\u001b[K${runs + 1}/${total} ${name} ${load}x ${arm} seed ${seed}`)
          results.get(arm)!.push(await live(fleet, workload, arm, ratePerSecond, seed))
        }
      }
      for (const arm of arms) cells.push({ workload: name, arm, load, live: summarise(results.get(arm)!), simulated: predicted(workload, arm, ratePerSecond) })
      if (name === workloads[0] && load === Math.min(...loads)) transparency.push(...added(results, load))
      write()
    }
  }
  process.stderr.write('\r\u001b[K')
  process.stdout.write(flags.json ? `${JSON.stringify({ setup, transparency, cells })}\n` : `${tables(cells)}\n${transparency.length === 0 ? '' : `${transparencyTable(transparency)}\n`}`)
} finally {
  await fleet.stop()
}
