import type { Ms } from '../types.js'
import { LENGTH_SHARES, type Lease } from './lease.js'

/** Four steps of delay per doubling, from 4 ms (exponent 2) to some seconds; all delays below the first are one. */
const STEPS = 48
const FIRST_MS = 4
const MANTISSA_BITS = 2
const FIRST_KEY = (127 + 2) << MANTISSA_BITS
/** What streams report changes little in so short a time. */
const FRESH_MS = 30

/** A float's exponent and leading mantissa bits are its logarithm, rounded down: no call of `Math.log`. */
const asFloat = new Float32Array(1)
const asInteger = new Int32Array(asFloat.buffer)
const REST_BITS = 23 - MANTISSA_BITS
const REST_MASK = (1 << REST_BITS) - 1

/**
 * What a standstill would do to the streams of one backend, as the number of streams that it is expected to push over their
 * TPOT target.
 *
 * How much a stream can bear depends on how long it will be, which nobody knows: one of `L` tokens in all has
 * `tpot · (L − 1) − elapsed − (L − generated) · step` to spare. So every stream counts with the share of lengths (of its class, given
 * what it has generated) that would miss by the standstill and would not miss without. As long as a stream runs at the
 * predicted step its spare time does not change with time, so all is computed when streams change, and not when asked.
 */
export class SlackGuard {
  /** `#misses[i]` = expected misses by a standstill as long as step `i` begins. */
  readonly #misses = new Float64Array(STEPS + 1)
  #stale = true
  #madeAtMs: Ms = -Infinity

  /** A stream came or went, or prefill delayed them all. */
  invalidate(): void {
    this.#stale = true
  }

  /** A stream reported. */
  reported(nowMs: Ms): void {
    if (nowMs - this.#madeAtMs > FRESH_MS) this.#stale = true
  }

  get stale(): boolean {
    return this.#stale
  }

  /** `stepMs` is the decode step now, `growthMs` what one more stream adds to it. */
  refresh(prefills: readonly Lease[], decodes: readonly Lease[], prefillDoneMs: Ms, stepMs: Ms, growthMs: Ms, nowMs: Ms): void {
    this.#stale = false
    this.#madeAtMs = nowMs
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
    asFloat[0] = delayMs
    const bits = asInteger[0]!
    const step = (bits >> REST_BITS) - FIRST_KEY
    if (step >= STEPS) return this.#misses[STEPS]!
    const within = (bits & REST_MASK) / REST_MASK
    return this.#misses[step]! + within * (this.#misses[step + 1]! - this.#misses[step]!)
  }

  #add(lease: Lease, elapsedMs: Ms, stepMs: Ms, growthMs: Ms): void {
    const generated = Math.max(1, lease.outputTokens)
    const { lengths, tpotMs } = lease
    const misses = this.#misses
    for (let q = 0; q < lengths.length; q++) {
      const length = lengths[q]!
      // One token has no time per token; nothing can be missed.
      if (length < 2) continue
      const left = length - generated
      const spareMs = tpotMs * (length - 1) - elapsedMs - left * stepMs
      if (spareMs < 0) continue
      const bearsMs = spareMs - left * growthMs
      let step = 0
      if (bearsMs >= FIRST_MS) {
        asFloat[0] = bearsMs
        step = Math.min(STEPS, (asInteger[0]! >> REST_BITS) - FIRST_KEY + 1)
      }
      misses[step]! += LENGTH_SHARES[q]!
    }
  }
}
