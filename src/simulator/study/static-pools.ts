import { serviceClasses, type RunSpec, type SimulatedBackend } from '../spec.js'
import type { Workload } from '../workload/workload.js'

/** A hard split of the fleet: which backends form the first pool, which classes live there. */
export interface StaticSplit {
  readonly backends: readonly SimulatedBackend[]
  readonly classPools: RunSpec['classPools']
}

/**
 * Every split in two pools that keeps the classes in the order of their TTFT targets (work without one last): the more urgent
 * ones in the first pool, the others in the second. One split with one pool where there is one class or one backend.
 */
export function staticSplits(workload: Workload, backends: readonly SimulatedBackend[]): StaticSplit[] {
  const classes = serviceClasses({ workload, batchMode: undefined, classPools: {} })
    .sort((a, b) => (a.targets.ttftMs ?? Infinity) - (b.targets.ttftMs ?? Infinity))
    .map(service => service.name)
  const splits: StaticSplit[] = []
  for (let cut = 1; cut < classes.length; cut++) {
    const classPools = Object.fromEntries(classes.map((name, i) => [name, [i < cut ? 'urgent' : 'other']]))
    for (let count = 1; count < backends.length; count++) {
      splits.push({ classPools, backends: backends.map((backend, i) => ({ ...backend, pool: i < count ? 'urgent' : 'other' })) })
    }
  }
  return splits.length > 0 ? splits : [{ backends, classPools: {} }]
}

export const describeSplit = ({ backends, classPools }: StaticSplit): string => {
  const pools = [...new Set(backends.map(backend => backend.pool))]
  return pools.map(pool => {
    const names = Object.entries(classPools).filter(([, of]) => of.includes(pool)).map(([name]) => name)
    return `${backends.filter(backend => backend.pool === pool).length} for ${names.length === 0 ? 'all' : names.join(', ')}`
  }).join('; ')
}
