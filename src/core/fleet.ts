import type { FleetSpec } from './events.js'
import { Backend } from './ledger/backend.js'
import { FairShare } from './ordering/fair-share.js'
import { Lane, type Prospect } from './ordering/lane.js'
import { MinShare } from './ordering/min-share.js'
import type { BackendId, ClassName, PoolMode, PoolName, PoolRole, PoolSpec, ServiceClass } from './types.js'

/** A class that is not configured (any more): no targets, every pool. */
const unknownClass = (name: ClassName): ServiceClass => ({
  name, targets: {}, objective: 0.95, weight: 1, minShare: 0.95, sheddable: false, pools: [], onInfeasible: 'reject',
  queueLimit: 1000, maxQueueMs: 60_000, batchMode: 'guarded',
})

/** All models that no backend names: served by the backends that take any. */
const OTHER_MODEL = ''

/** The configured fleet, resolved: backends with their ledgers, classes, and the lanes in which requests wait. */
export class Fleet {
  readonly backends = new Map<BackendId, Backend>()
  /** One per class and set of models; as many as the configuration makes, whatever clients ask for. */
  readonly lanes: Lane[] = []
  readonly shares = new FairShare()
  readonly minShares = new MinShare()
  readonly classes = new Map<ClassName, ServiceClass>()
  /** Does any class promise something per token? */
  targeted = false
  /** Requests waiting that have such a promise; kept by the scheduler. */
  interactiveQueued = 0
  readonly #pools = new Map<PoolName, PoolSpec>()
  readonly #models = new Set<string>()
  #laneByKey = new Map<string, Lane>()

  constructor(spec: FleetSpec) {
    this.configure(spec)
  }

  /** Takes a new configuration. Lanes are made anew: the caller moves what waits in the old ones. Ledgers of backends that stay are kept. */
  configure(spec: FleetSpec): void {
    this.classes.clear()
    for (const serviceClass of spec.classes) this.classes.set(serviceClass.name, serviceClass)
    this.targeted = spec.classes.some(({ targets }) => targets.ttftMs !== undefined || targets.tpotMs !== undefined)
    this.#pools.clear()
    for (const pool of spec.pools) this.#pools.set(pool.name, pool)
    const kept = new Map(this.backends)
    this.backends.clear()
    this.#models.clear()
    for (const backendSpec of spec.backends) {
      const backend = kept.get(backendSpec.id) ?? new Backend(backendSpec)
      backend.spec = backendSpec
      this.#setPool(backend)
      this.backends.set(backendSpec.id, backend)
      for (const model of backendSpec.models ?? []) this.#models.add(model)
    }
    this.#laneByKey = new Map()
    this.lanes.length = 0
  }

  setPoolMode(name: PoolName, mode: PoolMode): void {
    const pool = this.#pools.get(name)
    if (pool === undefined) return
    this.#pools.set(name, { ...pool, mode })
    for (const backend of this.backends.values()) this.#setPool(backend)
  }

  #setPool(backend: Backend): void {
    const { mode, role } = this.#pools.get(backend.spec.pool) ?? { mode: 'balanced', role: 'latency' }
    backend.poolMode = mode
    backend.poolRole = role
  }

  /** The class of that name; one without targets if the configuration has none. */
  class(name: ClassName): ServiceClass {
    return this.classes.get(name) ?? unknownClass(name)
  }

  /** Where a request for `model` in the class waits. */
  lane(serviceClass: ServiceClass, model: string | undefined, prospect: Prospect = 'good'): Lane {
    const group = model === undefined ? undefined : this.#models.has(model) ? model : OTHER_MODEL
    const key = `${serviceClass.name}\n${prospect}\n${group ?? '\n'}`
    let lane = this.#laneByKey.get(key)
    if (lane === undefined) {
      const tiers = this.#tiers(serviceClass, group)
      lane = new Lane(serviceClass, { tiers, home: this.#home(serviceClass, tiers) }, prospect, this.shares)
      this.#laneByKey.set(key, lane)
      this.lanes.push(lane)
    }
    return lane
  }

  /** One tier per pool that the class names; without names one tier of all backends. */
  #tiers(serviceClass: ServiceClass, group: string | undefined): readonly (readonly Backend[])[] {
    const serving = [...this.backends.values()].filter(({ spec }) =>
      group === undefined || spec.models === undefined || spec.models.includes(group))
    if (serviceClass.pools.length === 0) return serving.length > 0 ? [serving] : []
    return serviceClass.pools
      .map((pool) => serving.filter(({ spec }) => spec.pool === pool))
      .filter((tier) => tier.length > 0)
  }

  /** Where the class lives when nothing is borrowed: its first pool; without one, the pools whose role suits it. */
  #home(serviceClass: ServiceClass, tiers: readonly (readonly Backend[])[]): readonly Backend[] {
    const first = tiers[0] ?? []
    if (serviceClass.pools.length > 0) return first
    const role = suitedRole(serviceClass)
    const suited = first.filter(({ spec }) => this.#pools.get(spec.pool)?.role === role)
    return suited.length > 0 ? suited : first
  }
}

/** Classes with a target per token belong with their like; all others may take their time. */
export function suitedRole(serviceClass: ServiceClass): PoolRole {
  const { ttftMs, tpotMs } = serviceClass.targets
  return ttftMs !== undefined || tpotMs !== undefined ? 'latency' : 'throughput'
}
