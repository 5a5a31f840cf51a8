import { ById, createScheduler, type BackendId, type Clock, type Decision, type Ending, type Ms, type Scheduler, type SchedulerEvent, type SchedulerState, type Tokens, type Usage } from '../core/index.js'
import type { Config } from '../config/index.js'
import type { Fleet, FleetBackend, FleetChange } from '../fleet/index.js'
import type { ErrorCode } from '../protocol/index.js'
import { Attempt, bookLater, Continuation, enterTogether, settleTurn, Sweep, type AttemptResult, type AttemptTimeouts, type Upstream } from '../relay/index.js'
import { Alarm } from './alarm.js'
import { messageOf, refuse, type Refusal } from './answers.js'
import { attemptRequest } from './attempt-request.js'
import { BackendLinks, type BackendLink } from './backends.js'
import { fleetSpec } from './fleet-spec.js'
import { Lease } from './lease.js'
import { LoopWatch } from './loop-watch.js'
import { requestRecord } from './record.js'
import { RetryBudget } from './retry-budget.js'
import { Run, type RunListener } from './run.js'
import type { Job, RuntimeGauges, RuntimeOptions, RuntimeTelemetry } from './types.js'

/** When a client that was shed for the gateway's own saturation should come back. */
const SATURATED_RETRY_MS: Ms = 1000

/**
 * Owns the scheduler: tells it what happens, carries out what it decides, and sees to it that each request has exactly one
 * outcome and each attempt exactly one release.
 */
export class Runtime implements RunListener {
  #config: Config
  #timeouts: AttemptTimeouts
  readonly #fleet: Fleet
  readonly #telemetry: RuntimeTelemetry
  readonly #clock: Clock
  readonly #scheduler: Scheduler
  readonly #sweep: Sweep
  readonly #alarm: Alarm
  readonly #retries: RetryBudget
  readonly #loop: LoopWatch
  readonly #runs = new ById<Run>()
  readonly #links: BackendLinks
  /** What carrying out the present event's decisions has brought about. */
  readonly #events: SchedulerEvent[] = []
  readonly #idle: (() => void)[] = []
  readonly #unsubscribe: () => void
  #feeding = false
  #leases = 0
  /** Requests so far that came with an id in use. */
  #sameIds = 1
  #draining = false

