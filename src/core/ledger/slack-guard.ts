import type { Ms } from '../types.js'
import type { Lease } from './lease.js'

/** Streams whose limits are kept, smallest first; more than any LOSSMAX lets pass. */
const KEPT = 24
/** What a stream counts for that would be left with less than half of its slack. */
const AT_RISK = 0.15

/**
 * How much standstill the streams of one backend bear before they miss their TPOT targets.
 *
 * A stream of which `L` tokens are expected in all has `tpot · (L − 1) − elapsed − (L − generated) · step` to spare. As long as
 * it runs at the predicted step that does not change with time, so it is computed when a stream reports, and not when asked.
 */
export class SlackGuard {
  readonly #lost = new Float64Array(KEPT)
  readonly #atRisk = new Float64Array(KEPT)
  #count = 0
  #stale = true

  /** Something changed: a stream came, went or reported, or prefill delayed them all. */
  invalidate(): void {
    this.#stale = true
  }

  /**
   * Expected number of streams that are pushed over their target by `workMs` of prefill on top of `backlogMs`: 1 for each that
   * certainly is, 0.15 for each that would be left with less than half. Streams that are over it already count nothing.
   * `stepMs` is the decode step now, `growthMs` what one more stream adds to it.
   */
  loss(streams: readonly Lease[], prefillDoneMs: Ms, stepMs: Ms, growthMs: Ms, workMs: Ms, backlogMs: Ms): number {
    if (this.#stale) this.#refresh(streams, prefillDoneMs, stepMs, growthMs)
    let loss = 0
    for (let i = 0; i < this.#count; i++) {
      if (workMs > this.#lost[i]! - backlogMs) loss += 1 - AT_RISK
      else break
    }
    for (let i = 0; i < this.#count; i++) {
      if (workMs > this.#atRisk[i]! - backlogMs / 2) loss += AT_RISK
      else break
    }
    return loss
  }

  #refresh(streams: readonly Lease[], prefillDoneMs: Ms, stepMs: Ms, growthMs: Ms): void {
    this.#stale = false
    this.#count = 0
    for (let i = 0; i < streams.length; i++) {
      const lease = streams[i] as Lease
      if (lease.tpotMs === Infinity) continue
      const { remainingTokens } = lease
      const slackMs = lease.tpotMs * (lease.outputTokens - 1 + remainingTokens) - (lease.progressAtMs - lease.firstTokenAtMs!)
        - remainingTokens * stepMs - (prefillDoneMs - lease.prefillSeenMs)
      if (slackMs < 0) continue
      const growth = remainingTokens * growthMs
      insert(this.#lost, this.#count, slackMs - growth)
      insert(this.#atRisk, this.#count, slackMs / 2 - growth)
      if (this.#count < KEPT) this.#count++
    }
  }
}

/** Keeps the smallest values of `sorted[0, count)` and `value`, in order. */
function insert(sorted: Float64Array, count: number, value: number): void {
  let at = count
  if (count === KEPT) {
    if (value >= sorted[KEPT - 1]!) return
    at = KEPT - 1
  }
  while (at > 0 && sorted[at - 1]! > value) {
    sorted[at] = sorted[at - 1]!
    at--
  }
  sorted[at] = value
}
