import { Admission } from './admission/admission.js'
import { forecast } from './admission/feasibility.js'
import { retryAfterMs } from './admission/retry-after.js'
import { ById } from './by-id.js'
import type { Decision, Explanation, FleetSpec, Scheduler, SchedulerEvent, SchedulerOptions, SchedulerState } from './events.js'
import { Figures } from './figures.js'
import { Fleet } from './fleet.js'
import { Knowledge } from './knowledge.js'
import type { Backend } from './ledger/backend.js'
import { Lease } from './ledger/lease.js'
import { OpenBackends, returnable, servable } from './open-backends.js'
import { inOrder } from './ordering/class-order.js'
import type { Lane, Prospect } from './ordering/lane.js'
import { WaitingRoom } from './ordering/waiting-room.js'
import type { Placement } from './placement/placement.js'
import { createPlacement } from './placement/registry.js'
import { TrackedRequest } from './request.js'
import { schedulerState } from './state.js'
import type { AttemptVerdict, BackendId, BackendState, Ms, Random, RefusalReason, RequestId, RequestSpec, ServiceClass, Usage } from './types.js'

/** How soon to look again at what is held for a reason that time alone may end. */
const LOOK_AGAIN_MS = 20
/** How long sheddable work is refused after a request that may not be shed was found infeasible. */
const SHED_MS = 1000
/** How many that wait for a warm backend, or came back and may not go everywhere, others of their lane may pass, */
const MAX_PASSED_CHOOSY = 16
/** and how many that wait for any, where somebody watches; batch work is not filled into every gap. */
const MAX_PASSED = 3
/** A head's forecast holds for so long. */
const FORECAST_MS = 5

export function createScheduler(options: SchedulerOptions, random: Random, nowMs: Ms): Scheduler {
  return new SloScheduler(options, random, nowMs)
}

/**
 * Owns every request from its arrival to its end, and asks others to judge: which backends are open, where the policy puts
 * a request, what it costs. One pass over the heads of the lanes follows every event that may have changed an answer.
 */
class SloScheduler implements Scheduler {
  readonly #options: SchedulerOptions
  readonly #random: Random
  readonly #fleet: Fleet
  readonly #placement: Placement
  readonly #admission: Admission
  readonly #knowledge = new Knowledge()
  readonly #waiting: WaitingRoom
  readonly #order: Lane[] = []
  readonly #requests = new ById<TrackedRequest>()
  readonly #open = new OpenBackends()
  /** Only the SLO policy refuses or puts back what cannot make its targets. */
  readonly #judges: boolean
  #decisions: Decision[] = []
  /** Backends that may take what they turned down before: one, all or none. */
  #changed: Backend | 'all' | 'none' = 'all'
  #sequence = 0
  /** Until when sheddable work is refused. */
  #shedUntilMs: Ms = -Infinity
  #nowMs: Ms
  /** When the driver will call back by itself. */
  #wakeAtMs: Ms = Infinity
  /** When something that is held is worth another look although nothing happens. */
  #lookAgainAtMs: Ms = Infinity

  constructor(options: SchedulerOptions, random: Random, nowMs: Ms) {
    this.#options = options
    this.#random = random
    this.#fleet = new Fleet(options.fleet)
    this.#waiting = new WaitingRoom(this.#fleet)
    this.#placement = createPlacement(options.policy, { random, fleet: this.#fleet })
    this.#admission = new Admission(options.admission, random)
    this.#judges = options.policy === 'slo' && options.admission.mode !== 'off'
    this.#nowMs = nowMs
  }

