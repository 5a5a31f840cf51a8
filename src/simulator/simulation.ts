import { createRandom, createScheduler, noteLateness, type BackendSpec, type Decision, type Explanation, type FleetSpec, type Ms, type Random, type Scheduler, type SchedulerEvent, type SchedulerOptions, type Usage } from '../core/index.js'
import { Clients } from './clients.js'
import { EngineModel, type EngineProfile } from './engine/index.js'
import { EventHeap } from './heap.js'
import { Outbox } from './outbox.js'
import { hasRoom } from './room.js'
import type { SimulatedRequest } from './simulated-request.js'
import { profileOf, serviceClasses, type RunSpec } from './spec.js'
import { Tally, type RunResult } from './tally.js'
import { blockTokensOf, openWorkload } from './workload/workload.js'

export type SchedulerFactory = (options: SchedulerOptions, random: Random, nowMs: Ms) => Scheduler

export interface SimulationHooks {
  /** In place of the production scheduler. */
  readonly createScheduler?: SchedulerFactory
  /** Sees every decision about a request, with the truth that the scheduler does not have. */
  readonly onDecision?: (decision: Exclude<Decision, { type: 'wake' }>, request: SimulatedRequest, nowMs: Ms) => void
  /** Sees every measured request that has ended. */
  readonly onEnd?: (request: SimulatedRequest) => void
}

/** By then a measured request is judged by what it has; no deadline of the standard classes is longer. */
const LAST_CALL_MS = 150_000
const SCAN_MS = 500
const MAX_ATTEMPTS = 3

const ARRIVAL = 0
const SUBMIT = 1
const STEP = 2
const DELIVER = 3
const WAKE = 4
const REPORT = 5
const INCIDENT_FROM = 6
const INCIDENT_TO = 7
const NOTICE_DOWN = 8
const NOTICE_UP = 9
const SCAN = 10
const REFUSED = 11

interface Server {
  readonly id: string
  readonly profile: EngineProfile
  readonly nominalSpeed: number
  /** Relative to the preset, incidents included. */
  speed: number
  engine: EngineModel<SimulatedRequest>
  up: boolean
  readonly outbox: Outbox
  /** Steps of an engine that crashed must not be taken for those of its successor. */
  stepAtMs: Ms
}

/** Runs one simulation to its end. The same spec gives the same result. */
export function simulate(spec: RunSpec, hooks: SimulationHooks = {}): RunResult {
  return new Simulation(spec, hooks).run()
}

/**
 * The event loop: requests arrive, schedulers decide, engines step, news travels. Engines are exact models; everything
 * that a scheduler learns comes to it as the same events that the live runtime sends.
 */
class Simulation {
  private readonly heap = new EventHeap()
  private readonly servers: Server[]
  private readonly schedulers: Scheduler[]
  private readonly wakeAtMs: Ms[]
  private readonly clients: Clients
  private readonly tally: Tally
  private readonly requests: SimulatedRequest[] = []
  private readonly backendIndex: ReadonlyMap<string, number>
  private readonly endMs: Ms
  private upcoming: SimulatedRequest
  private firstMeasured = 0
  private nowMs: Ms = 0

