import type { PolicyName } from '../../core/index.js'
import type { SimulatedBackend } from '../spec.js'
import type { Workload } from '../workload/workload.js'
import { describeSplit, staticSplits, type StaticSplit } from './static-pools.js'
import { summarise, type LoadSummary } from './summary.js'
import { fleetCost, type Conditions, type RunCell } from './study.js'

export interface PlanOptions {
  readonly workload: Workload
  /** The fleet of a given size. */
  readonly fleet: (count: number) => readonly SimulatedBackend[]
  readonly policies: readonly PolicyName[]
  readonly seeds: readonly number[]
  readonly conditions: Conditions
  readonly targetRate: number
  readonly objective: number
  readonly maxBackends: number
}

export interface Plan {
  readonly policy: string
  /** Least number of backends that keeps the objective in every class; undefined = not even `maxBackends`. */
  readonly backends: number | undefined
  readonly pools: string
  readonly costPerHour: number | undefined
  readonly summary: LoadSummary | undefined
}

interface Attempt { readonly summary: LoadSummary, readonly split: StaticSplit }

/** How many backends, in which pools, keep the objective at the target rate: doubles, then halves the gap. */
export async function planCapacity(options: PlanOptions, runCell: RunCell): Promise<Plan[]> {
  return await Promise.all(options.policies.map(async policy => await planPolicy(options, policy, runCell)))
}

async function planPolicy(options: PlanOptions, policy: PolicyName, runCell: RunCell): Promise<Plan> {
  const attempt = async (count: number) => await bestAttempt(options, policy, count, runCell)
  const enough = (found: Attempt) => found.summary.worst_attainment >= options.objective
  let low = 0
  let high = 1
  let best = await attempt(high)
  while (!enough(best)) {
    if (high >= options.maxBackends) return { policy, backends: undefined, pools: 'none', costPerHour: undefined, summary: undefined }
    low = high
    high = Math.min(options.maxBackends, high * 2)
    best = await attempt(high)
  }
  while (high - low > 1) {
    const middle = Math.floor((low + high) / 2)
    const found = await attempt(middle)
    if (enough(found)) {
      high = middle
      best = found
    } else low = middle
  }
  return { policy, backends: high, pools: describeSplit(best.split), costPerHour: fleetCost(best.split.backends), summary: best.summary }
}

async function bestAttempt({ workload, fleet, conditions, seeds, targetRate }: PlanOptions, policy: PolicyName, count: number, runCell: RunCell): Promise<Attempt> {
  const backends = fleet(count)
  const splits = policy === 'static-pools' ? staticSplits(workload, backends) : [{ backends, classPools: {} }]
  const attempts = await Promise.all(splits.map(async split => {
    const runs = await Promise.all(seeds.map(async seed => await runCell({ ...conditions, workload, policy, ...split, seed, ratePerSecond: targetRate })))
    return { split, summary: summarise(NaN, targetRate, runs, fleetCost(backends)) }
  }))
  return attempts.reduce((best, candidate) => candidate.summary.worst_attainment > best.summary.worst_attainment ? candidate : best)
}
