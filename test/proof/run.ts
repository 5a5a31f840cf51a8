/**
 * `npm run proof [-- --quick] [--workloads mix,chat] [--arms slo,nginx] [--loads 0.5,1.5] [--seeds 2] [--json] [--docs docs/results/proof] [--keep FOLDER] [--note TEXT]`:
 * the scheduler over real sockets, beside other proxies and the simulator's prediction for the same requests.
 * What was measured so far is written after every run; with `--keep` each run is kept as well, and is not made again.
 */
import { writeFileSync } from 'node:fs'
import { parseArgs } from 'node:util'
import { summarise } from '../../src/bench/index.js'
import { POLICIES, type PolicyName } from '../../src/core/index.js'
import { RUN_DEFAULTS, saturatedRate, simulate, uniformFleet, WORKLOADS, type EnginePreset, type RunResult, type Workload } from '../../src/simulator/index.js'
import { keepCoresAwake } from '../bench/awake.js'
import { ensureInstalled } from '../bench/relay/proxies.js'
import { ARMS, startArm, type ArmName } from './arms.js'
import { moveToLoadCore, startFleet } from './fleet.js'
import { KeptRuns, revived, type ProofRun } from './kept.js'
import { page, tables, type Cell, type Setup } from './report.js'
import { askedFor, COOLDOWN_MS, runLive, stretched, thisMachine, type CpuShares, type LiveRun } from './setting.js'

const { values: flags } = parseArgs({
  options: {
    quick: { type: 'boolean', default: false },
    workloads: { type: 'string' },
    arms: { type: 'string' },
    loads: { type: 'string' },
    seeds: { type: 'string' },
    backends: { type: 'string', default: '4' },
    preset: { type: 'string', default: 'a100-8b' },
    'time-scale': { type: 'string', default: '1' },
    warmup: { type: 'string' },
    duration: { type: 'string' },
    maxconn: { type: 'string', default: '24' },
    json: { type: 'boolean', default: false },
    docs: { type: 'string' },
    keep: { type: 'string' },
    note: { type: 'string', default: '' },
  },
})

const list = (given: string | undefined, quick: string, full: string) => (given ?? (flags.quick ? quick : full)).split(',')
const number = (given: string | undefined, quick: number, full: number) => given === undefined ? (flags.quick ? quick : full) : Number(given)

const timeScale = Number(flags['time-scale'])
const workloads = list(flags.workloads, 'mix', 'mix,chat,chat+code')
const loads = list(flags.loads, '0.8,1.5', '0.3,0.5,0.8,1,1.2,1.5').map(Number)
const arms = list(flags.arms, 'slo,nginx', ARMS.join(',')) as ArmName[]
const seeds = Array.from({ length: number(flags.seeds, 1, 2) }, (_, i) => i + 1)
const warmupMs = 1000 * number(flags.warmup, 10, 20)
const measureMs = 1000 * number(flags.duration, 20, 60)
const backends = uniformFleet(Number(flags.backends), flags.preset as EnginePreset).map(backend => ({ ...backend, speed: 1 / timeScale }))
const admission = { mode: 'enforce', probeShare: 0.05, maxFalseRejectionRatio: 0.2 } as const

for (const [what, names, known] of [['arm', arms, ARMS], ['workload', workloads, Object.keys(WORKLOADS)]] as const) {
  const wrong = names.find(name => !(known as readonly string[]).includes(name))
  if (wrong !== undefined) throw new Error(`unknown ${what} '${wrong}'; known: ${known.join(', ')}`)
}

/** The policy of the simulator that is like the arm. */
const likeness = (arm: ArmName): PolicyName | undefined =>
  arm === 'nginx' || arm === 'haproxy' ? 'least-requests' : (POLICIES as readonly string[]).includes(arm) ? arm as PolicyName : undefined

/** The simulator's run of the same requests; undefined where no policy of it is like the arm. */
function predicted (workload: Workload, arm: ArmName, ratePerSecond: number, seed: number): RunResult | undefined {
  const policy = likeness(arm)
  return policy === undefined ? undefined : simulate({ ...RUN_DEFAULTS, workload, backends, policy, seed, ratePerSecond, warmupMs, measureMs, cooldownMs: COOLDOWN_MS, admission: { ...admission, mode: policy === 'slo' ? 'enforce' : 'off' } })
}

function pooled (workload: Workload, runs: readonly RunResult[]): Cell['simulated'] {
  if (runs.length === 0) return undefined
  const share = (entries: readonly { met: number, counted: number }[]) => entries.reduce((sum, entry) => sum + entry.met, 0) / entries.reduce((sum, entry) => sum + entry.counted, 0)
  const byName = workload.classes.map(({ service: { name } }) => [name, share(runs.map(run => run.classes.find(entry => entry.name === name)!))] as const)
  const total = (of: (run: RunResult) => number) => runs.reduce((sum, run) => sum + of(run), 0)
  return {
    attainment: Object.fromEntries(byName),
    overall: share(runs.flatMap(run => run.classes)),
    worst: Math.min(...byName.map(([, value]) => value).filter(value => !Number.isNaN(value))),
    wasted: total(run => run.wastedMs) / total(run => run.workedMs),
  }
}

