import type { PolicyName } from '../../core/index.js'
import { saturatedRate } from '../saturation.js'
import { RUN_DEFAULTS, uniformFleet, type SimulatedBackend } from '../spec.js'
import { runStudy, type Conditions, type PolicySummary, type RunCell, type Study } from '../study/study.js'
import type { LoadSummary } from '../study/summary.js'
import { parseArrivals } from '../workload/arrivals.js'
import { WORKLOADS, type Workload } from '../workload/workload.js'
import { burden, load, share } from './format.js'

/** Policies were tuned with other seeds (1 to 5, 101, 102); what is published is measured with these. */
export const REPORT_SEEDS: readonly number[] = [11, 12, 13, 14, 15]

export interface PublishedOptions {
  /** A small fleet, short runs, one seed, few loads: shows that it works, proves nothing. */
  readonly quick: boolean
  /** The command line that makes this report, for its readers. */
  readonly command: string
  /** Runs simulations of the given workload; the last one's runner may be closed when the next is asked for. */
  readonly runnerFor: (workload: Workload) => RunCell
  /** Told after each section. */
  readonly onSection?: (done: number) => void
}

interface Scale {
  readonly backends: readonly SimulatedBackend[]
  readonly seeds: readonly number[]
  readonly loads: readonly number[]
  readonly policies: readonly PolicyName[]
  readonly objectives: readonly number[]
  readonly tolerance: number
  readonly conditions: Conditions
}

const FULL: Scale = {
  backends: uniformFleet(8),
  seeds: REPORT_SEEDS,
  loads: [0.5, 0.8, 0.9, 1.0, 1.5, 2.0],
  policies: ['slo', 'round-robin', 'least-requests', 'least-prefill-tokens', 'static-pools'],
  objectives: [0.9, 0.99],
  tolerance: 0.03,
  conditions: { ...RUN_DEFAULTS, measureMs: 80_000 },
}

const QUICK: Scale = {
  ...FULL, backends: uniformFleet(2), seeds: REPORT_SEEDS.slice(0, 1), loads: [0.5, 1.5], policies: ['slo', 'round-robin'], objectives: [0.9], tolerance: 0.5,
  conditions: { ...RUN_DEFAULTS, warmupMs: 5_000, measureMs: 10_000 },
}

/** The published figures, as a page: every number comes out of runs made here, and is cut, never rounded, to its last digit. */
export async function publishedReport({ quick, command, runnerFor, onSection = () => {} }: PublishedOptions): Promise<string> {
  const scale = quick ? QUICK : FULL
  const parts = [heading(scale, command)]
  for (const name of ['mix', 'chat+code', 'chat']) {
    const workload = WORKLOADS[name]!
    const study = await runStudy({ ...scale, workload, rawRate: saturatedRate(workload, scale.backends), perfect: true }, runnerFor(workload))
    parts.push(studySection(study, scale))
    onSection(parts.length - 1)
  }
  parts.push(await conditionsSection(scale, runnerFor))
  onSection(parts.length - 1)
  parts.push(await lastingSection(scale, runnerFor))
  onSection(parts.length - 1)
  parts.push(await sharingSection(scale, runnerFor))
  return `${parts.join('\n\n')}\n`
}

function heading({ backends, seeds, conditions }: Scale, command: string): string {
  return `# What the simulator measured

Made by \`${command}\`; the same command makes the same page. ${backends.length} backends (\`${backends[0]!.preset}\`), Poisson arrivals unless another process is
named, seeds ${seeds.join(', ')} (none of them was used to choose anything), ${conditions.measureMs / 1000} s measured after ${conditions.warmupMs / 1000} s of warm-up in each run. Prompt sizes are known to
±${Math.round(conditions.knowledge.promptError * 100)} %, output lengths not at all. How it is done is in [simulator.md](../simulator.md).

Load 1.0 is what the fleet completes of a workload with a deep backlog and no targets at all. Attainment is over all requests that were offered, rejected ones
included; *worst* is the class that does worst, batch work by its deadline. Shares are cut, not rounded; ranges in brackets are the least and the most over the seeds.`
}

