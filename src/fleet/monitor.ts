import type { AttemptVerdict, BackendSpec, BackendState, Clock, EngineReport, Ms, PoolName, Random, Tokens } from '../core/index.js'
import type { BackendConfig, EngineKind } from '../config/index.js'
import { Breaker } from './breaker.js'
import type { EngineAdapter, EngineFacts } from './engines/adapter.js'
import { ADAPTERS } from './engines/index.js'
import { known } from './engines/json.js'
import { GpuWatch } from './gpu.js'
import { Health } from './health.js'
import type { ProbeLanes } from './lanes.js'
import { detectEngine, readFacts } from './learn.js'
import type { Names } from './names.js'
import { MAX_METRICS_BYTES, parseMetrics } from './prometheus.js'
import { Pace } from './pace.js'
import { ProbeClient, ProbeError, type ProbeTarget } from './probe.js'
import { Readings } from './readings.js'
import { SLOW_START_MS, stateOf, type StateVerdict } from './state.js'
import type { BackendSnapshot, FleetBackend, FleetChange, FleetConfig, ModelEntry, StreamPace, TlsMaterial } from './types.js'

export interface MonitorContext {
  readonly clock: Clock
  readonly random: Random
  readonly lanes: ProbeLanes
  readonly names: Names
  emit(change: FleetChange): void
}

export type MonitorLimits = Pick<FleetConfig, 'health' | 'scrape' | 'breaker'>

/** A check that failed is repeated soon: whether a server is down should not take `down_after` whole intervals to say. */
const RECHECK_MS: Ms = 500
/** Lists of models change rarely. */
const FACTS_INTERVAL_MS: Ms = 60_000
/** A server without metrics is asked again now and then: an operator may switch them on. */
const NO_METRICS_INTERVAL_MS: Ms = 30_000
const MAX_HEALTH_BYTES = 4 * 1024 * 1024
/** Readings stay good for this many scrape intervals, and never less than the floor. */
const STALE_INTERVALS = 5
const STALE_FLOOR_MS: Ms = 5_000
const JITTER = 0.1

/** Watches one backend: checks it, reads it, learns what it is, and says how it stands. */
export class BackendMonitor implements FleetBackend {
  readonly id: string
  readonly origin: string
  readonly basePath: string
  readonly apiKey: string | undefined
  readonly tls: TlsMaterial | undefined
  /** Resolves after the first check, whichever way it went. */
  readonly checked: Promise<void>
  readonly configuredEngine: EngineKind
  readonly #context: MonitorContext
  readonly #probe: ProbeClient
  #health: Health
  #breaker: Breaker
  #readings: Readings
  #pace = new Pace()
  #pool: PoolName
  #config: BackendConfig
  #limits: MonitorLimits
  #adapter: EngineAdapter
  #facts: EngineFacts = {}
  #factsAtMs: Ms | undefined
  #operatorDrain = false
  #verdict: StateVerdict = { state: 'down', why: 'not checked yet' }
  #inflightLimit: number | undefined
  #stateSinceMs: Ms
  #restarts = 0
  #healthError: string | undefined
  #reportError: string | undefined
  #checkMs: Ms | undefined
  #unanswered = false
  #checking = false
  #gpu: GpuWatch | undefined
  #stopped = false
  #checkDueAtMs: Ms = Infinity
  #healthTimer: NodeJS.Timeout | undefined
  #scrapeTimer: NodeJS.Timeout | undefined
  #stateTimer: NodeJS.Timeout | undefined
  #onChecked: () => void = () => {}

