import type { BackendId, Clock, Ms, PoolMode, PoolName, PoolSpec, Random, AttemptVerdict, BackendSpec, Tokens } from '../core/index.js'
import type { BackendConfig } from '../config/index.js'
import { ProbeLanes } from './lanes.js'
import { BackendMonitor, type MonitorContext } from './monitor.js'
import { Names, type AskSystem } from './names.js'
import { judgePaces, type PaceOptions } from './pace.js'
import type { ProbeTarget } from './probe.js'
import { readTls, sameTls } from './tls.js'
import type { BackendSnapshot, Fleet, FleetBackend, FleetChange, FleetConfig, ModelEntry, StreamPace } from './types.js'

const JUDGE_MS: Ms = 100

export interface FleetOptions {
  readonly config: FleetConfig
  readonly clock: Clock
  /** Spreads checks over time. */
  readonly random: Random
  /** A listener threw. It never keeps the others from hearing. */
  onError(error: unknown): void
  /** In place of the system's look-up of host names. */
  readonly askSystem?: AskSystem
}

/** Throws where a configured backend cannot be: an address that is none, two of one name, a TLS file that cannot be read. */
export function createFleet(options: FleetOptions): Fleet {
  return new WatchedFleet(options)
}

/** The name of a backend: as configured, else host and port of its address. */
export function backendId(config: Pick<BackendConfig, 'name' | 'url'>): BackendId {
  return config.name ?? new URL(config.url).host
}

class WatchedFleet implements Fleet {
  readonly #context: MonitorContext
  readonly #listeners = new Set<(change: FleetChange) => void>()
  readonly #onError: (error: unknown) => void
  #monitors: ReadonlyMap<BackendId, BackendMonitor> = new Map()
  #pools: readonly PoolSpec[] = []
  #started = false
  #outliers: PaceOptions = { factor: 0, maxShare: 0 }
  readonly #judgedAtMs = new Map<PoolName, Ms>()

  constructor({ config, clock, random, onError, askSystem }: FleetOptions) {
    this.#context = { clock, random, lanes: new ProbeLanes(), names: new Names(clock, askSystem), emit: (change) => this.#emit(change) }
    this.#onError = onError
    this.configure(config)
  }

