import type { BackendId, ClassName, Clock, Ms, PoolName, SchedulerState, SloTargets } from '../core/index.js'
import type { Config } from '../config/index.js'
import { atOnce, RECENT_CAPACITY, Turns, type RequestRecord, type Telemetry, type Work } from '../telemetry/index.js'
import { adviceOf } from './advice.js'
import { BackendWatch } from './backend-watch.js'
import { jsonOf } from './json.js'
import { matrixOf } from './matrix.js'
import { missesOf } from './misses.js'
import { costOf, HISTORY_ROWS, Personas, windowsOf, type Persona } from './personas.js'
import { earlyQueueing } from './trend.js'
import type { BackendView, DashboardBackend, DashboardPool, HistoryView, MatrixPoint, PersonaSummary, QueueAlarm, Snapshot } from './types.js'

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

/** What a reader gets once a second, as JSON. The first one has all of the history, the others one more row. */
export interface Message {
  readonly snapshot: Snapshot
  readonly history: HistoryView
}

export type Reader = (json: string) => void

const PERIOD_MS = 1000
/** How far back the reasons of broken promises reach. */
const MISSES_MS = 60_000
/** Points of the small curve beside each class, ten seconds apart. */
const SPARK_POINTS = 60
const SPARK_SECONDS = 10
/** Backends that the page has room to chart; those with a fault come first. */
const CHARTED_BACKENDS = 8
/** Each persona, backend and column of a message is made JSON on its own. */
const MESSAGE_DEPTH = 3

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
  readonly #turns: Turns
  readonly #startedAtMs: Ms
  readonly #uptimes: Ms[] = []
  readonly #off: () => void
  #sampledAtMs: Ms
  #isLooking = false
  #timer: NodeJS.Timeout | undefined

  constructor(options: DashboardOptions) {
    this.#options = options
    this.#personas = new Personas(options.telemetry)
    this.#turns = new Turns(options.clock)
    this.#startedAtMs = this.#sampledAtMs = options.clock.now()
    this.#off = options.telemetry.onFinished((record) => { this.#finished(record) })
  }

  start(): void {
    this.#timer ??= setInterval(() => { void this.tick() }, PERIOD_MS).unref()
  }

  stop(): void {
    clearInterval(this.#timer)
    this.#timer = undefined
    this.#subscriptions.clear()
    this.#off()
  }

  /** Be told soon, and once a second until the returned function is called. An unknown persona shows everything. */
  subscribe(persona: string, reader: Reader): () => void {
    const subscription: Subscription = { persona, reader, isNew: true }
    this.#subscriptions.add(subscription)
    void this.#turns.do(this.#tell(() => subscription.isNew ? [subscription] : []))
    return () => { this.#subscriptions.delete(subscription) }
  }

  /** One look, in turns of the event loop; the timer calls it. Resolves when readers have been told. */
  async tick(): Promise<void> {
    // A gateway without a second to spare is looked at less often.
    if (this.#isLooking) return
    this.#isLooking = true
    try {
      await this.#turns.do(this.#look())
    } finally {
      this.#isLooking = false
    }
  }

  * #look(): Work {
    const { clock, telemetry, config } = this.#options
    const nowMs = clock.now()
    const elapsedMs = nowMs - this.#sampledAtMs
    if (elapsedMs <= 0) return
    this.#sampledAtMs = nowMs
    this.#uptimes.push(nowMs - this.#startedAtMs)
    if (this.#uptimes.length > HISTORY_ROWS + 1) this.#uptimes.shift()
    const { classes, pools } = config()
    this.#personas.configure([...new Set([...Object.keys(classes), ...telemetry.ledger.classes()])], Object.keys(pools))
    const scheduler = this.#options.scheduler()
    const queued = new Map(scheduler.classes.map((state) => [state.name, state.queued]))
    const total = scheduler.classes.reduce((sum, state) => sum + state.queued, 0)
    yield
    yield * this.#personas.sample(({ kind, name }) => kind === 'all' ? total : kind === 'class' ? queued.get(name) : undefined, nowMs)
    yield * this.#observeBackends(scheduler, elapsedMs, nowMs)
    yield * this.#tell(() => [...this.#subscriptions])
  }

  /** The picture for one persona, `all:all` or `class:NAME`, `pool:NAME`, `tenant:NAME`. */
  snapshot(persona: string): Snapshot {
    return atOnce(this.#picture(persona))
  }

  * #picture(persona: string): Work<Snapshot> {
    const { version, clock, telemetry, config, pools, draining } = this.#options
    const nowMs = clock.now()
    const scheduler = this.#options.scheduler()
    const all = this.#personas.find('all', 'all')!
    const [kind = '', ...name] = persona.split(':')
    const chosen = this.#personas.find(kind, name.join(':')) ?? all
    const ledgers = new Map(scheduler.backends.map((ledger) => [ledger.id, ledger]))
    const shown = this.#options.backends()
    const backends: BackendView[] = []
    for (const backend of shown) {
      const view = this.#watches.get(backend.id)?.view(backend, ledgers.get(backend.id))
      if (view !== undefined) backends.push(view)
      yield
    }
    const personas: PersonaSummary[] = []
    for (const view of this.#personas.list()) {
      personas.push(this.#summary(view, scheduler, nowMs))
      yield
    }
    const cost = (view: Persona) => costOf(view, all, costPerHour(view.kind === 'pool' ? shown.filter(({ pool }) => pool === view.name) : shown), nowMs)
    const detail = yield * this.#personas.detail(chosen, cost(chosen), nowMs)
    const allDetail = chosen === all ? detail : yield * this.#personas.detail(all, cost(all), nowMs)
    const misses = missesOf(telemetry.recent.list(RECENT_CAPACITY, ({ timeline }) => (timeline.endedAtMs ?? 0) >= nowMs - MISSES_MS))
    yield
    const queueAlarms = yield * this.#queueAlarms()
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
      queueAlarms,
      misses,
      matrix: matrixOf([...this.#classPoints(personas), ...backends.flatMap(({ id, now }): MatrixPoint[] => now.prefillMs === undefined ? [] : [{ kind: 'backend', name: id, ttftMs: now.prefillMs, tokensPerS: now.tokensPerS }])], targets),
      advice: adviceOf({ ...base, all: allDetail }),
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

  /** The recent past of one persona and of backends: the last `rows`, or the whole, of more backends than are charted the last row alone. */
  history(persona: string, rows?: number): HistoryView {
    return atOnce(this.#past(persona, rows))
  }

  * #past(persona: string, rows?: number): Work<HistoryView> {
    const [kind = '', ...name] = persona.split(':')
    const chosen = this.#personas.find(kind, name.join(':')) ?? this.#personas.find('all', 'all')!
    const backends: [BackendId, Record<string, readonly (number | null)[]>][] = []
    const watches = [...this.#watches.values()].sort((a, b) => Number(b.speed.fault !== undefined) - Number(a.speed.fault !== undefined))
    for (const [i, { id, history }] of watches.entries()) {
      backends.push([id, history.view(rows ?? (i < CHARTED_BACKENDS ? undefined : 1))])
      yield
    }
    return { uptimeMs: rows === undefined ? this.#uptimes : this.#uptimes.slice(-rows), persona: chosen.history.view(rows), backends: Object.fromEntries(backends) }
  }

  #finished(record: RequestRecord): void {
    this.#personas.finished(record, this.#options.clock.now())
    if (record.timeline.backend !== undefined) this.#watches.get(record.timeline.backend)?.finished(record)
  }

  * #observeBackends(scheduler: SchedulerState, elapsedMs: Ms, nowMs: Ms): Work {
    const backends = this.#options.backends()
    const ledgers = new Map(scheduler.backends.map((ledger) => [ledger.id, ledger]))
    const paces = grouped(this.#options.telemetry.paces(), ({ backend }) => backend)
    const pools = new Map<PoolName, BackendWatch[]>()
    const known = new Set(backends.map(({ id }) => id))
    for (const id of this.#watches.keys()) if (!known.has(id)) this.#watches.delete(id)
    for (const backend of backends) {
      let watch = this.#watches.get(backend.id)
      if (watch === undefined) this.#watches.set(backend.id, watch = new BackendWatch(backend.id))
      watch.observe(backend, ledgers.get(backend.id), paces.get(backend.id) ?? [], elapsedMs)
      pools.set(backend.pool, [...pools.get(backend.pool) ?? [], watch])
      yield
    }
    for (const watches of pools.values()) {
      for (const watch of watches) {
        watch.judge(watches.filter((peer) => peer !== watch), nowMs)
        yield
      }
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

  * #queueAlarms(): Work<readonly QueueAlarm[]> {
    const alarms: QueueAlarm[] = []
    for (const { kind, name, history } of this.#personas.list()) {
      if (kind !== 'class') continue
      const alarm = earlyQueueing(history.column('ttftP50', 120), history.column('ttftP99', 120))
      if (alarm !== undefined) alarms.push({ class: name, ...alarm })
      yield
    }
    return alarms
  }

  #classPoints(personas: readonly PersonaSummary[]): readonly MatrixPoint[] {
    return personas.flatMap(({ kind, name, live, windows }): MatrixPoint[] => kind === 'class' && live.ttft !== undefined
      ? [{ kind, name, ttftMs: live.ttft.p50, tokensPerS: windows['1m'].outputTokensPerS }]
      : [])
  }

  /** The picture of each persona that is looked at is made once, for all who look at it. */
  * #tell(subscriptions: () => readonly Subscription[]): Work {
    const messages = new Map<string, string>()
    for (const subscription of subscriptions()) {
      const { persona, reader, isNew } = subscription
      const key = `${persona} ${isNew}`
      let json = messages.get(key)
      if (json === undefined) {
        const snapshot = yield * this.#picture(persona)
        const history = yield * this.#past(persona, isNew ? undefined : 1)
        messages.set(key, json = yield * jsonOf({ snapshot, history } satisfies Message, MESSAGE_DEPTH))
      }
      if (!this.#subscriptions.has(subscription)) continue
      subscription.isNew = false
      reader(json)
      yield
    }
  }
}

function grouped<K, V>(values: readonly V[], key: (value: V) => K): Map<K, V[]> {
  const groups = new Map<K, V[]>()
  for (const value of values) {
    const group = groups.get(key(value))
    if (group === undefined) groups.set(key(value), [value])
    else group.push(value)
  }
  return groups
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