  constructor(private readonly spec: RunSpec, private readonly hooks: SimulationHooks) {
    const classes = serviceClasses(spec)
    const blockTokens = blockTokensOf(spec.workload)
    const backends: BackendSpec[] = spec.backends.map((backend, i) => ({ id: `b${i}`, pool: backend.pool, models: undefined, maxInflight: undefined, costPerHour: backend.costPerHour }))
    const fleet: FleetSpec = {
      classes,
      backends,
      pools: [...new Set(spec.backends.map(backend => backend.pool))].map((name, i) => ({ name, role: i === 0 ? 'latency' : 'throughput', mode: 'balanced' })),
    }
    this.backendIndex = new Map(backends.map((backend, i) => [backend.id, i]))
    this.servers = spec.backends.map((backend, i) => {
      const profile = withBlocks(profileOf(backend), blockTokens)
      return { id: `b${i}`, profile, nominalSpeed: backend.speed, speed: backend.speed, engine: newEngine(profile, backend.speed), up: true, outbox: new Outbox(), stepAtMs: Infinity }
    })
    const make = hooks.createScheduler ?? createScheduler
    this.schedulers = Array.from({ length: spec.gateways }, (_, g) => make({ policy: spec.policy, fleet, admission: spec.admission }, createRandom(`${spec.seed}/scheduler/${g}`), 0))
    this.wakeAtMs = this.schedulers.map(() => Infinity)
    this.endMs = spec.warmupMs + spec.measureMs
    this.clients = new Clients(openWorkload(spec.workload, spec.ratePerSecond, spec.seed), classes, spec.knowledge, blockTokens, spec.gateways, spec.seed)
    this.tally = new Tally(spec, classes, this.servers.map(server => server.profile))
    this.upcoming = this.clients.next(spec.warmupMs, this.endMs)
  }

  run(): RunResult {
    const { heap, spec } = this
    heap.push(this.upcoming.receivedAtMs, ARRIVAL, 0)
    heap.push(this.endMs, SCAN, 0)
    if (spec.reportMs > 0) heap.push(spec.reportMs, REPORT, 0)
    spec.incidents.forEach((incident, i) => {
      heap.push(incident.fromMs, INCIDENT_FROM, i)
      if (incident.untilMs < Infinity) heap.push(incident.untilMs, INCIDENT_TO, i)
    })
    while (heap.pop()) {
      this.nowMs = heap.timeMs
      if (heap.kind === SCAN) {
        if (!this.anyUndecided()) break
        heap.push(this.nowMs + SCAN_MS, SCAN, 0)
      } else this.on(heap.kind, heap.subject)
    }
    for (const request of this.requests) {
      if (!request.measured || request.ending !== undefined) continue
      request.endedAtMs = this.nowMs
      this.settle(request, 'failed')
    }
    return this.tally.result(this.schedulers.map(scheduler => scheduler.state(this.nowMs)), this.servers.map(server => server.engine.counters), this.requests.length)
  }

  private on(kind: number, subject: number): void {
    switch (kind) {
      case ARRIVAL: this.arrive(); break
      case SUBMIT: this.submit(this.requests[subject]!); break
      case STEP: if (this.servers[subject]!.stepAtMs === this.nowMs) this.step(subject); break
      case DELIVER: this.deliver(this.servers[subject]!); break
      case WAKE:
        if (this.wakeAtMs[subject] !== this.nowMs) break
        this.wakeAtMs[subject] = Infinity
        this.tell(subject, { type: 'tick' })
        break
      case REPORT: this.report(); break
      case INCIDENT_FROM: this.incidentFrom(subject); break
      case INCIDENT_TO: this.incidentTo(subject); break
      case NOTICE_DOWN: this.tellAll({ type: 'backend_state', backend: this.servers[subject]!.id, state: 'down' }); break
      case NOTICE_UP:
        this.tellAll({ type: 'backend_restarted', backend: this.servers[subject]!.id })
        this.tellAll({ type: 'backend_state', backend: this.servers[subject]!.id, state: 'up' })
        break
      case REFUSED: this.retry(this.requests[subject]!, this.servers[this.requests[subject]!.backendIndex]!.up ? 'backpressure' : 'fault')
    }
  }

  private arrive(): void {
    const request = this.upcoming
    this.requests.push(request)
    this.upcoming = this.clients.next(this.spec.warmupMs, this.endMs)
    if (this.nowMs < this.endMs + this.spec.cooldownMs) this.heap.push(this.upcoming.receivedAtMs, ARRIVAL, 0)
    this.tell(request.gateway, { type: 'arrival', request: request.spec })
  }

  private tell(gateway: number, event: SchedulerEvent): void {
    const decisions = this.schedulers[gateway]!.handle(event, this.nowMs)
    for (let i = 0; i < decisions.length; i++) this.carryOut(gateway, decisions[i]!)
  }

