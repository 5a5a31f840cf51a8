import { OPTIMISTIC } from '../../estimation/backend-model.js'
import type { Explanation } from '../../events.js'
import type { Fleet } from '../../fleet.js'
import type { Backend } from '../../ledger/backend.js'
import type { HeldBy, TrackedRequest } from '../../request.js'
import type { Ms } from '../../types.js'
import type { Placement, PlacementContext } from '../placement.js'
import { predictedTpotMs, keepsPace, stepMs } from './pace.js'
import { TUNING } from './tuning.js'

/** Targets given by header keep the guards up this long after the last of them was seen. */
const TARGETS_REMEMBERED_MS = 60_000
/** A warm backend is worth the wait if it costs less than this share of the best that is free, */
const WARM_ADVANTAGE = 0.8
/** and still answers within this share of the time left. */
const WARM_TTFT_SHARE = 0.8
/** What a backend of a pool further down the class's list costs more, per step. */
const BORROWING_COST = 0.25
/** What a backend in a pool for the other kind of work costs more. */
const FOREIGN_ROLE_COST = 0.1
/** Work that has time leaves this share of the tolerated loss, and of the pace, to work that has not; all of it while more than half of its time is left. */
const PATIENT_LOSS = 0.9
const PATIENT_PACE = 0.4
/** Expected misses that a class may cost others which is owed all that it can be. */
const OWED_LOSS = 1.5
/** KV cache in use from which an engine is about to preempt. */
const KV_FULL = 0.97

/**
 * Just-in-time dispatch under a TPOT-slack guard. A backend gets its next prefill when the previous one has answered, and only if no
 * stream that runs there would miss its target by it; among the backends that may take a request, the one where it comes off
 * best. A request may wait for a busy backend that holds its prefix.
 */
export function slo(context: PlacementContext): Placement {
  return new SloPlacement(context.fleet)
}

class SloPlacement implements Placement {
  readonly reach = 'all'
  figures: Partial<Explanation> = {}
  readonly #fleet: Fleet
  #targetsSeenAtMs: Ms = -Infinity

  constructor(fleet: Fleet) {
    this.#fleet = fleet
  }

  place(request: TrackedRequest, open: readonly Backend[], nowMs: Ms): Backend | undefined {
    if (request.interactive) this.#targetsSeenAtMs = nowMs
    const unguarded = request.spec.kind === 'scored' || (!this.#fleet.targeted && nowMs - this.#targetsSeenAtMs > TARGETS_REMEMBERED_MS)
      || (!request.interactive && request.class.batchMode === 'shared')
    if (unguarded) return this.#leastLoaded(request, open)
    if (!request.interactive && request.class.batchMode === 'hold' && this.#fleet.interactiveQueued > 0) return this.#hold(request, 'class_order')
    return this.#placeGuarded(request, open, nowMs)
  }

  /** Nothing to protect: the least work outstanding, in the request's own pools first. */
  #leastLoaded(request: TrackedRequest, open: readonly Backend[]): Backend {
    let best = open[0] as Backend
    let least = Infinity
    for (const backend of open) {
      const load = (1 + this.#poolCost(request, backend)) * (1 + backend.streams) + backend.prefillTokens * 1e-6
      if (load < least) {
        best = backend
        least = load
      }
    }
    this.figures = {}
    return best
  }

  #placeGuarded(request: TrackedRequest, open: readonly Backend[], nowMs: Ms): Backend | undefined {
    let best: Backend | undefined
    let bestScore = Infinity
    let bestCost = Infinity
    let runnerUp: Backend | undefined
    let runnerUpScore = Infinity
    let warm: Backend | undefined
    let warmCost = Infinity
    /** It could take the request now, and competes by score: there is nothing to wait for. */
    let warmIsFree = false
    let heldBy: HeldBy = 'prefill_in_flight'
    const leftMs = Math.max(1, request.dueAtMs - nowMs)
    const patience = this.#patience(request, leftMs, nowMs)
    const owed = request.interactive ? this.#fleet.minShares.owed(request.class, nowMs) : 0
    const cacheable = request.spec.prefixHashes.length > 0
    for (const backend of open) {
      const uncached = cacheable ? backend.uncachedTokens(request) : request.promptTokens
      const workMs = backend.model.prefillWorkMs(uncached)
      const backlogMs = backend.backlogMs(nowMs)
      const hopedMs = backend.model.hopedPrefillWorkMs(uncached, nowMs)
      const cost = backlogMs + 2 * hopedMs
      if (cacheable && cost < warmCost) {
        warm = backend
        warmCost = cost
        warmIsFree = false
      }
      const tuning = TUNING[backend.poolMode]
      if (backend.prefills.length > 0 && backlogMs + workMs > tuning.windowMs) continue
      const step = stepMs(backend, 1, request.promptTokens)
      let loss = 0
      if (backend.requests > 0) {
        if (this.#isFull(backend, request)) {
          heldBy = 'concurrency'
          continue
        }
        if (!keepsPace(backend, request, step, tuning.pace * (1 - PATIENT_PACE * patience), nowMs)) {
          heldBy = 'tpot'
          continue
        }
        loss = this.#loss(backend, workMs, backlogMs, nowMs)
        if (loss > (tuning.maxLoss + owed * Math.max(0, OWED_LOSS - tuning.maxLoss)) * (1 - PATIENT_LOSS * patience)) {
          heldBy = 'slack_guard'
          continue
        }
      }
      if (backend === warm) warmIsFree = true
      const ttftMs = backlogMs + hopedMs + (backend.prefills.length === 0 ? backend.model.hopedPrefillBaseMs(nowMs) : 0)
      const tpot = request.tpotMs
      const tpotCost = tpot < Infinity ? 2 * predictedTpotMs(step, backend.prefill.share(nowMs), tpot, request.lengths.mean()) / tpot : 0
      const score = ttftMs / leftMs + tpotCost + loss + this.#poolCost(request, backend) + backend.streams * 1e-6
      if (score < bestScore) {
        runnerUp = best
        runnerUpScore = bestScore
        best = backend
        bestScore = score
        bestCost = cost
      } else if (score < runnerUpScore) {
        runnerUp = backend
        runnerUpScore = score
      }
    }
    if (best === undefined) return this.#hold(request, heldBy)
    if (warm !== undefined && !warmIsFree && warmCost < WARM_ADVANTAGE * bestCost && this.#worthWaitingFor(warm, request, leftMs, nowMs)) {
      return this.#hold(request, 'warm_backend')
    }
    this.#explain(request, best, bestScore, runnerUp, runnerUpScore, nowMs)
    return best
  }

  /** How much of the tolerances it leaves to work that has no time, 0–1: by the time that it has, and by how far its class is ahead of all others. */
  #patience(request: TrackedRequest, leftMs: Ms, nowMs: Ms): number {
    if (request.interactive) return 0
    if (request.prospect === 'doubtful') return 1
    const byTime = 2 * leftMs / (request.dueAtMs - request.spec.receivedAtMs) - 1
    return Math.max(0, byTime, this.#fleet.minShares.ahead(request.class, nowMs))
  }

  #loss(backend: Backend, workMs: Ms, backlogMs: Ms, nowMs: Ms): number {
    const { slack } = backend
    if (slack.stale) {
      const step = stepMs(backend, 0, 0)
      slack.refresh(backend.pacedStreams, backend.prefill.doneMs, step, stepMs(backend, 1, 0) - step, nowMs)
    }
    return slack.loss(backlogMs + workMs) - slack.loss(backlogMs)
  }