  handle(event: SchedulerEvent, nowMs: Ms): readonly Decision[] {
    this.#nowMs = Math.max(this.#nowMs, nowMs)
    this.#decisions = []
    this.#changed = changedBy(event, this.#requests)
    if (this.#wakeAtMs <= this.#nowMs) this.#wakeAtMs = Infinity
    switch (event.type) {
      case 'arrival': this.#arrive(event.request); break
      case 'first_token': this.#requests.get(event.id)?.lease?.firstToken(this.#nowMs); break
      case 'progress': this.#progress(event.id, event.outputTokens); break
      case 'retry': this.#retry(event.id, event.verdict, event.retryAfterMs, event.continuesUntilMs); break
      case 'end': this.#end(event.id, event.verdict, event.usage, event.retryAfterMs); break
      case 'cancel': this.#end(event.id, 'cancelled', undefined, undefined); break
      case 'backend_state': this.#backendState(event.backend, event.state, event.inflightLimit); break
      case 'backend_restarted': this.#fleet.backends.get(event.backend)?.restarted(); break
      case 'engine_report': this.#fleet.backends.get(event.backend)?.reported(event.report, this.#nowMs); break
      case 'pool_mode': this.#fleet.setPoolMode(event.pool, event.mode); break
      case 'configure': this.#configure(event.fleet); break
      // The alarm has rung, if only a fraction of a millisecond early: it is used up, and what is still to come needs another one.
      case 'tick': this.#wakeAtMs = Infinity; break
    }
    this.#expire()
    if (event.type !== 'progress') this.#dispatch()
    if (event.type === 'arrival') this.#settle(event.request.id)
    if (event.type === 'retry') this.#settle(event.id)
    this.#wake()
    return this.#decisions
  }

  state(nowMs: Ms): SchedulerState {
    return schedulerState(this.#options, this.#admission, this.#fleet, this.#waiting.drain, Math.max(nowMs, this.#nowMs))
  }

  #arrive(spec: RequestSpec): void {
    if (this.#requests.has(spec.id)) {
      throw new Error(`scheduler: a request with id "${spec.id}" has arrived already and has not ended; give every request its own id`)
    }
    const serviceClass = this.#fleet.class(spec.class)
    const request = new TrackedRequest(spec, serviceClass, this.#sequence++, this.#knowledge.promptTokens(spec), this.#knowledge.lengths(spec.class), this.#knowledge.tokenMs(spec.class), this.#nowMs)
    const lane = this.#fleet.lane(serviceClass, spec.model)
    if (!servable(request, lane)) {
      this.#refuse('reject', request, lane.tiers.length > 0 || this.#fleet.backends.size === 0 ? 'no_healthy_backend' : 'model_not_found')
      return
    }
    if (this.#sheds(serviceClass)) {
      this.#refuse('reject', request, 'shed_lower_class')
      return
    }
    this.#requests.set(spec.id, request)
    this.#waiting.enter(request, lane, this.#nowMs)
  }

  /** A class that may be shed, and has work waiting already, goes first when classes that may not be are losing requests. */
  #sheds({ name, sheddable }: ServiceClass): boolean {
    return sheddable && this.#nowMs < this.#shedUntilMs && this.#waiting.queued(name) > 0 && this.#admission.effectiveMode(this.#nowMs) === 'enforce'
  }

  #progress(id: RequestId, outputTokens: number): void {
    const lease = this.#requests.get(id)?.lease
    if (lease === undefined) return
    lease.backend.timeDecode(lease, outputTokens, this.#nowMs)
    lease.progress(outputTokens, this.#nowMs)
  }

  #retry(id: RequestId, verdict: AttemptVerdict, retryAfter: Ms | undefined, continuesUntilMs: Ms | undefined): void {
    const request = this.#requests.get(id)
    const lease = request?.lease
    if (request === undefined || lease === undefined) return
    this.#release(request, verdict, retryAfter)
    const lane = this.#fleet.lane(request.class, request.spec.model)
    request.failedOn(lease.backend.spec.id, this.#nowMs)
    // An engine that merely had enough may be asked again when nobody else is left.
    if (verdict === 'backpressure' && !servable(request, lane)) request.forgiveLatest()
    request.key = -Infinity
    if (continuesUntilMs !== undefined) {
      // The rest is owed, whatever the targets; the wait for it is counted from now.
      request.continues = true
      request.forecastUntilMs = Infinity
      this.#waiting.unwatch(request)
      request.expiresAtMs = Math.min(this.#nowMs + request.class.maxQueueMs, continuesUntilMs)
    }
    this.#waiting.enter(request, lane, this.#nowMs)
    if (!this.#mayWait(request, lane)) this.#leave(request, 'no_healthy_backend')
  }

  /** Is there anybody to wait for? Where all that are left have failed the request, they are forgiven. */
  #mayWait(request: TrackedRequest, lane: Lane): boolean {
    if (servable(request, lane)) return true
    // Some may be well again: whoever did not fail it last.
    if (request.attempts > 0) request.forgive(1)
    if (servable(request, lane) || !request.continues) return servable(request, lane)
    // Part of an answer is no use to its client: even who broke it last may go on, and who is down may return in time.
    request.forgive(0)
    return returnable(request, lane)
  }

  #end(id: RequestId, verdict: AttemptVerdict, usage: Usage | undefined, retryAfter: Ms | undefined): void {
    const request = this.#requests.get(id)
    if (request === undefined) return
    const { lease } = request
    if (lease !== undefined) {
      if (verdict === 'success') this.#succeeded(lease, usage)
      this.#fleet.shares.charge(request.spec.tenant, 0, usage?.outputTokens ?? lease.outputTokens)
      this.#release(request, verdict, retryAfter)
    } else this.#waiting.leave(request, false, this.#nowMs)
    this.#requests.delete(id)
  }

  #succeeded(lease: Lease, usage: Usage | undefined): void {
    const outputTokens = usage?.outputTokens ?? lease.outputTokens
    lease.backend.provenAtMs = Math.max(lease.backend.provenAtMs, lease.dispatchedAtMs)
    lease.backend.timeDecode(lease, outputTokens, this.#nowMs)
    this.#knowledge.completed(lease, usage, this.#nowMs)
    const { request } = lease
    if (request.targeted) this.#fleet.minShares.ended(request.class, request.hopeful, lease.metTargets(usage, this.#nowMs), lease.dispatchedAtMs, this.#nowMs)
    if (request.probe) this.#admission.probeEnded(lease, usage, this.#nowMs)
  }

  #release(request: TrackedRequest, verdict: AttemptVerdict, retryAfter: Ms | undefined): void {
    const lease = request.lease as Lease
    lease.release(this.#nowMs)
    request.lease = undefined
    if (verdict === 'backpressure') lease.backend.backpressure.refused(lease.backend.requests, retryAfter, this.#nowMs)
  }

  #backendState(id: BackendId, state: BackendState, probeLimit: number | undefined): void {
    const backend = this.#fleet.backends.get(id)
    if (backend === undefined) return
    backend.state = state
    backend.probe(probeLimit)
    if (state === 'down' || state === 'draining') this.#expireUnservable()
  }

  #configure(spec: FleetSpec): void {
    const waiting = this.#fleet.lanes.flatMap((lane) => [...lane.drain()])
    this.#fleet.configure(spec)
    const names = new Set(this.#fleet.classes.keys())
    this.#knowledge.keepOnly(names)
    this.#fleet.minShares.keepOnly(names)
    for (const request of waiting) this.#fleet.lane(request.class, request.spec.model, request.prospect).push(request)
    this.#expireUnservable()
  }

  #expireUnservable(): void {
    for (const lane of this.#fleet.lanes) {
      const head = lane.head()
      if (head === undefined) continue
      for (const request of [...lane.waiting()]) {
        if (!this.#mayWait(request, lane)) this.#leave(request, 'no_healthy_backend')
      }
    }
  }

  #expire(): void {
    for (let next = this.#waiting.nextExpiry(); next !== undefined && next.expiresAtMs <= this.#nowMs; next = this.#waiting.nextExpiry()) {
      this.#leave(next, 'queue_expired')
    }
  }

  #dispatch(): void {
    this.#lookAgainAtMs = Infinity
    if (this.#waiting.size === 0) return
    for (const backend of this.#fleet.backends.values()) backend.settle(this.#nowMs)
    for (const lane of inOrder(this.#fleet.lanes, this.#nowMs, this.#order)) this.#dispatchLane(lane)
  }

  /** Up to a few that must stay where they are do not hold up those behind them. */
  #dispatchLane(lane: Lane): void {
    let passed = 0
    for (let head = lane.head(); head !== undefined; head = lane.head()) {
      if (this.#dispatchHead(head, lane)) continue
      if (++passed > mayBePassed(head)) break
      lane.setAside(head)
    }
    if (passed > 0) lane.restore()
  }

  /** `false` if it stays where it is. */
  #dispatchHead(request: TrackedRequest, lane: Lane): boolean {
    if (this.#judges && !this.#admit(request, lane)) return true
    const backend = this.#choose(request, lane)
    if (backend === undefined) {
      this.#lookAgainAtMs = Math.min(this.#lookAgainAtMs, request.askAllAtMs)
      return false
    }
    request.hopeful = request.prospect === 'good' && this.#nowMs < request.dueAtMs
    this.#waiting.leave(request, request.hopeful, this.#nowMs)
    request.attempts++
    request.lease = new Lease(request, backend, this.#nowMs)
    this.#fleet.shares.charge(request.spec.tenant, request.promptTokens, 0)
    this.#decisions.push({ type: 'dispatch', id: request.spec.id, backend: backend.spec.id, why: this.#why(request, backend.spec.id) })
    return true
  }

  /** What all backends turned down a moment ago is offered to the one that has changed since. */
  #choose(request: TrackedRequest, lane: Lane): Backend | undefined {
    const changed = this.#changed
    const known = changed !== 'all' && this.#nowMs < request.askAllAtMs
    if (known && changed === 'none') return undefined
    // Who waits for a warm backend compares it with all others.
    const only = known && changed !== 'none' && request.heldBy !== 'warm_backend' ? changed : undefined
    const { reach } = this.#placement
    const open = only === undefined ? this.#open.find(request, lane, reach, this.#nowMs) : this.#open.findOne(request, lane, reach, only, this.#nowMs)
    const backend = open.length === 0 ? undefined : this.#placement.place(request, open, this.#nowMs)
    if (backend !== undefined || only !== undefined) return backend
    if (open.length === 0) request.heldBy = this.#open.heldBy
    request.askAllAtMs = Math.min(this.#nowMs + LOOK_AGAIN_MS, this.#open.resumesAtMs)
    return undefined
  }

  /** Feasibility at the head of the queue, with the time waited taken off. `false` if it left its place. */
  #admit(request: TrackedRequest, lane: Lane): boolean {
    if (request.prospect === 'none' || request.probe || this.#nowMs < request.forecastUntilMs) return true
    request.forecastUntilMs = this.#nowMs + FORECAST_MS
    const { verdict, ttftMs, optimisticTtftMs, likely } = forecast(request, lane, this.#nowMs)
    request.verdict = verdict
    request.predicted(ttftMs, ttftMs - optimisticTtftMs)
    if (verdict === 'infeasible') return this.#infeasible(request, lane)
    if (likely || request.prospect === 'doubtful') return true
    this.#putBack(request, lane, 'doubtful')
    return false
  }

  #infeasible(request: TrackedRequest, lane: Lane): boolean {
    request.wouldReject = true
    if (!request.class.sheddable) this.#shedUntilMs = this.#nowMs + SHED_MS
    const treatment = this.#admission.treat(request, this.#nowMs)
    if (treatment === 'probe') {
      request.probe = true
      this.#putBack(request, lane, 'probe')
    } else if (treatment === 'best_effort') this.#putBack(request, lane, 'none')
    else this.#leave(request, 'deadline_infeasible', request.queuedAtMs === this.#nowMs ? 'reject' : 'expire', forecast(request, lane, this.#nowMs, 0).verdict !== 'infeasible')
    return false
  }

  #putBack(request: TrackedRequest, lane: Lane, prospect: Prospect): void {
    lane.remove(request)
    request.prospect = prospect
    this.#fleet.lane(request.class, request.spec.model, prospect).push(request)
  }

  /** What was not dispatched at once waits, if there is room; what comes back from an attempt has its place already. */
  #settle(id: RequestId): void {
    const request = this.#requests.get(id)
    if (request?.lane === undefined) return
    if (request.attempts === 0 && this.#waiting.queued(request.class.name) > request.class.queueLimit) {
      this.#waiting.leave(request, false, this.#nowMs)
      this.#requests.delete(id)
      this.#refuse('reject', request, 'queue_full')
      return
    }
    this.#waiting.watch(request)
  }

  /** Out of the queue unserved. `anewCouldMeet`: is it out of reach only for the time that it has waited? */
  #leave(request: TrackedRequest, reason: RefusalReason, type: 'reject' | 'expire' = 'expire', anewCouldMeet = true): void {
    this.#waiting.leave(request, false, this.#nowMs)
    this.#requests.delete(request.spec.id)
    this.#refuse(type, request, reason, anewCouldMeet)
  }

  #refuse(type: 'reject' | 'expire', request: TrackedRequest, reason: RefusalReason, anewCouldMeet = true): void {
    const { name } = request.class
    const { receivedAtMs, targets: { deadlineMs } } = request.spec
    const afterMs = reason === 'model_not_found' ? undefined : retryAfterMs(this.#waiting.queued(name), this.#waiting.drainRate(name, this.#nowMs).perSecond(this.#nowMs), this.#random)
    this.#decisions.push({
      type, id: request.spec.id, reason,
      retryAfterMs: afterMs,
      retryCanMeet: anewCouldMeet && afterMs !== undefined && (deadlineMs === undefined || this.#nowMs + afterMs < receivedAtMs + deadlineMs),
      why: this.#why(request, undefined),
    })
  }

  /** The figures of this decision: of the placement where there is one, else of the forecast. */
  #why(request: TrackedRequest, chosen: BackendId | undefined): Explanation {
    return new Figures(this.#options.policy, request, this.#nowMs, chosen, chosen === undefined ? undefined : this.#placement.figures)
  }

  /** Asks for a call at the next time that matters, unless one is due by then already. */
  #wake(): void {
    const atMs = Math.min(this.#waiting.nextExpiry()?.expiresAtMs ?? Infinity, this.#lookAgainAtMs)
    if (atMs === Infinity || atMs === this.#wakeAtMs) return
    this.#wakeAtMs = atMs
    this.#decisions.push({ type: 'wake', atMs })
  }
}

/** Which backends an event may have made readier to take work. */
function changedBy(event: SchedulerEvent, requests: ById<TrackedRequest>): Backend | 'all' | 'none' {
  switch (event.type) {
    case 'arrival':
    case 'tick':
    case 'progress': return 'none'
    case 'first_token':
    case 'end':
    case 'cancel':
    case 'retry': return requests.get(event.id)?.lease?.backend ?? 'none'
    default: return 'all'
  }
}

function mayBePassed({ heldBy, interactive, attempts }: TrackedRequest): number {
  if (heldBy === 'warm_backend' || attempts > 0) return MAX_PASSED_CHOOSY
  return interactive ? MAX_PASSED : 0
}
