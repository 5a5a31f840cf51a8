import type { Ms } from '../types.js'
import { COLUMNS, GENERATED, LENGTH_FIFTIETHS, LENGTHS, NO_TOKEN, PREFILL_SEEN, RUNNING, TPOT, type PacedStreams } from './paced-streams.js'

/** Four steps of delay per doubling, from 4 ms (exponent 2) to some seconds; all delays below the first are one. */
const STEPS = 48
const FIRST_MS = 4
const MANTISSA_BITS = 2
const FIRST_KEY = (127 + 2) << MANTISSA_BITS
/** What streams report changes little in so short a time. */
const FRESH_MS = 30

/** Steps that are told apart while counting; what bears more than the last of them is not counted, as what is missed already. */
const ALL_STEPS = 2 * STEPS
const UNCOUNTED = 1e30
/** In the step before the first. */
const BELOW_FIRST_MS = 0.9 * FIRST_MS
const LEVELS = LENGTH_FIFTIETHS.length
/** Rows that are counted at once. */
const BATCH = 64

/** A float's exponent and leading mantissa bits are its logarithm, rounded down: no call of `Math.log`. */
const asFloat = new Float32Array(BATCH * LEVELS)
const asInteger = new Int32Array(asFloat.buffer)
const REST_BITS = 23 - MANTISSA_BITS
const REST_MASK = (1 << REST_BITS) - 1

/** Scratch: fiftieths of streams by step. */
const counts = new Int32Array(ALL_STEPS + 1)

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
  refresh(streams: PacedStreams, prefillDoneMs: Ms, stepMs: Ms, growthMs: Ms, nowMs: Ms): void {
    this.#stale = false
    this.#madeAtMs = nowMs
    counts.fill(0)
    for (let first = 0; first < streams.size; first += BATCH) {
      count(streams.rows, first * COLUMNS, Math.min(streams.size, first + BATCH) * COLUMNS, prefillDoneMs, stepMs, growthMs)
    }
    let sum = 0
    for (let step = 0; step < ALL_STEPS; step++) {
      sum += counts[step]!
      this.#misses[Math.min(step, STEPS)] = sum / 50
    }
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
}

/** Adds up to `BATCH` rows to `counts`. Two passes, none with a branch that depends on a stream: what each length bears, and then its step. */
function count(rows: Float64Array, from: number, to: number, prefillDoneMs: Ms, stepMs: Ms, growthMs: Ms): void {
  let entries = 0
  for (let at = from; at < to; at += COLUMNS) {
    const tpotMs = rows[at + TPOT]!
    const generated = rows[at + GENERATED]!
    const seenMs = rows[at + PREFILL_SEEN]!
    const elapsedMs = seenMs === NO_TOKEN ? 0 : rows[at + RUNNING]! + prefillDoneMs - seenMs
    for (let level = 0; level < LEVELS; level++) {
      const length = rows[at + LENGTHS + level]!
      const left = length - generated
      const spareMs = tpotMs * (length - 1) - elapsedMs - left * stepMs
      // One token has no time per token; nothing can be missed. Nor what is missed already.
      asFloat[entries++] = length < 2 || spareMs < 0 ? UNCOUNTED : Math.max(BELOW_FIRST_MS, spareMs - left * growthMs)
    }
  }
  for (let entry = 0, level = 0; entry < entries; entry++) {
    const step = (asInteger[entry]! >> REST_BITS) - FIRST_KEY + 1
    counts[step < ALL_STEPS ? step : ALL_STEPS]! += LENGTH_FIFTIETHS[level]!
    if (++level === LEVELS) level = 0
  }
}
