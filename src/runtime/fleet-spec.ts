import type { FleetSpec, ServiceClass, SloTargets } from '../core/index.js'
import type { Config, ServiceClassConfig } from '../config/index.js'
import type { Fleet } from '../fleet/index.js'

/** The class of requests that match no route. */
export const DEFAULT_CLASS = 'default'

/** Targets as the core takes them: missing ones left out. A new object each time. */
export function targetsOf({ ttft, tpot, deadline }: Pick<ServiceClassConfig, 'ttft' | 'tpot' | 'deadline'>): { -readonly [Target in keyof SloTargets]: SloTargets[Target] } {
  // One by one: of objects spread into one literal, V8 comes to make a hidden class for each request, and those get old.
  const targets: ReturnType<typeof targetsOf> = {}
  if (ttft !== undefined) targets.ttftMs = ttft
  if (tpot !== undefined) targets.tpotMs = tpot
  if (deadline !== undefined) targets.deadlineMs = deadline
  return targets
}

function serviceClass(name: string, config: ServiceClassConfig): ServiceClass {
  return {
    name,
    targets: targetsOf(config),
    objective: config.objective,
    weight: config.weight,
    minShare: config.min_share,
    sheddable: config.sheddable,
    pools: config.pools,
    onInfeasible: config.on_infeasible,
    queueLimit: config.queue_limit,
    maxQueueMs: config.max_queue,
    batchMode: config.batch_mode,
  }
}

/** What the scheduler knows of the world: classes from the configuration, pools and backends from the fleet. */
export function fleetSpec(config: Config, fleet: Fleet): FleetSpec {
  return {
    classes: Object.entries(config.classes).map(([name, value]) => serviceClass(name, value)),
    pools: fleet.pools,
    backends: fleet.specs(),
  }
}
