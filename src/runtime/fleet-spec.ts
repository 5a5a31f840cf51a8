import type { FleetSpec, ServiceClass, SloTargets } from '../core/index.js'
import type { Config, ServiceClassConfig } from '../config/index.js'
import type { Fleet } from '../fleet/index.js'

/** The class of requests that match no route. */
export const DEFAULT_CLASS = 'default'

/** Targets as the core takes them: missing ones left out. */
export function targetsOf({ ttft, tpot, deadline }: Pick<ServiceClassConfig, 'ttft' | 'tpot' | 'deadline'>): SloTargets {
  return {
    ...(ttft === undefined ? {} : { ttftMs: ttft }),
    ...(tpot === undefined ? {} : { tpotMs: tpot }),
    ...(deadline === undefined ? {} : { deadlineMs: deadline }),
  }
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