  private tellAll(event: SchedulerEvent): void {
    for (let g = 0; g < this.schedulers.length; g++) this.tell(g, event)
  }

  private carryOut(gateway: number, decision: Decision): void {
    if (decision.type === 'wake') {
      const atMs = Math.max(decision.atMs, this.nowMs)
      this.wakeAtMs[gateway] = atMs
      this.heap.push(atMs, WAKE, gateway)
      return
    }
    const request = this.requests[Number(decision.id)]!
    this.note(request, decision.why)
    this.hooks.onDecision?.(decision, request, this.nowMs)
    if (decision.type === 'dispatch') {
      const backend = this.backendIndex.get(decision.backend)
      if (backend === undefined) throw new Error(`the scheduler dispatched to "${decision.backend}", which is not in the fleet`)
      request.backend = decision.backend
      request.backendIndex = backend
      request.dispatchedAtMs = this.nowMs
      request.attempts++
      this.heap.push(this.nowMs + this.spec.networkMs, SUBMIT, request.index)
    } else {
      request.endedAtMs = this.nowMs
      request.refusedWithRoom = hasRoom(this.servers, request, this.nowMs, this.spec.networkMs)
      this.settle(request, decision.type === 'reject' ? 'rejected' : 'expired')
    }
  }

  private note(request: SimulatedRequest, why: Explanation): void {
    if (why.probe === true) request.probe = true
    if (why.wouldReject === true) request.wouldReject = true
  }

  private submit(request: SimulatedRequest): void {
    const index = request.backendIndex
    const server = this.servers[index]!
    request.sequence = server.up
      ? server.engine.submit({ promptTokens: request.promptTokens, outputTokens: request.trueOutputTokens, prefixHashes: request.source.prefixBlocks, tag: request }, this.nowMs)
      : undefined
    if (request.sequence === undefined) this.heap.push(this.nowMs + this.spec.networkMs, REFUSED, request.index)
    else if (server.stepAtMs === Infinity) this.step(index)
  }

  private step(index: number): void {
    const server = this.servers[index]!
    const { outbox } = server
    const { progressMs, networkMs } = this.spec
    const report = server.engine.step(this.nowMs)
    server.stepAtMs = report.endsAtMs
    if (report.endsAtMs < Infinity) this.heap.push(report.endsAtMs, STEP, index)
    const seenAtMs = this.nowMs + networkMs
    let news = 0
    for (let i = 0; i < report.emitted.length; i++) {
      const sequence = report.emitted[i]!
      const request = sequence.tag
      const tokens = sequence.generated
      noteLateness(request, request.targets, tokens, seenAtMs)
      request.outputTokens = tokens
      request.lastTokenAtMs = seenAtMs
      if (tokens === 1) {
        request.firstTokenAtMs = seenAtMs
        request.progressAtMs = this.nowMs + progressMs
        outbox.put(request, 1)
        news++
      } else if (this.nowMs >= request.progressAtMs || sequence.state === 'finished') {
        request.progressAtMs = this.nowMs + progressMs
        outbox.put(request, tokens)
        news++
      }
    }
    if (news === 0) return
    outbox.close()
    this.heap.push(seenAtMs, DELIVER, index)
  }

  /** The news of one step reaches the gateways. */
  private deliver(server: Server): void {
    const { outbox } = server
    for (let left = outbox.open(); left > 0; left--) {
      outbox.take()
      const request = outbox.request!
      if (request.ending !== undefined) continue
      const { id, gateway } = request
      if (outbox.tokens === 1) this.tell(gateway, { type: 'first_token', id })
      if (outbox.tokens === request.trueOutputTokens) {
        this.complete(request)
        continue
      }
      if (outbox.tokens > 1) this.tell(gateway, { type: 'progress', id, outputTokens: outbox.tokens })
    }
  }

