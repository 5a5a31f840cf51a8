import type { BackendId, ClassName, Clock, Ms, SchedulerState, SloTargets } from '../core/index.js'
import type { Config } from '../config/index.js'
import { RECENT_CAPACITY, type RequestRecord, type Telemetry } from '../telemetry/index.js'
import { adviceOf } from './advice.js'
import { BackendWatch } from './backend-watch.js'
import { matrixOf } from './matrix.js'
import { missesOf } from './misses.js'
import { costOf, Personas, windowsOf, type Persona } from './personas.js'
import { earlyQueueing } from './trend.js'
import type { DashboardBackend, DashboardPool, HistoryView, MatrixPoint, PersonaSummary, QueueAlarm, Snapshot } from './types.js'

export interface DashboardOptions {
  readonly telemetry: Pick<Telemetry, 'ledger' | 'intervalsOf' | 'paces' | 'onFinished' | 'recent'>
  readonly clock: Clock
  readonly version: string
  config(): Pick<Config, 'classes' | 'pools'>
  scheduler(): SchedulerState
  backends(): readonly DashboardBackend[]
  pools(): readonly DashboardPool[]
  draining(): boolean
}

/** What a reader gets once a second; `history` the first time. */
export type Reader = (message: { readonly snapshot: Snapshot, readonly history: HistoryView }) => void

const PERIOD_MS = 1000
/** How far back the reasons of broken promises reach. */
const MISSES_MS = 60_000
/** Points of the small curve beside each class, ten seconds apart. */
const SPARK_POINTS = 60
const SPARK_SECONDS = 10

interface Subscription {
  readonly persona: string
  readonly reader: Reader
  isNew: boolean
}

/**
 * Looks at the gateway once a second, keeps ten minutes of it, and tells readers. The looking goes on while nobody reads, so that
 * a page that opens has its charts at once; what costs more than a few sums is made for readers only, once for all who look at
 * the same persona.
 */
export class Dashboard {
  readonly #options: DashboardOptions
  readonly #personas: Personas
  readonly #watches = new Map<BackendId, BackendWatch>()
  readonly #subscriptions = new Set<Subscription>()
  readonly #startedAtMs: Ms
  readonly #uptimes: Ms[] = []
  readonly #off: () => void
  #sampledAtMs: Ms
  #timer: NodeJS.Timeout | undefined

  constructor(options: DashboardOptions) {
    this.#options = options
    this.#personas = new Personas(options.telemetry)
    this.#startedAtMs = this.#sampledAtMs = options.clock.now()
    this.#off = options.telemetry.onFinished((record) => { this.#finished(record) })
  }

  start(): void {
    this.#timer ??= setInterval(() => { this.tick() }, PERIOD_MS).unref()
  }

