import type { AdmissionMode, SchedulerOptions } from '../events.js'
import type { Lease } from '../ledger/lease.js'
import type { TrackedRequest } from '../request.js'
import type { Ms, Random, Usage } from '../types.js'
import { FalseRejections } from './false-rejections.js'

/** What becomes of a request that can't make its targets. */
export type Treatment = 'reject' | 'best_effort' | 'probe'

/** Decides what a verdict `infeasible` leads to, and measures how often it was wrong. */
export class Admission {
  readonly #options: SchedulerOptions['admission']
  readonly #random: Random
  readonly #false: FalseRejections

  constructor(options: SchedulerOptions['admission'], random: Random) {
    this.#options = options
    this.#random = random
    this.#false = new FalseRejections(options.maxFalseRejectionRatio)
  }

  /** `enforce` is `observe` while too many rejections were wrong. */
  effectiveMode(nowMs: Ms): AdmissionMode {
    return this.#options.mode === 'enforce' && this.#false.tripped(nowMs) ? 'observe' : this.#options.mode
  }

  /** For a request found infeasible, once. A probe keeps its place as if it had not been. */
  treat(request: TrackedRequest, nowMs: Ms): Treatment {
    if (this.#random.next() < this.#options.probeShare) return 'probe'
    return this.effectiveMode(nowMs) === 'enforce' && request.class.onInfeasible === 'reject' ? 'reject' : 'best_effort'
  }

  /** A probe ended by itself. */
  probeEnded(lease: Lease, usage: Usage | undefined, nowMs: Ms): void {
    this.#false.measured(lease.metTargets(usage, nowMs), nowMs)
  }

  counts(): { probed: number, wouldHaveMet: number } {
    const { probed, wouldHaveMet } = this.#false
    return { probed, wouldHaveMet }
  }
}