  #isFull(backend: Backend, request: TrackedRequest): boolean {
    const { capacityTokens, contextTokens, kvUsageRatio } = backend.foreign
    if (capacityTokens !== undefined) return backend.contextTokens + contextTokens + request.promptTokens > capacityTokens
    return kvUsageRatio !== undefined && kvUsageRatio >= KV_FULL
  }

  #worthWaitingFor(warm: Backend, request: TrackedRequest, leftMs: Ms, nowMs: Ms): boolean {
    if (request.dueAtMs <= nowMs) return false
    const workMs = warm.model.prefillWorkMs(warm.uncachedTokens(request))
    const backlogMs = warm.backlogMs(nowMs)
    if (backlogMs + workMs > WARM_TTFT_SHARE * leftMs) return false
    return this.#loss(warm, workMs, backlogMs, nowMs) <= TUNING[warm.poolMode].maxLoss
  }

  /** Borrowing is allowed in every direction, and costs a little: the own pools are taken first while they are as good. */
  #poolCost(request: TrackedRequest, backend: Backend): number {
    const { pools } = request.class
    if (pools.length > 0) return BORROWING_COST * pools.indexOf(backend.spec.pool)
    return backend.poolRole === (request.interactive ? 'latency' : 'throughput') ? 0 : FOREIGN_ROLE_COST
  }

  #hold(request: TrackedRequest, heldBy: HeldBy): undefined {
    request.heldBy = heldBy
  }

  #explain(request: TrackedRequest, best: Backend, score: number, runnerUp: Backend | undefined, runnerUpScore: number, nowMs: Ms): void {
    const uncachedTokens = best.uncachedTokens(request)
    const prefillMs = best.model.prefillMs(uncachedTokens)
    const ttftMs = nowMs - request.spec.receivedAtMs + best.backlogMs(nowMs) + prefillMs
    this.figures = {
      uncachedTokens,
      predictedTtftMs: ttftMs,
      predictedTtftErrorMs: prefillMs - best.model.prefillQuantileMs(uncachedTokens, OPTIMISTIC),
      predictedTpotMs: predictedTpotMs(stepMs(best, 1, request.promptTokens), best.prefill.share(nowMs), request.tpotMs, request.lengths.mean()),
      score,
      ...runnerUp !== undefined && { runnerUp: runnerUp.spec.id, runnerUpScore },
    }
  }
}