  stop(): void {
    clearInterval(this.#timer)
    this.#timer = undefined
    this.#subscriptions.clear()
    this.#off()
  }

  /** Be told now, and once a second until the returned function is called. An unknown persona shows everything. */
  subscribe(persona: string, reader: Reader): () => void {
    const subscription: Subscription = { persona, reader, isNew: true }
    this.#subscriptions.add(subscription)
    this.#tell([subscription])
    return () => { this.#subscriptions.delete(subscription) }
  }

  /** One look; the timer calls it. */
  tick(): void {
    const { clock, telemetry, config } = this.#options
    const nowMs = clock.now()
    const elapsedMs = nowMs - this.#sampledAtMs
    if (elapsedMs <= 0) return
    this.#sampledAtMs = nowMs
    this.#uptimes.push(nowMs - this.#startedAtMs)
    if (this.#uptimes.length > this.#personas.list()[0]!.history.length + 1) this.#uptimes.shift()
    const { classes, pools } = config()
    this.#personas.configure([...new Set([...Object.keys(classes), ...telemetry.ledger.classes()])], Object.keys(pools))
    const scheduler = this.#options.scheduler()
    const queued = new Map(scheduler.classes.map((state) => [state.name, state.queued]))
    const total = scheduler.classes.reduce((sum, state) => sum + state.queued, 0)
    this.#personas.sample(({ kind, name }) => kind === 'all' ? total : kind === 'class' ? queued.get(name) : undefined, nowMs)
    this.#observeBackends(scheduler, elapsedMs, nowMs)
    this.#tell([...this.#subscriptions])
  }

  /** The picture for one persona, `all:all` or `class:NAME`, `pool:NAME`, `tenant:NAME`. */
  snapshot(persona: string): Snapshot {
    const { version, clock, telemetry, config, pools, draining } = this.#options
    const nowMs = clock.now()
    const scheduler = this.#options.scheduler()
    const all = this.#personas.find('all', 'all')!
    const [kind = '', ...name] = persona.split(':')
    const chosen = this.#personas.find(kind, name.join(':')) ?? all
    const ledgers = new Map(scheduler.backends.map((ledger) => [ledger.id, ledger]))
    const shown = this.#options.backends()
    const backends = shown.flatMap((backend) => this.#watches.get(backend.id)?.view(backend, ledgers.get(backend.id)) ?? [])
    const personas = this.#personas.list().map((view) => this.#summary(view, scheduler, nowMs))
    const cost = (view: Persona) => costOf(view, all, costPerHour(view.kind === 'pool' ? shown.filter(({ pool }) => pool === view.name) : shown), nowMs)
    const detail = this.#personas.detail(chosen, cost(chosen), nowMs)
    const targets = Object.values(config().classes).flatMap(({ ttft }) => ttft ?? [])
    const base = { personas, backends, admission: scheduler.admission, pools: pools() }
    return {
      version,
      uptimeMs: nowMs - this.#startedAtMs,
      draining: draining(),
      policy: scheduler.policy,
      ...base,
      detail,
      faults: shown.flatMap(({ id, pool }) => this.#watches.get(id)?.fault(pool, (className) => config().classes[className]?.tpot, nowMs) ?? []),
      queueAlarms: this.#queueAlarms(),
      misses: missesOf(telemetry.recent.list(RECENT_CAPACITY, () => true), nowMs - MISSES_MS),
      matrix: matrixOf([...this.#classPoints(personas), ...backends.flatMap(({ id, now }): MatrixPoint[] => now.prefillMs === undefined ? [] : [{ kind: 'backend', name: id, ttftMs: now.prefillMs, tokensPerS: now.tokensPerS }])], targets),
      advice: adviceOf({ ...base, all: chosen === all ? detail : this.#personas.detail(all, cost(all), nowMs) }),
      costPerHour: costPerHour(shown),
    }

    function costPerHour(of: readonly DashboardBackend[]): number | undefined {
      let sum = 0
      for (const { costPerHour: cost } of of) {
        if (cost === undefined) return undefined
        sum += cost
      }
      return sum > 0 ? sum : undefined
    }
  }

  /** The recent past of one persona and of all backends, whole or its last `rows`. */
  history(persona: string, rows?: number): HistoryView {
    const [kind = '', ...name] = persona.split(':')
    const chosen = this.#personas.find(kind, name.join(':')) ?? this.#personas.find('all', 'all')!
    return {
      uptimeMs: rows === undefined ? this.#uptimes : this.#uptimes.slice(-rows),
      persona: chosen.history.view(rows),
      backends: Object.fromEntries([...this.#watches].map(([id, { history }]) => [id, history.view(rows)])),
    }
  }

  #finished(record: RequestRecord): void {
    this.#personas.finished(record, this.#options.clock.now())
    if (record.timeline.backend !== undefined) this.#watches.get(record.timeline.backend)?.finished(record)
  }

  #observeBackends(scheduler: SchedulerState, elapsedMs: Ms, nowMs: Ms): void {
    const backends = this.#options.backends()
    const ledgers = new Map(scheduler.backends.map((ledger) => [ledger.id, ledger]))
    const paces = this.#options.telemetry.paces()
    const known = new Set(backends.map(({ id }) => id))
    for (const id of this.#watches.keys()) if (!known.has(id)) this.#watches.delete(id)
    for (const backend of backends) {
      let watch = this.#watches.get(backend.id)
      if (watch === undefined) this.#watches.set(backend.id, watch = new BackendWatch(backend.id))
      watch.observe(backend, ledgers.get(backend.id), paces.filter(({ backend: id }) => id === backend.id), elapsedMs)
    }
    for (const { id, pool } of backends) {
      this.#watches.get(id)!.judge(backends.flatMap((peer) => peer.pool === pool && peer.id !== id ? this.#watches.get(peer.id)! : []), nowMs)
    }
  }

  #summary(view: Persona, { classes }: SchedulerState, nowMs: Ms): PersonaSummary {
    const { kind, name } = view
    const objective = this.#objective(view)
    const states = kind === 'all' ? classes : kind === 'class' ? classes.filter((state) => state.name === name) : []
    return {
      kind, name,
      targets: kind === 'class' ? this.#targets(name) : {},
      objective,
      windows: windowsOf(view, objective, nowMs),
      queue: states.length === 0 ? undefined : {
        depth: states.reduce((sum, { queued }) => sum + queued, 0),
        tokens: states.reduce((sum, { queuedTokens }) => sum + queuedTokens, 0),
        oldestWaitMs: Math.max(...states.map(({ oldestWaitMs }) => oldestWaitMs)),
        drainPerS: states.reduce((sum, { drainPerSecond }) => sum + drainPerSecond, 0),
      },
      live: view.live,
      spark: spark(view),
    }
  }

  #targets(className: ClassName): SloTargets {
    const settings = this.#options.config().classes[className]
    return {
      ...(settings?.ttft === undefined ? {} : { ttftMs: settings.ttft }),
      ...(settings?.tpot === undefined ? {} : { tpotMs: settings.tpot }),
      ...(settings?.deadline === undefined ? {} : { deadlineMs: settings.deadline }),
    }
  }

  /** A class has its own objective; any other view the strictest among the classes that were in it. */
  #objective({ kind, name, classes }: Persona): number | undefined {
    const configured = this.#options.config().classes
    const objectives = (kind === 'class' ? [name] : [...classes]).flatMap((className) => {
      const settings = configured[className]
      return settings === undefined || (settings.ttft ?? settings.tpot ?? settings.deadline) === undefined ? [] : settings.objective
    })
    return objectives.length === 0 ? undefined : Math.max(...objectives)
  }

  #queueAlarms(): readonly QueueAlarm[] {
    return this.#personas.list().flatMap(({ kind, name, history }) => {
      const alarm = kind === 'class' ? earlyQueueing(history.column('ttftP50', 120), history.column('ttftP99', 120)) : undefined
      return alarm === undefined ? [] : [{ class: name, ...alarm }]
    })
  }

  #classPoints(personas: readonly PersonaSummary[]): readonly MatrixPoint[] {
    return personas.flatMap(({ kind, name, live, windows }): MatrixPoint[] => kind === 'class' && live.ttft !== undefined
      ? [{ kind, name, ttftMs: live.ttft.p50, tokensPerS: windows['1m'].outputTokensPerS }]
      : [])
  }

  #tell(subscriptions: readonly Subscription[]): void {
    const snapshots = new Map<string, Snapshot>()
    for (const subscription of subscriptions) {
      const { persona, reader, isNew } = subscription
      let snapshot = snapshots.get(persona)
      if (snapshot === undefined) snapshots.set(persona, snapshot = this.snapshot(persona))
      subscription.isNew = false
      reader({ snapshot, history: this.history(persona, isNew ? undefined : 1) })
    }
  }
}

function spark({ history }: Persona): readonly (number | null)[] {
  const points: (number | null)[] = []
  for (let i = SPARK_POINTS - 1; i >= 0; i--) {
    if (i * SPARK_SECONDS >= history.length) continue
    const value = history.at('attainment', i * SPARK_SECONDS)
    points.push(Number.isNaN(value) ? null : Math.round(value * 1000) / 1000)
  }
  return points
}

