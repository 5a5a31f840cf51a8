import type { PolicyName } from '../../core/index.js'
import type { RunSpec, SimulatedBackend } from '../spec.js'
import type { RunResult } from '../tally.js'
import type { Workload } from '../workload/workload.js'
import { clairvoyantRate } from './bound.js'
import { loadAtObjective, type Probe } from './search.js'
import { describeSplit, staticSplits, type StaticSplit } from './static-pools.js'
import { summarise, type LoadSummary } from './summary.js'

/** Everything of a run but what a study varies. */
export type Conditions = Omit<RunSpec, 'workload' | 'backends' | 'policy' | 'seed' | 'ratePerSecond' | 'classPools'>

export interface StudyOptions {
  readonly workload: Workload
  readonly backends: readonly SimulatedBackend[]
  readonly policies: readonly PolicyName[]
  readonly loads: readonly number[]
  readonly seeds: readonly number[]
  readonly conditions: Conditions
  /** Requests per second at load 1.0. */
  readonly rawRate: number
  /** For the highest load at which the worst class attains them; empty = no search. */
  readonly objectives: readonly number[]
  readonly tolerance: number
  /** Also the first policy with perfect information. */
  readonly perfect: boolean
}

export interface PolicySummary {
  readonly name: string
  readonly load_at_objective: Readonly<Record<string, number>>
  readonly loads: readonly LoadSummary[]
  /** Every load that was simulated, those of the search included. */
  readonly probes: readonly Probe[]
  /** Static pools only: the split that was found best. */
  readonly split?: string
}

export interface Study {
  readonly workload: string
  readonly backends: number
  readonly seeds: number
  readonly seed_list: readonly number[]
  /** Load 1.0. */
  readonly raw_rate_per_s: number
  readonly policies: readonly PolicySummary[]
  /** By objective, as a load; an objective for which it does not hold is left out. */
  readonly bound: Readonly<Record<string, number>>
}

/** Runs one simulation, here or elsewhere. */
export type RunCell = (spec: RunSpec) => Promise<RunResult>

/** Loads at which static splits are compared, with the first seed. */
const SPLIT_LOADS = [0.35, 0.5, 0.65, 0.8]
const SPLIT_OBJECTIVE = 0.9
const MAX_LOAD = 3

/** A load sweep of several policies over several seeds, with the highest load that keeps each objective. */
export async function runStudy(options: StudyOptions, runCell: RunCell): Promise<Study> {
  const { workload, backends, policies, seeds, rawRate, objectives } = options
  const arms = policies.map(name => ({ name: name as string, policy: name, perfect: false }))
  if (options.perfect && policies[0] !== undefined) arms.push({ name: `${policies[0]}+perfect`, policy: policies[0], perfect: true })
  const bound: Record<string, number> = {}
  for (const objective of objectives) {
    const rate = clairvoyantRate(workload, backends, objective)
    if (rate !== undefined) bound[objective] = rate / rawRate
  }
  return {
    workload: workload.name,
    backends: backends.length,
    seeds: seeds.length,
    seed_list: seeds,
    raw_rate_per_s: rawRate,
    policies: await Promise.all(arms.map(async arm => await studyPolicy(options, arm, runCell))),
    bound,
  }
}

interface Arm { readonly name: string, readonly policy: PolicyName, readonly perfect: boolean }

async function studyPolicy(options: StudyOptions, { name, policy, perfect }: Arm, runCell: RunCell): Promise<PolicySummary> {
  const { workload, backends, conditions, rawRate, seeds } = options
  const base = (split: StaticSplit): Omit<RunSpec, 'seed' | 'ratePerSecond'> => ({
    ...conditions, workload, policy, ...split, ...perfect && { knowledge: { ...conditions.knowledge, perfect } },
  })
  const cell = async (split: StaticSplit, load: number, seed: number) => await runCell({ ...base(split), seed, ratePerSecond: load * rawRate })
  const split = policy === 'static-pools' ? await bestSplit(staticSplits(workload, backends), options.objectives[0] ?? SPLIT_OBJECTIVE, async (candidate, load) => await cell(candidate, load, seeds[0]!)) : { backends, classPools: {} }
  const costPerHour = fleetCost(backends)
  const measured = new Map<number, LoadSummary>()
  const measure = async (load: number): Promise<LoadSummary> => {
    const found = measured.get(load)
    if (found !== undefined) return found
    const summary = summarise(load, load * rawRate, await Promise.all(seeds.map(async seed => await cell(split, load, seed))), costPerHour)
    measured.set(load, summary)
    return summary
  }
  const loads = await Promise.all(options.loads.map(measure))
  const load_at_objective: Record<string, number> = {}
  for (const objective of options.objectives) {
    load_at_objective[objective] = await loadAtObjective({
      known: probesOf(measured), objective, tolerance: options.tolerance, maxLoad: MAX_LOAD, measure: async load => (await measure(load)).worst_attainment,
    })
  }
  return { name, load_at_objective, loads, probes: probesOf(measured), ...policy === 'static-pools' && { split: describeSplit(split) } }
}

const probesOf = (measured: ReadonlyMap<number, LoadSummary>): Probe[] =>
  [...measured.values()].map(summary => ({ load: summary.load, worst: summary.worst_attainment })).sort((a, b) => a.load - b.load)

/** The split whose worst class keeps the objective furthest, by straight lines between a few loads. */
async function bestSplit(splits: readonly StaticSplit[], objective: number, run: (split: StaticSplit, load: number) => Promise<RunResult>): Promise<StaticSplit> {
  if (splits.length === 1) return splits[0]!
  const reach = await Promise.all(splits.map(async split => {
    const worst = await Promise.all(SPLIT_LOADS.map(async load => summarise(load, 0, [await run(split, load)], undefined).worst_attainment))
    return crossing(worst, objective)
  }))
  return splits[reach.indexOf(Math.max(...reach))]!
}

function crossing(worst: readonly number[], objective: number): number {
  const fail = worst.findIndex(value => value < objective)
  if (fail < 0) return SPLIT_LOADS.at(-1)! + worst.at(-1)!
  // Below the first load attainment is taken to rise to 1 at no load.
  const [loadBefore, before] = fail === 0 ? [0, 1] : [SPLIT_LOADS[fail - 1]!, worst[fail - 1]!]
  return loadBefore + (SPLIT_LOADS[fail]! - loadBefore) * (before - objective) / (before - worst[fail]!)
}

/** Undefined unless every backend has a cost. */
export function fleetCost(backends: readonly SimulatedBackend[]): number | undefined {
  let total = 0
  for (const { costPerHour } of backends) {
    if (costPerHour === undefined) return undefined
    total += costPerHour
  }
  return total
}