  constructor(id: string, pool: PoolName, config: BackendConfig, target: ProbeTarget, limits: MonitorLimits, context: MonitorContext) {
    this.id = id
    this.origin = target.origin
    this.basePath = target.basePath
    this.apiKey = target.apiKey
    this.tls = target.tls
    this.configuredEngine = config.engine
    this.#context = context
    this.#pool = pool
    this.#config = config
    this.#limits = limits
    this.#adapter = ADAPTERS[config.engine]
    this.#probe = new ProbeClient(target, context.names)
    this.#health = new Health(healthOptions(limits))
    this.#breaker = new Breaker(breakerOptions(limits))
    this.#readings = new Readings(readingOptions(limits))
    this.#gpu = gpuWatch(config, context)
    this.#stateSinceMs = context.clock.now()
    this.checked = new Promise((resolve) => { this.#onChecked = resolve })
  }

  get pool(): PoolName { return this.#pool }
  get names(): Names { return this.#context.names }
  get costPerHour(): number | undefined { return this.#config.cost_per_hour }
  get engine(): EngineKind { return this.#adapter.engine }
  get adapter(): EngineAdapter { return this.#adapter }
  get state(): BackendState { return this.#verdict.state }
  get inflightLimit(): number | undefined { return this.#inflightLimit }

  get models(): readonly string[] | undefined {
    if (this.#config.models !== undefined) return this.#config.models
    return this.#facts.models?.flatMap(({ id }) => [id, ...this.#adapter.aliases(id)])
  }

  get modelEntries(): readonly ModelEntry[] | undefined {
    const learned = new Map(this.#facts.models?.map((fact) => [fact.id, fact]))
    const ids = this.#config.models ?? this.#facts.models?.map(({ id }) => id)
    return ids?.map((id) => {
      const fact = learned.get(id)
      return { id, created: fact?.created, ownedBy: fact?.ownedBy, maxModelTokens: fact?.maxModelTokens ?? this.#facts.contextTokens }
    })
  }

  get spec(): BackendSpec {
    return { id: this.id, pool: this.#pool, models: this.models, maxInflight: this.#config.max_inflight, costPerHour: this.#config.cost_per_hour }
  }

  get operatorDrain(): boolean { return this.#operatorDrain }

  set operatorDrain(drain: boolean) {
    this.#operatorDrain = drain
    this.#publish()
  }

  start(): void {
    this.#emitState()
    void this.#check()
    this.#scheduleScrape(this.#limits.scrape.interval)
  }

  async stop(): Promise<void> {
    this.#stopped = true
    for (const timer of [this.#healthTimer, this.#scrapeTimer, this.#stateTimer]) clearTimeout(timer)
    this.#onChecked()
    await Promise.all([this.#probe.close(), this.#gpu?.close()])
  }

  /** What may change while the same server is watched: everything but its address, key, TLS and kind. */
  configure(pool: PoolName, config: BackendConfig, limits: MonitorLimits): void {
    if (JSON.stringify(config.gpu_metrics) !== JSON.stringify(this.#config.gpu_metrics)) {
      void this.#gpu?.close()
      this.#gpu = gpuWatch(config, this.#context)
    }
    this.#pool = pool
    this.#config = config
    this.#limits = limits
    this.#health.configure(healthOptions(limits))
    this.#breaker.configure(breakerOptions(limits))
    this.#readings.configure(readingOptions(limits))
  }

  /** In the place of another monitor of this name. The same server under new credentials: what was known of it holds until it is checked with these. */
  takeOver(before: BackendMonitor): void {
    this.#operatorDrain = before.#operatorDrain
    if (before.origin !== this.origin || before.basePath !== this.basePath || before.configuredEngine !== this.configuredEngine) return
    this.#health = before.#health
    this.#breaker = before.#breaker
    this.#pace = before.#pace
    this.#readings = before.#readings
    this.#adapter = before.#adapter
    this.#facts = before.#facts
    this.#verdict = before.#verdict
    this.#inflightLimit = before.#inflightLimit
    this.#stateSinceMs = before.#stateSinceMs
    this.#restarts = before.#restarts
    this.configure(this.#pool, this.#config, this.#limits)
  }

  get pace(): Pace { return this.#pace }

  /** Its pace was compared with those of its pool: it may stand differently now. */
  paceJudged(): void {
    this.#publish()
  }

  attemptProgressed(dispatchedAtMs: Ms, promptTokens: Tokens): void {
    this.#pace.firstToken(dispatchedAtMs, promptTokens, this.#context.clock.now())
    if (this.#breaker.state !== 'half_open') return
    this.#breaker.progressed(dispatchedAtMs, this.#context.clock.now())
    this.#publish()
  }

  attemptEnded(verdict: AttemptVerdict, dispatchedAtMs: Ms, pace?: StreamPace): void {
    if (pace !== undefined) this.#pace.tokens(pace.tokens, pace.tookMs, this.#context.clock.now())
    if (verdict === 'success') this.#readings.completed()
    const before = this.#breaker.state
    this.#breaker.ended(verdict, dispatchedAtMs, this.#context.clock.now())
    if (this.#breaker.state !== before) this.#publish()
    // A fault is a reason to look now and not at the next interval.
    if (verdict === 'fault') this.#checkWithin(RECHECK_MS)
  }

  snapshot(): BackendSnapshot {
    const nowMs = this.#context.clock.now()
    return {
      id: this.id,
      pool: this.#pool,
      url: this.origin + this.basePath,
      engine: this.engine,
      engineDetected: this.engine !== this.configuredEngine,
      state: this.#verdict.state,
      why: this.#verdict.why,
      stateAgeMs: nowMs - this.#stateSinceMs,
      operatorDrain: this.#operatorDrain,
      breaker: this.#breaker.state,
      consecutiveFaults: this.#breaker.consecutiveFaults,
      slowdownRatio: this.#pace.ratio,
      models: this.modelEntries,
      restarts: this.#restarts,
      healthAgeMs: this.#health.okAtMs === undefined ? undefined : nowMs - this.#health.okAtMs,
      healthError: this.#healthError,
      checkMs: this.#checkMs,
      reportAgeMs: this.#readings.ageMs(nowMs),
      reportError: this.#reportError,
      reportFrozen: this.#readings.isFrozen(nowMs),
      report: this.#report(nowMs),
      gpuUtilizationRatio: this.#gpu?.ratio(readingOptions(this.#limits).staleAfterMs),
      costPerHour: this.#config.cost_per_hour,
    }
  }

  #report(nowMs: Ms): EngineReport {
    const report = this.#readings.report(nowMs)
    return known<EngineReport>({ ...report, kvCapacityTokens: report.kvCapacityTokens ?? this.#facts.kvCapacityTokens })
  }

  async #check(): Promise<void> {
    if (this.#checking || this.#stopped) return
    this.#checking = true
    const { clock, lanes } = this.#context
    try {
      await lanes.run(this.#unanswered, async () => {
        if (this.#stopped) return
        const { health } = this.#adapter
        const startedAtMs = clock.now()
        try {
          const { status } = await this.#probe.get(health.path, Math.max(this.#limits.health.timeout, health.minTimeoutMs ?? 0), MAX_HEALTH_BYTES)
          this.#unanswered = false
          this.#checkMs = clock.now() - startedAtMs
          const reading = health.read(status)
          this.#healthError = reading === 'ok' ? undefined : `${health.path} answered ${status}`
          // Known before it is called up: a server whose models are unknown would be given any request.
          if (reading === 'ok' && this.#needsFacts()) await this.#learn()
          if (!this.#stopped) this.#observe(reading === 'ok')
        } catch (error) {
          if (this.#stopped) return
          if (!(error instanceof ProbeError)) throw error
          this.#unanswered = !error.refused
          this.#healthError = error.message
          // What could not be asked says nothing of the backend.
          if (!error.ownShortage) this.#observe(false)
        }
      })
    } finally {
      this.#checking = false
      this.#onChecked()
    }
    if (this.#stopped) return
    const { interval } = this.#limits.health
    const status = this.#health.status
    const failing = this.#healthError !== undefined && status === 'up'
    this.#scheduleCheck(failing ? Math.min(RECHECK_MS, interval) : status === 'up' ? Math.max(interval, this.#adapter.health.minIntervalMs ?? 0) : interval)
  }

  #observe(ok: boolean): void {
    const nowMs = this.#context.clock.now()
    const before = this.#health.status
    this.#health.observe(ok ? 'ok' : 'failed', nowMs)
    // Without counters to tell, a server that was gone is taken for a new process: an empty cache costs less than a false hope.
    if (before === 'down' && this.#health.status === 'up' && this.#readings.ageMs(nowMs) === undefined) this.#restarted()
    // What it had loaded and what it is may differ when it returns.
    if (before === 'up' && this.#health.status === 'down') this.#factsAtMs = undefined
    this.#publish()
  }

  #needsFacts(): boolean {
    return this.#factsAtMs === undefined || this.#context.clock.now() - this.#factsAtMs >= FACTS_INTERVAL_MS
  }

  async #learn(): Promise<void> {
    const { clock } = this.#context
    const timeoutMs = this.#limits.health.timeout
    const options = { probe: this.#probe, clock, timeoutMs, totalMs: 2 * timeoutMs }
    const before = JSON.stringify([this.engine, this.models, this.modelEntries])
    // Once per life of the server, not at every look at its models.
    if (this.configuredEngine === 'openai' && this.#factsAtMs === undefined) {
      const adapter = ADAPTERS[await detectEngine(options) ?? 'openai']
      if (adapter !== this.#adapter) {
        this.#adapter = adapter
        this.#readings.forget()
        this.#facts = {}
      }
    }
    const facts = await readFacts(this.#adapter, options)
    this.#facts = { ...this.#facts, ...facts }
    this.#factsAtMs = clock.now()
    if (!this.#stopped && JSON.stringify([this.engine, this.models, this.modelEntries]) !== before) this.#context.emit({ type: 'specs' })
  }

  async #scrape(): Promise<void> {
    const { metrics } = this.#adapter
    if (this.#stopped) return
    // Beside the engine's own figures: a slow exporter holds nothing up.
    void this.#gpu?.read(this.#limits.scrape.timeout)
    if (metrics === undefined || this.#health.status !== 'up') {
      this.#publishReport()
      return this.#scheduleScrape(this.#limits.scrape.interval)
    }
    let waitMs = this.#limits.scrape.interval
    await this.#context.lanes.run(this.#unanswered, async () => {
      if (this.#stopped) return
      try {
        const { status, body } = await this.#probe.get(metrics.path, this.#limits.scrape.timeout, MAX_METRICS_BYTES)
        if (this.#stopped) return
        if (status === 200) {
          this.#reportError = undefined
          if (this.#readings.observe(metrics.read(parseMetrics(body, metrics.names)), this.#context.clock.now())) this.#restarted()
        } else {
          this.#reportError = `${metrics.path} answered ${status}`
          if (status === 404 || status === 501) waitMs = Math.max(waitMs, NO_METRICS_INTERVAL_MS)
        }
      } catch (error) {
        if (!(error instanceof ProbeError)) throw error
        this.#reportError = error.message
        if (error.refused) this.#checkWithin(0)
      }
    })
    if (this.#stopped) return
    this.#publishReport()
    this.#publish()
    this.#scheduleScrape(waitMs)
  }

  #restarted(): void {
    this.#restarts++
    this.#factsAtMs = undefined
    this.#breaker.reset(this.#context.clock.now())
    this.#pace.reset(this.#context.clock.now())
    this.#context.emit({ type: 'restarted', backend: this.id })
  }

  #publishReport(): void {
    this.#context.emit({ type: 'report', backend: this.id, report: this.#report(this.#context.clock.now()) })
  }

  /** Work the state out anew, tell if it changed, and wake up when time alone will change it. */
  #publish(): void {
    if (this.#stopped) return
    const nowMs = this.#context.clock.now()
    this.#breaker.advance(nowMs)
    const recoveredAtMs = latest(this.#health.recoveredAtMs, this.#pace.recoveredAtMs)
    const verdict = stateOf({
      health: this.#health.status,
      healthError: this.#healthError,
      operatorDrain: this.#operatorDrain,
      breaker: this.#breaker.state,
      stalled: this.#readings.isStalled(nowMs),
      slowdown: this.#pace.slowSinceMs === undefined ? undefined : this.#pace.slowBy,
      recoveredAtMs,
    }, nowMs)
    const inflightLimit = this.#breaker.state === 'half_open' ? this.#limits.breaker.probes : undefined
    const changed = verdict.state !== this.#verdict.state || inflightLimit !== this.#inflightLimit
    if (verdict.state !== this.#verdict.state) this.#stateSinceMs = nowMs
    this.#verdict = verdict
    this.#inflightLimit = inflightLimit
    const dueAtMs = Math.min(this.#breaker.dueAtMs ?? Infinity, recoveredAtMs !== undefined && recoveredAtMs + SLOW_START_MS > nowMs ? recoveredAtMs + SLOW_START_MS : Infinity)
    clearTimeout(this.#stateTimer)
    if (dueAtMs < Infinity) this.#stateTimer = setTimeout(() => this.#publish(), Math.max(1, Math.ceil(dueAtMs - nowMs))).unref()
    if (changed) this.#emitState()
  }

  #emitState(): void {
    this.#context.emit({ type: 'state', backend: this.id, ...this.#verdict, inflightLimit: this.#inflightLimit })
  }

  /** Bring the next check forward; never put it off. */
  #checkWithin(afterMs: Ms): void {
    if (this.#checking || this.#stopped || this.#checkDueAtMs <= this.#context.clock.now() + afterMs) return
    this.#scheduleCheck(afterMs)
  }

  #scheduleCheck(afterMs: Ms): void {
    clearTimeout(this.#healthTimer)
    this.#checkDueAtMs = this.#context.clock.now() + afterMs
    this.#healthTimer = setTimeout(() => { void this.#check() }, this.#jittered(afterMs)).unref()
  }

  #scheduleScrape(afterMs: Ms): void {
    this.#scrapeTimer = setTimeout(() => { void this.#scrape() }, this.#jittered(afterMs)).unref()
  }

  /** Spread, so that a large fleet is not asked in step. */
  #jittered(ms: Ms): Ms {
    return ms * (1 + JITTER * (2 * this.#context.random.next() - 1))
  }
}

const latest = (a: Ms | undefined, b: Ms | undefined): Ms | undefined => a === undefined ? b : b === undefined ? a : Math.max(a, b)
const gpuWatch = ({ gpu_metrics: source }: BackendConfig, { clock }: MonitorContext) => source === undefined ? undefined : new GpuWatch(source, clock)
const healthOptions = ({ health }: MonitorLimits) => ({ downAfter: health.down_after, upAfter: health.up_after })
const breakerOptions = ({ breaker }: MonitorLimits) => ({ faults: breaker.faults, openMs: breaker.open })
const readingOptions = ({ scrape }: MonitorLimits) => ({ staleAfterMs: Math.max(STALE_INTERVALS * scrape.interval, STALE_FLOOR_MS) })