function studySection(study: Study, { loads, objectives }: Scale): string {
  const [first] = study.policies
  return [
    `## ${study.workload}`,
    `Load 1.0 = ${study.raw_rate_per_s.toFixed(1)} requests/s.`,
    'Share of the requests with TTFT and TPOT targets that meet both:',
    table(['policy', ...loads.map(load)], study.policies.map(policy => [nameOf(policy), ...policy.loads.map(entry => share(entry.interactive_attainment))])),
    'Highest load at which every class attains the objective, and its share of the clairvoyant bound:',
    table(['policy', ...objectives.flatMap(objective => [`at ${objective}`, 'of the bound'])], [
      ...study.policies.map(policy => [nameOf(policy), ...objectives.flatMap(objective => [load(policy.load_at_objective[objective]!), ofBound(policy.load_at_objective[objective]!, study.bound[objective])])]),
      ['bound', ...objectives.flatMap(objective => [study.bound[objective] === undefined ? '–' : load(study.bound[objective]), ''])],
    ]),
    ...first === undefined ? [] : [`\`${first.name}\` against the others at ${objectives[0]}: ${against(first, study.policies, objectives[0]!)}.`, `\`${first.name}\` in detail:`, details(first)],
  ].join('\n\n')
}

const nameOf = (policy: PolicySummary): string => `\`${policy.name}\`${policy.split === undefined ? '' : ` (${policy.split})`}`

const ofBound = (found: number, bound: number | undefined): string => bound === undefined ? '–' : `${Math.floor(found / bound * 100)} %`

function against(first: PolicySummary, policies: readonly PolicySummary[], objective: number): string {
  return policies.filter(policy => policy !== first && !policy.name.startsWith(`${first.name}+`)).map(policy => {
    const ratio = first.load_at_objective[objective]! / policy.load_at_objective[objective]!
    return `${Number.isFinite(ratio) ? load(ratio) : 'all'} the load of \`${policy.name}\``
  }).join(', ')
}

function details(policy: PolicySummary): string {
  const classes = Object.keys(policy.loads[0]!.attainment)
  return table(
    ['load', ...classes, 'worst', 'goodput/s', 'wasted', 'refused', 'refused with room', 'false (probes)', 'batch kept'],
    policy.loads.map(entry => [load(entry.load), ...classes.map(name => share(entry.attainment[name]!)), withRange(entry), entry.goodput_per_s.toFixed(1), ...costs(entry), share(entry.batch_kept_ratio)]),
  )
}

const withRange = (entry: LoadSummary): string => `${share(entry.worst_attainment)} (${entry.spread.worst_attainment.map(share).join('–')})`

const costs = (entry: LoadSummary): string[] => [
  burden(entry.wasted_ratio), burden(entry.rejected_ratio), entry.refused_with_room_ratio === null ? '–' : burden(entry.refused_with_room_ratio),
  entry.false_rejection_ratio === null ? '–' : `${burden(entry.false_rejection_ratio)} of ${entry.probes}`,
]

interface Condition { readonly name: string, readonly load: number, readonly changes: Partial<Conditions>, readonly arrivals?: string }

const CONDITIONS: readonly Condition[] = [
  { name: 'as usual', load: 0.8, changes: {} },
  { name: 'one backend at half speed', load: 0.8, changes: { incidents: [{ kind: 'slow', backend: 0, fromMs: 0, untilMs: Infinity, speed: 0.5 }] } },
  { name: 'one backend down for 30 s', load: 0.8, changes: { incidents: [{ kind: 'down', backend: 0, fromMs: 80_000, untilMs: 110_000, speed: 1 }] } },
  { name: 'bursts: Gamma gaps, CV 4', load: 0.6, changes: {}, arrivals: 'gamma:4' },
  { name: 'bursts: 3 times the rate for 10 s of every 30 s', load: 0.6, changes: {}, arrivals: 'on-off:3:10:20' },
  { name: 'prompt sizes known to ±40 %', load: 0.8, changes: { knowledge: { promptError: 0.4, promptBias: 0, perfect: false } } },
  { name: 'every prompt looks 40 % larger', load: 0.8, changes: { knowledge: { promptError: 0.12, promptBias: 0.4, perfect: false } } },
  { name: '2 gateways that know nothing of each other', load: 0.8, changes: { gateways: 2 } },
  { name: '4 gateways that know nothing of each other', load: 0.8, changes: { gateways: 4 } },
  { name: 'batch work held back', load: 0.8, changes: { batchMode: 'hold' } },
  { name: 'batch work shares', load: 0.8, changes: { batchMode: 'shared' } },
]