  constructor(options: RuntimeOptions) {
    const { config, fleet, telemetry, clock, random } = options
    this.#config = config
    this.#timeouts = attemptTimeouts(config)
    this.#fleet = fleet
    this.#telemetry = telemetry
    this.#clock = clock
    this.#links = new BackendLinks(fleet, clock, () => this.#config.timeouts.connect)
    this.#sweep = new Sweep(clock)
    this.#loop = new LoopWatch(clock)
    this.#alarm = new Alarm(clock, () => this.#feed({ type: 'tick' }))
    this.#retries = new RetryBudget(retryOptions(config), clock.now())
    this.#scheduler = (options.createScheduler ?? createScheduler)({
      policy: config.scheduling.policy,
      fleet: fleetSpec(config, fleet),
      admission: { mode: config.admission.mode, probeShare: config.admission.probe_share, maxFalseRejectionRatio: config.admission.max_false_rejection_ratio },
    }, random, clock.now())
    for (const backend of fleet.backends) this.#tellState(backend.id, backend)
    this.#unsubscribe = fleet.onChange(change => this.#onFleetChange(change))
  }

  get draining(): boolean {
    return this.#draining
  }

  get gauges(): RuntimeGauges {
    let waiting = 0
    for (const run of this.#runs.values()) if (run.lease === undefined) waiting++
    return { requests: this.#runs.size, waiting, leases: this.#leases, watched: this.#sweep.size, running: this.#links.running }
  }

  schedulerState(): SchedulerState {
    return this.#scheduler.state(this.#clock.now())
  }

  /** For operators' actions such as a pool's mode. */
  tell(event: Extract<SchedulerEvent, { type: 'pool_mode' }>): void {
    this.#feed(event)
  }

  /** A new configuration; what runs is not touched. */
  configure(config: Config): void {
    this.#config = config
    this.#timeouts = attemptTimeouts(config)
    this.#retries.configure(retryOptions(config))
    this.#syncBackends()
  }

  /** Takes the request over; from here on it is answered and accounted whatever happens. */
  submit(job: Job): void {
    const run = new Run(job, this.#freeId(job.spec.id), this)
    const nowMs = this.#clock.now()
    run.timeline.classifiedAtMs = nowMs
    this.#telemetry.offered(job.route, job.spec.class, job.spec.model)
    this.#runs.set(run.timeline.id, run)
    if (job.client.ended) return this.#finish(run, 'cancelled', 499)
    if (this.#draining) return this.#refuse(run, 'rejected', { code: 'draining', reason: 'draining', retryCanMeet: true })
    const shed = this.#shedFor(job.spec.class)
    if (shed !== undefined) {
      this.#telemetry.admission(job.spec.class, 'reject', shed)
      return this.#refuse(run, 'rejected', {
        code: shed, reason: shed, retryAfterMs: SATURATED_RETRY_MS, retryCanMeet: true,
        message: `The gateway itself is saturated: it takes no more work of this class until its streams flow again. Retry after the time in retry-after.`,
      })
    }
    job.client.owner = run
    enterTogether(run)
  }

  /** What has come in this turn is decided upon together. */
  onEnter(run: Run): void {
    // Left, or was cut off, meanwhile.
    if (run.ended) return
    const { job } = run
    const { spec } = job
    if (job.continuation) run.continuation = Continuation.of(job.client, job.outbound!.fields, job.outbound!.body!)
    this.#retries.request()
    run.timeline.queuedAtMs = this.#clock.now()
    this.#feed({ type: 'arrival', request: spec.id === run.timeline.id ? spec : { ...spec, id: run.timeline.id } })
    if (!run.admitted && !run.ended) {
      run.admitted = true
      this.#telemetry.admission(spec.class, 'queue', '')
    }
  }

  /** New work must not make the streams that run stutter: what may be shed goes at half the limit, all else at the limit. */
  #shedFor(className: string): 'shed_lower_class' | 'queue_full' | undefined {
    const limitMs = this.#config.limits.event_loop_lag
    const { lagMs } = this.#loop
    if (limitMs === 0 || lagMs < limitMs / 2) return undefined
    if (this.#config.classes[className]?.sheddable === true) return 'shed_lower_class'
    return lagMs < limitMs ? undefined : 'queue_full'
  }

  /** Clients choose ids, and many may choose the same; inside, each request has its own, found at once however many there are. */
  #freeId(id: string): string {
    if (!this.#runs.has(id)) return id
    let free: string
    do free = `${id}~${++this.#sameIds}`
    while (this.#runs.has(free))
    return free
  }

  // Events in, decisions out.

  /** One event at a time: what carrying out a decision brings about waits until that one is done. */
  #feed(event: SchedulerEvent): void {
    if (this.#feeding) {
      this.#events.push(event)
      return
    }
    this.#feeding = true
    try {
      for (let next: SchedulerEvent | undefined = event; next !== undefined; next = this.#events.shift()) {
        for (const decision of this.#scheduler.handle(next, this.#clock.now())) this.#carryOut(decision)
      }
    } finally {
      this.#feeding = false
    }
  }

  #carryOut(decision: Decision): void {
    if (decision.type === 'wake') return this.#alarm.set(decision.atMs)
    const run = this.#runs.get(decision.id)
    if (run === undefined) return
    run.explanation = decision.why
    if (decision.type === 'dispatch') return this.#dispatch(run, decision.backend)
    if (run.failed !== undefined) return this.#answerFailure(run, run.failed)
    const { reason, retryAfterMs, retryCanMeet } = decision
    if (!run.admitted) this.#telemetry.admission(run.job.spec.class, 'reject', reason)
    run.admitted = true
    this.#telemetry.refused(run.timeline.id, run.job.spec.tenant, reason)
    const ending = decision.type === 'reject' ? 'rejected' : 'expired'
    if (reason === 'model_not_found') return this.#refuse(run, ending, { code: reason, reason })
    this.#refuse(run, ending, { code: reason, reason, retryAfterMs, retryCanMeet, message: messageOf(reason, run.job.spec) })
  }

  // Attempts.

  #dispatch(run: Run, id: BackendId): void {
    const backend = this.#fleet.get(id)
    if (!run.admitted) {
      run.admitted = true
      const { wouldReject, probe } = run.explanation!
      this.#telemetry.admission(run.job.spec.class, probe === true ? 'probe' : wouldReject === true ? 'would_reject' : 'dispatch', '')
    }
    const lease = new Lease(id)
    this.#leases++
    run.dispatched(lease, backend?.pool ?? '', this.#clock.now())
    if (backend === undefined) {
      // Left the fleet between the decision and now.
      return this.onAttemptEnded(run, GONE)
    }
    if (run.job.spec.streamed) run.gaps = this.#telemetry.intervals(run.job.spec.class, backend.pool, backend.id)
    const link = this.#links.of(backend)
    link.run(lease, () => this.#start(run, lease, link))
  }

  #start(run: Run, lease: Lease, { backend, upstream }: BackendLink): void {
    const { job } = run
    run.timeline.startedAtMs = this.#clock.now()
    const request = attemptRequest(run, backend)
    if (request === undefined) return this.onAttemptEnded(run, UNABLE)
    const attempt = new Attempt(request, run.continuation ?? job.client, run, this.#timeouts, job.spec.receivedAtMs + this.#config.timeouts.total, job.outbound!.credentialsPassed, this.#clock, this.#sweep)
    lease.attempt = attempt
    attempt.start(upstream)
  }

  /** Traces and the request file tell of each attempt; nothing else does, and the ring of recent requests would keep them for nobody. */
  get #tellsAttempts(): boolean {
    return this.#config.telemetry.otlp_endpoint !== undefined || this.#config.log.request_file !== undefined
  }

  /** The one place where a lease goes. */
  #release(run: Run, verdict: AttemptResult['verdict']): void {
    const lease = run.lease
    const pace = lease?.attempt?.pace
    if (lease === undefined || !lease.release()) return
    this.#leases--
    run.lease = undefined
    const { pool = '' } = run.timeline
    const dispatchedAtMs = run.timeline.dispatchedAtMs!
    if (this.#tellsAttempts) run.attempts = [...run.attempts, { backend: lease.backend, pool, dispatchedAtMs, endedAtMs: this.#clock.now(), verdict }]
    this.#telemetry.attempt(lease.backend, verdict)
    this.#fleet.attemptEnded(lease.backend, verdict, dispatchedAtMs, pace)
  }

  onFirstToken(run: Run): void {
    const { lease } = run
    if (lease === undefined) return
    if (run.continuation === undefined) run.job.outbound = undefined
    else run.job.outbound!.body = undefined
    const { explanation } = run
    const { firstTokenAtMs, receivedAtMs } = run.timeline
    const dispatchedAtMs = run.timeline.dispatchedAtMs!
    this.#fleet.attemptProgressed(lease.backend, dispatchedAtMs, explanation?.uncachedTokens ?? explanation?.promptTokens ?? 0)
    if (firstTokenAtMs !== undefined && run.carriedTokens === 0) this.#telemetry.firstToken(lease.backend, run.job.spec.class, firstTokenAtMs - dispatchedAtMs, firstTokenAtMs - receivedAtMs, run.explanation)
    this.#feed({ type: 'first_token', id: run.timeline.id })
  }

  onProgress(run: Run, outputTokens: Tokens): void {
    this.#feed({ type: 'progress', id: run.timeline.id, outputTokens })
  }

  onAttemptEnded(run: Run, result: AttemptResult): void {
    const { id } = run.timeline
    const { verdict, retryAfterMs } = result
    const usage = run.continuation === undefined ? result.usage : run.continuation.total(result.usage)
    const attempt = run.lease?.attempt
    if (attempt !== undefined) this.#measure(run, attempt, usage)
    const begun = run.continuation?.begun === true
    this.#release(run, verdict)
    const after = retryAfterMs === undefined ? {} : { retryAfterMs }
    if (result.retryable && this.#mayRetry(run)) {
      run.failed = result
      // What a continuation carries on with is not lost.
      if (!begun) this.#lost(run)
      if (begun) run.continuation!.restart()
      this.#feed({ type: 'retry', id, verdict, ...after, ...(begun && { continuesUntilMs: this.#triesUntilMs(run) }) })
      return
    }
    this.#feed({ type: 'end', id, verdict, ...(usage === undefined ? {} : { usage }), ...after })
    // An answer that came in one piece cannot be the rest of a stream.
    if (verdict === 'success' && (!begun || run.job.client.ended)) return this.#finish(run, 'completed', result.status)
    this.#answerFailure(run, result)
  }

  /** What an attempt computed that is now done again elsewhere. */
  #lost({ job, timeline, explanation, failed }: Run): void {
    // A busy server's refusal cost nothing; what never reached the server neither.
    if (failed?.verdict !== 'fault' || timeline.connectedAtMs === undefined) return
    const promptTokens = timeline.promptTokens ?? explanation?.uncachedTokens ?? 0
    const { outputTokens = 0 } = timeline
    if (promptTokens + outputTokens > 0) this.#telemetry.attemptLost(job.spec.class, { promptTokens, outputTokens })
  }

  #mayRetry(run: Run): boolean {
    const nowMs = this.#clock.now()
    if (run.timeline.attempts >= this.#config.retries.max_attempts || nowMs >= this.#triesUntilMs(run)) return false
    // Who continues an answer for the first time takes the place of the server that broke it: however many that one had, load is moved, not added.
    const moves = run.continuation?.begun === true && !run.continuation.continued
    return moves || this.#retries.take(nowMs)
  }

  /** No attempt begins after that. */
  #triesUntilMs({ job: { spec, givesUpAtMs = Infinity } }: Run): Ms {
    return Math.min(spec.receivedAtMs + Math.min(spec.targets.deadlineMs ?? Infinity, this.#config.timeouts.total), givesUpAtMs)
  }

  #measure(run: Run, attempt: Attempt, usage: Usage | undefined): void {
    const { timeline } = run
    timeline.lastTokenAtMs = attempt.lastTokenAtMs ?? timeline.lastTokenAtMs
    timeline.promptTokens = usage?.promptTokens
    timeline.cachedTokens = usage?.cachedTokens
    timeline.outputTokensEstimated = usage?.outputTokens === undefined
    timeline.outputTokens = usage?.outputTokens ?? (run.carriedTokens + attempt.tokenEvents || undefined)
  }

  // Ends.

  #answerFailure(run: Run, result: AttemptResult): void {
    const { code, detail, status, refusal, committed } = result
    const { client } = run.job
    if (run.continuation?.begun === true) run.continuation.giveUp(code ?? 'backend_error', detail)
    if (committed || client.headWritten) return this.#finish(run, 'failed', client.status, code, detail)
    if (refusal !== undefined) {
      // The request is at fault, and the backend says so best: its bytes and its status.
      client.answer(refusal.status, run.headers(refusal.headers), refusal.body)
      return this.#finish(run, 'rejected', refusal.status, 'invalid_request', detail)
    }
    this.#refuse(run, 'failed', {
      code: code ?? 'backend_error', status, retryAfterMs: result.retryAfterMs,
      ...(detail === undefined ? {} : { message: sentence(detail) }),
    })
  }

  #refuse(run: Run, ending: Ending, refusal: Refusal): void {
    if (run.continuation?.begun === true) {
      run.continuation.giveUp(refusal.code, refusal.message)
      return this.#finish(run, 'failed', run.job.client.status, refusal.code, refusal.message)
    }
    const status = refuse(run.job, refusal, run.headers([]))
    this.#finish(run, ending, status, refusal.code, refusal.message)
  }

  onClientGone(run: Run): void {
    if (run.ended) return
    const attempt = run.lease?.attempt
    if (attempt !== undefined) {
      this.#measure(run, attempt, undefined)
      attempt.abort()
    }
    this.#release(run, 'cancelled')
    this.#feed({ type: 'cancel', id: run.timeline.id })
    this.#finish(run, 'cancelled', run.job.client.status || 499)
  }

  #finish(run: Run, ending: Ending, status: number, code?: ErrorCode, detail?: string): void {
    if (run.ended) return
    run.ended = true
    run.job.client.owner = undefined
    const { timeline } = run
    this.#runs.delete(timeline.id)
    timeline.endedAtMs = this.#clock.now()
    timeline.ending = ending
    run.job.onEnd?.(timeline)
    run.end = { status, code, detail }
    bookLater(run)
    if (this.#runs.size === 0) for (const resolve of this.#idle.splice(0)) resolve()
  }

  onBook(run: Run): void {
    this.#telemetry.finished(requestRecord(run))
  }

  // The fleet.

  #onFleetChange(change: FleetChange): void {
    switch (change.type) {
      case 'state': return this.#tellState(change.backend, change)
      case 'report': return this.#feed({ type: 'engine_report', backend: change.backend, report: change.report })
      case 'restarted': return this.#feed({ type: 'backend_restarted', backend: change.backend })
      case 'specs': return this.#syncBackends()
    }
  }

  #syncBackends(): void {
    this.#feed({ type: 'configure', fleet: fleetSpec(this.#config, this.#fleet) })
    this.#links.sync()
    for (const backend of this.#fleet.backends) this.#tellState(backend.id, backend)
  }

  #tellState(backend: BackendId, { state, inflightLimit }: Pick<FleetBackend, 'state' | 'inflightLimit'>): void {
    this.#feed({ type: 'backend_state', backend, state, ...(inflightLimit !== undefined && { inflightLimit }) })
  }

  // The end.

  /** The connections to a backend, for requests that are not scheduled. */
  upstreamOf(backend: FleetBackend): Upstream {
    return this.#links.of(backend).upstream
  }

  /** New requests are refused; resolves when the rest is answered, or when `graceMs` is over and what still runs has been cut with an error. */
  async drain(graceMs: Ms): Promise<void> {
    this.#draining = true
    if (this.#runs.size === 0) return
    let timer: NodeJS.Timeout | undefined
    await Promise.race([
      new Promise<void>(resolve => { this.#idle.push(resolve) }),
      new Promise<void>(resolve => { timer = setTimeout(resolve, graceMs) }),
    ])
    clearTimeout(timer)
    for (const run of [...this.#runs.values()]) this.#cutOff(run)
    settleTurn()
  }

  #cutOff(run: Run): void {
    const attempt = run.lease?.attempt
    if (attempt !== undefined) {
      this.#measure(run, attempt, undefined)
      attempt.breakOff({ verdict: 'cancelled', retryable: false, status: 503, code: 'draining', detail: 'the gateway is shutting down' })
      return
    }
    this.#release(run, 'cancelled')
    this.#feed({ type: 'cancel', id: run.timeline.id })
    this.#refuse(run, 'expired', { code: 'draining', reason: 'draining', retryCanMeet: true })
  }

  /** After `drain`: timers and connections go. */
  async close(): Promise<void> {
    this.#unsubscribe()
    this.#alarm.clear()
    this.#loop.stop()
    settleTurn()
    await this.#links.destroy()
  }
}

const attemptTimeouts = ({ timeouts }: Config): AttemptTimeouts => ({
  connectMs: timeouts.connect, firstTokenMs: timeouts.first_token, idleMs: timeouts.idle, writeStallMs: timeouts.write_stall,
})

const retryOptions = ({ retries }: Config) => ({ ratio: retries.budget_ratio, minPerSecond: retries.min_per_second })

const sentence = (detail: string): string => `${detail[0]!.toUpperCase()}${detail.slice(1)}.`

const UNABLE: AttemptResult = {
  verdict: 'cancelled', retryable: true, committed: false, status: 502, code: 'backend_error',
  detail: 'the model server broke off its answer, and no other one could go on with it', usage: undefined, retryAfterMs: undefined, refusal: undefined,
}

const GONE: AttemptResult = {
  verdict: 'cancelled', retryable: true, committed: false, status: 503, code: 'backend_error',
  detail: 'the backend left the fleet', usage: undefined, retryAfterMs: undefined, refusal: undefined,
}
