import type { Ms } from '../types.js'
import { LENGTH_SHARES, type Lease } from './lease.js'

/** Delays for which the loss is kept: `FIRST_MS · RATIO^i`. */
const FIRST_MS = 4
const RATIO = 1.25
const STEPS = 32
const LOG_RATIO = Math.log(RATIO)
/**
 * What a standstill would do to the streams of one backend, as the number of streams that it is expected to push over their
 * TPOT target.
 *
 * How much a stream can bear depends on how long it will be, which nobody knows: one of `L` tokens in all has
 * `tpot · (L − 1) − elapsed − (L − generated) · step` to spare. So every stream counts with the share of lengths (of its class, given
 * what it has generated) that would miss by the standstill and would not miss without. As long as a stream runs at the
 * predicted step its spare time does not change with time, so all is computed when a stream reports, and not when asked.
 */
export class SlackGuard {
  /** `#misses[i]` = expected misses by a standstill of `FIRST_MS · RATIO^i`. */
  readonly #misses = new Float64Array(STEPS + 1)
  #stale = true

  /** Something changed: a stream came, went or reported, or prefill delayed them all. */
  invalidate(): void {
    this.#stale = true
  }

  get stale(): boolean {
    return this.#stale
  }

  /** `stepMs` is the decode step now, `growthMs` what one more stream adds to it. */
  refresh(prefills: readonly Lease[], decodes: readonly Lease[], prefillDoneMs: Ms, stepMs: Ms, growthMs: Ms): void {
    this.#stale = false
    const misses = this.#misses.fill(0)
    for (let i = 0; i < decodes.length; i++) {
      const lease = decodes[i] as Lease
      if (lease.tpotMs < Infinity) this.#add(lease, lease.progressAtMs - lease.firstTokenAtMs! + prefillDoneMs - lease.prefillSeenMs, stepMs, growthMs)
    }
    for (let i = 0; i < prefills.length; i++) {
      const lease = prefills[i] as Lease
      if (lease.tpotMs < Infinity) this.#add(lease, 0, stepMs, growthMs)
    }
    for (let i = 1; i <= STEPS; i++) misses[i]! += misses[i - 1]!
  }

  /** Expected misses by a standstill of `delayMs`. */
  loss(delayMs: Ms): number {
    if (delayMs < FIRST_MS) return this.#misses[0]!
    const at = Math.log(delayMs / FIRST_MS) / LOG_RATIO
    const below = Math.floor(at)
    if (below >= STEPS - 1) return this.#misses[STEPS]!
    return this.#misses[below]! + (at - below) * (this.#misses[below + 1]! - this.#misses[below]!)
  }

  #add(lease: Lease, elapsedMs: Ms, stepMs: Ms, growthMs: Ms): void {
    const generated = Math.max(1, lease.outputTokens)
    const { lengths, tpotMs } = lease
    for (let q = 0; q < lengths.length; q++) {
      const length = lengths[q]!
      // One token has no time per token; nothing can be missed.
      if (length < 2) continue
      const spareMs = tpotMs * (length - 1) - elapsedMs - (length - generated) * stepMs
      if (spareMs < 0) continue
      this.#misses[indexOf(spareMs - (length - generated) * growthMs)]! += LENGTH_SHARES[q]!
    }
  }
}

/** The first of `DELAYS` that is larger than a spare time. */
function indexOf(spareMs: Ms): number {
  if (spareMs < FIRST_MS) return 0
  return Math.min(STEPS, Math.floor(Math.log(spareMs / FIRST_MS) / LOG_RATIO) + 1)
}