  get backends(): readonly FleetBackend[] { return [...this.#monitors.values()] }
  get pools(): readonly PoolSpec[] { return this.#pools }
  get(id: BackendId): FleetBackend | undefined { return this.#monitors.get(id) }
  specs(): readonly BackendSpec[] { return [...this.#monitors.values()].map((monitor) => monitor.spec) }
  snapshot(): readonly BackendSnapshot[] { return [...this.#monitors.values()].map((monitor) => monitor.snapshot()) }

  async start(): Promise<void> {
    this.#started = true
    for (const monitor of this.#monitors.values()) monitor.start()
    await Promise.all([...this.#monitors.values()].map((monitor) => monitor.checked))
  }

  async stop(): Promise<void> {
    this.#started = false
    await Promise.all([...this.#monitors.values()].map((monitor) => monitor.stop()))
  }

  configure(config: FleetConfig): void {
    const next = new Map<BackendId, BackendMonitor>()
    const kept: (() => void)[] = []
    const created: BackendMonitor[] = []
    for (const [pool, { backends }] of Object.entries(config.pools)) {
      for (const backend of backends) {
        const id = backendId(backend)
        if (next.has(id)) throw new Error(`Two backends are called "${id}". Give each a \`name\` of its own, or list the address once.`)
        const target = targetOf(backend)
        const before = this.#monitors.get(id)
        if (before !== undefined && isSameServer(before, target) && before.configuredEngine === backend.engine) {
          next.set(id, before)
          kept.push(() => before.configure(pool, backend, config))
        } else {
          const monitor = new BackendMonitor(id, pool, backend, target, config, this.#context)
          if (before !== undefined) kept.push(() => { monitor.takeOver(before) })
          created.push(monitor)
          next.set(id, monitor)
        }
      }
    }
    // Nothing has changed up to here: a bad configuration leaves the old one whole.
    const gone = [...this.#monitors.values()].filter((monitor) => next.get(monitor.id) !== monitor)
    this.#monitors = next
    this.#outliers = { factor: config.outliers.factor, maxShare: config.outliers.max_share }
    for (const pool of this.#judgedAtMs.keys()) if (!Object.hasOwn(config.pools, pool)) this.#judgedAtMs.delete(pool)
    this.#pools = Object.entries(config.pools).map(([name, { role, mode }]) => ({ name, role, mode }))
    for (const apply of kept) apply()
    this.#context.names.keepOnly(new Set([...next.values()].map(({ origin }) => new URL(origin).hostname)))
    for (const monitor of gone) void monitor.stop().catch(this.#onError)
    if (!this.#started) return
    this.#emit({ type: 'specs' })
    for (const monitor of created) monitor.start()
  }

  models(): readonly ModelEntry[] {
    const merged = new Map<string, ModelEntry>()
    for (const monitor of this.#monitors.values()) {
      if (monitor.state === 'down') continue
      for (const entry of monitor.modelEntries ?? []) if (!merged.has(entry.id)) merged.set(entry.id, entry)
    }
    return [...merged.values()]
  }

  onChange(listener: (change: FleetChange) => void): () => void {
    this.#listeners.add(listener)
    return () => { this.#listeners.delete(listener) }
  }

  attemptEnded(id: BackendId, verdict: AttemptVerdict, dispatchedAtMs: Ms, pace?: StreamPace): void {
    const monitor = this.#monitors.get(id)
    if (monitor === undefined) return
    monitor.attemptEnded(verdict, dispatchedAtMs, pace)
    if (pace !== undefined) this.#judgePaces(monitor.pool)
  }

  attemptProgressed(id: BackendId, dispatchedAtMs: Ms, promptTokens: Tokens): void {
    const monitor = this.#monitors.get(id)
    if (monitor === undefined) return
    monitor.attemptProgressed(dispatchedAtMs, promptTokens)
    this.#judgePaces(monitor.pool)
  }

  drain(id: BackendId): boolean { return this.#setDrain(id, true) }
  undrain(id: BackendId): boolean { return this.#setDrain(id, false) }

  setPoolMode(name: PoolName, mode: PoolMode): boolean {
    if (!this.#pools.some((pool) => pool.name === name)) return false
    this.#pools = this.#pools.map((pool) => pool.name === name ? { ...pool, mode } : pool)
    this.#emit({ type: 'specs' })
    return true
  }

  /** Now and then is enough: it takes several answers to change anything. */
  #judgePaces(pool: PoolName): void {
    const nowMs = this.#context.clock.now()
    if (nowMs - (this.#judgedAtMs.get(pool) ?? -Infinity) < JUDGE_MS) return
    this.#judgedAtMs.set(pool, nowMs)
    const members = [...this.#monitors.values()].filter(monitor => monitor.pool === pool)
    if (!judgePaces(members.map(({ pace }) => pace), this.#outliers, nowMs)) return
    for (const monitor of members) monitor.paceJudged()
  }

  #setDrain(id: BackendId, drain: boolean): boolean {
    const monitor = this.#monitors.get(id)
    if (monitor !== undefined) monitor.operatorDrain = drain
    return monitor !== undefined
  }

  #emit(change: FleetChange): void {
    for (const listener of this.#listeners) {
      try {
        listener(change)
      } catch (error) {
        this.#onError(error)
      }
    }
  }
}

function targetOf(backend: BackendConfig): ProbeTarget {
  const url = new URL(backend.url)
  return { origin: url.origin, basePath: url.pathname.replace(/\/+$/, ''), apiKey: backend.api_key, tls: readTls(backend.tls) }
}

function isSameServer(monitor: BackendMonitor, target: ProbeTarget): boolean {
  return monitor.origin === target.origin && monitor.basePath === target.basePath && monitor.apiKey === target.apiKey && sameTls(monitor.tls, target.tls)
}