async function conditionsSection(scale: Scale, runnerFor: PublishedOptions['runnerFor']): Promise<string> {
  const rows: string[][] = []
  const mix = WORKLOADS['mix']!
  const rawRate = saturatedRate(mix, scale.backends)
  let workload = mix
  let runCell = runnerFor(mix)
  const policies: readonly PolicyName[] = ['slo', 'least-prefill-tokens']
  for (const condition of CONDITIONS) {
    const wanted = condition.arrivals === undefined || mix.kind !== 'synthetic' ? mix : { ...mix, arrivals: parseArrivals(condition.arrivals) }
    if (wanted !== workload) {
      workload = wanted
      runCell = runnerFor(workload)
    }
    const study = await runStudy({ ...scale, conditions: { ...scale.conditions, ...condition.changes }, workload, rawRate, policies, loads: [condition.load], objectives: [], perfect: false }, runCell)
    for (const policy of study.policies) {
      const [entry] = policy.loads
      rows.push([condition.name, load(condition.load), `\`${policy.name}\``, share(entry!.interactive_attainment), withRange(entry!), burden(entry!.wasted_ratio), burden(entry!.rejected_ratio)])
    }
  }
  return ['## mix under other conditions', table(['condition', 'load', 'policy', 'all with TTFT and TPOT', 'worst', 'wasted', 'refused'], rows)].join('\n\n')
}

function withMinShare(workload: Workload, minShare: number): Workload {
  if (workload.kind !== 'synthetic') throw new Error(`${workload.name} has no classes of its own`)
  return { ...workload, classes: workload.classes.map(each => ({ ...each, service: { ...each.service, minShare } })) }
}

/** Longer than any deadline of the workload. */
const LASTING_WARMUP_MS = 200_000
const MIN_SHARES = [0, 0.8, 0.95, 1]

async function lastingSection(scale: Scale, runnerFor: PublishedOptions['runnerFor']): Promise<string> {
  const mix = WORKLOADS['mix']!
  const rawRate = saturatedRate(mix, scale.backends)
  const loads = scale.loads.filter(each => each === 0.9 || each === 1.5)
  const warmupMs = scale.loads.length > 2 ? LASTING_WARMUP_MS : scale.conditions.warmupMs
  const names = mix.classes.map(({ service }) => service.name)
  const rows: string[][] = []
  for (const minShare of MIN_SHARES) {
    const workload = withMinShare(mix, minShare)
    const study = await runStudy({ ...scale, conditions: { ...scale.conditions, warmupMs }, workload, rawRate, policies: ['slo'], loads, objectives: [], perfect: false }, runnerFor(workload))
    for (const entry of study.policies[0]!.loads) {
      rows.push([load(entry.load), String(minShare), share(entry.interactive_attainment), ...names.map(name => share(entry.attainment[name]!)), withRange(entry), entry.goodput_per_s.toFixed(1), entry.good_tokens_per_s.toFixed(0), burden(entry.wasted_ratio), burden(entry.rejected_ratio)])
    }
  }
  return [
    '## mix when load lasts, by minimum share',
    `Work with a deadline can wait for most of its time, so the first minutes of an overload are lived on credit; the tables above show such minutes. Here ${warmupMs / 1000} s pass before anything is measured, with \`slo\` and every class at the same \`min_share\` (0.95 unless configured otherwise):`,
    table(['load', '`min_share`', 'all with TTFT and TPOT', ...names, 'worst', 'goodput/s', 'tokens/s', 'wasted', 'refused'], rows.sort((a, b) => a[0]!.localeCompare(b[0]!))),
  ].join('\n\n')
}

async function sharingSection(scale: Scale, runnerFor: PublishedOptions['runnerFor']): Promise<string> {
  const workload = WORKLOADS['multi-turn']!
  const loads = scale.loads.length > 2 ? [0.6, 0.8, 1.0, 1.2, 1.4, 1.6] : scale.loads
  const rawRate = saturatedRate(workload, scale.backends)
  const study = await runStudy({ ...scale, workload, rawRate, policies: scale.policies.length > 2 ? ['slo', 'session-hash', 'cache-aware', 'round-robin', 'least-prefill-tokens'] : scale.policies, loads, objectives: [], perfect: false }, runnerFor(workload))
  return [
    '## multi-turn: conversations with shared prefixes',
    `Load 1.0 = ${rawRate.toFixed(1)} requests/s, every prompt computed whole. Attainment, and the share of prompt tokens found in the cache:`,
    table(['policy', ...loads.map(load)], study.policies.map(policy => [nameOf(policy), ...policy.loads.map(entry => `${share(entry.worst_attainment)} (${Math.floor((entry.prefix_hit_ratio ?? 0) * 100)} %)`)])),
  ].join('\n\n')
}

function table(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const line = (cells: readonly string[]) => `| ${cells.join(' | ')} |`
  return [line(head), `|${head.map((_, i) => i === 0 ? '---' : '---:').join('|')}|`, ...rows.map(line)].join('\n')
}