const mean = (values: readonly number[]) => values.reduce((sum, value) => sum + value, 0) / values.length
const meanShares = (runs: readonly LiveRun[]): CpuShares => ({ gateway: mean(runs.map(run => run.cpu.gateway)), fleet: mean(runs.map(run => run.cpu.fleet)), loadTool: mean(runs.map(run => run.cpu.loadTool)) })

/** One arm at one load of one workload, with what there is of it so far. */
interface Measured { readonly workload: Workload, readonly arm: ArmName, readonly load: number, readonly live: LiveRun[], readonly simulated: RunResult[] }

const cellOf = ({ workload, arm, load, live, simulated }: Measured): Cell => ({ workload: workload.name, arm, load, live: summarise(live.map(run => run.load)), simulated: pooled(workload, simulated), cpu: meanShares(live) })

ensureInstalled()
keepCoresAwake()
moveToLoadCore(process.pid)
const kept = new KeptRuns(flags.keep)
const fleet = await startFleet(backends.length, flags.preset, 1 / timeScale)
const setup: Setup = {
  backends: backends.length, preset: flags.preset, timeScale, warmupS: warmupMs / 1000, durationS: measureMs / 1000, seeds, maxconn: Number(flags.maxconn),
  machine: thisMachine(flags.note), rawRates: Object.fromEntries(workloads.map(name => [name, saturatedRate(stretched(WORKLOADS[name]!, timeScale), backends)])),
}
const measured: Measured[] = workloads.flatMap(name => [...loads].sort((a, b) => a - b).flatMap(load => arms.map(arm => ({ workload: stretched(WORKLOADS[name]!, timeScale), arm, load, live: [], simulated: [] }))))
const cells = () => measured.filter(({ live }) => live.length > 0).map(cellOf)
const write = () => {
  if (flags.docs === undefined) return
  writeFileSync(`${flags.docs}.md`, page(cells(), setup, `npm run proof -- ${askedFor()}`))
  writeFileSync(`${flags.docs}.json`, `${JSON.stringify({ setup, cells: cells() }, null, 1)}\n`)
}
/** What a run is kept under, and what it must have been made under to stand for another. */
function identified ({ workload, arm, load }: Measured, seed: number): { readonly name: string, readonly conditions: object } {
  return {
    name: `${workload.name}-${load}x-${arm}-${seed}`,
    conditions: { ratePerSecond: load * setup.rawRates[workload.name]!, warmupMs, measureMs, backends: backends.length, preset: flags.preset, timeScale, maxconn: setup.maxconn, admission },
  }
}
async function made ({ workload, arm, load }: Measured, seed: number): Promise<ProofRun> {
  const ratePerSecond = load * setup.rawRates[workload.name]!
  await fleet.idle()
  const proxy = await startArm(arm, { backendPorts: fleet.ports, classes: workload.classes.map(({ service }) => service), maxconn: setup.maxconn, admission })
  const { load: measuredLoad, cpu } = await runLive(fleet, proxy, { workload, ratePerSecond, seed, warmupMs, measureMs })
  return { live: { load: revived(measuredLoad), cpu }, predicted: predicted(workload, arm, ratePerSecond, seed) }
}
try {
  // Seed by seed, so that what is there when the time is up covers everything; arms in turn, in an order that changes, so that drift hits all alike.
  const plan = seeds.flatMap((seed, turn) => measured.map((_, i) => {
    const first = i - i % arms.length
    return { seed, entry: measured[first + (i + turn) % arms.length]! }
  })).map(({ seed, entry }) => ({ seed, entry, ...identified(entry, seed) }))
  const missing = plan.filter(({ name, conditions }) => kept.read(name, conditions) === undefined).length
  process.stderr.write(`${missing} runs, about ${Math.round(missing * (warmupMs + measureMs + 12_000) / 60_000)} minutes\n`)
  let begun = 0
  for (const { seed, entry, name, conditions } of plan) {
    let run = kept.read(name, conditions)
    if (run === undefined) {
      process.stderr.write(`\r\u001b[K${++begun}/${missing} ${name}`)
      run = await made(entry, seed)
      kept.write(name, conditions, run)
    }
    entry.live.push(run.live)
    if (run.predicted !== undefined) entry.simulated.push(run.predicted)
    write()
  }
  process.stderr.write('\r\u001b[K')
  process.stdout.write(flags.json ? `${JSON.stringify({ setup, cells: cells() })}\n` : `${tables(cells())}\n`)
} finally {
  await fleet.stop()
}