  private complete(request: SimulatedRequest): void {
    request.endedAtMs = this.nowMs
    request.cachedTokens = request.sequence!.cachedTokens
    const usage: Usage = { promptTokens: request.promptTokens, cachedTokens: request.cachedTokens, outputTokens: request.trueOutputTokens }
    this.tally.completed(request.trueOutputTokens, this.nowMs)
    this.settle(request, 'completed')
    this.tell(request.gateway, { type: 'end', id: request.id, verdict: 'success', usage })
  }

  private retry(request: SimulatedRequest, verdict: 'backpressure' | 'fault'): void {
    this.forgetAttempt(request)
    if (request.attempts < MAX_ATTEMPTS) {
      this.tell(request.gateway, { type: 'retry', id: request.id, verdict })
      return
    }
    this.fail(request, verdict)
  }

  private fail(request: SimulatedRequest, verdict: 'backpressure' | 'fault'): void {
    request.endedAtMs = this.nowMs
    this.settle(request, 'failed')
    this.tell(request.gateway, { type: 'end', id: request.id, verdict })
  }

  private forgetAttempt(request: SimulatedRequest): void {
    request.lostPrefillTokens += request.sequence?.prefillWork ?? 0
    request.lostDecodeTokens += request.sequence?.decodeWork ?? 0
    request.sequence = undefined
    request.firstTokenAtMs = undefined
    request.outputTokens = 0
  }

  private settle(request: SimulatedRequest, ending: NonNullable<SimulatedRequest['ending']>): void {
    request.ending = ending
    if (!request.measured) return
    this.tally.add(request)
    this.hooks.onEnd?.(request)
  }

  private anyUndecided(): boolean {
    if (this.nowMs >= this.endMs + LAST_CALL_MS) return false
    for (let i = this.firstMeasured; i < this.requests.length; i++) {
      const request = this.requests[i]!
      if (request.measured && request.isUndecided(this.nowMs)) return true
      if (i === this.firstMeasured) this.firstMeasured++
    }
    return false
  }

  private report(): void {
    this.heap.push(this.nowMs + this.spec.reportMs, REPORT, 0)
    for (const server of this.servers) {
      if (!server.up) continue
      const { running, waiting, kvUsageRatio } = server.engine.gauges()
      this.tellAll({ type: 'engine_report', backend: server.id, report: { running, waiting, kvUsageRatio, kvCapacityTokens: server.profile.limits.kvCapacityTokens } })
    }
  }

  private incidentFrom(index: number): void {
    const incident = this.spec.incidents[index]!
    const server = this.servers[incident.backend]!
    if (incident.kind === 'slow') {
      this.setSpeed(server, server.nominalSpeed * incident.speed)
      return
    }
    server.up = false
    server.engine = newEngine(server.profile, server.speed)
    server.stepAtMs = Infinity
    server.outbox.clear()
    this.heap.push(this.nowMs + this.spec.detectMs, NOTICE_DOWN, incident.backend)
    for (const request of this.requests) {
      if (request.backendIndex !== incident.backend || request.ending !== undefined || request.sequence === undefined) continue
      // What has given tokens to its client cannot be begun again.
      if (request.firstTokenAtMs === undefined) this.retry(request, 'fault')
      else this.fail(request, 'fault')
    }
  }

  private setSpeed(server: Server, speed: number): void {
    server.speed = speed
    server.engine.setSpeed(speed)
  }

  private incidentTo(index: number): void {
    const incident = this.spec.incidents[index]!
    const server = this.servers[incident.backend]!
    if (incident.kind === 'slow') this.setSpeed(server, server.nominalSpeed)
    else {
      server.up = true
      this.heap.push(this.nowMs + this.spec.detectMs, NOTICE_UP, incident.backend)
    }
  }
}

function newEngine(profile: EngineProfile, speed: number): EngineModel<SimulatedRequest> {
  return new EngineModel<SimulatedRequest>({ profile, speed })
}

/** The engine's prefix blocks are as long as the workload's. */
function withBlocks(profile: EngineProfile, blockTokens: number | undefined): EngineProfile {
  return blockTokens === undefined ? profile : { ...profile, limits: { ...profile.limits, prefixBlockTokens: blockTokens } }
}
