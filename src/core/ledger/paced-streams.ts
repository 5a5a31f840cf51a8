import type { Ms } from '../types.js'
import type { Lease } from './lease.js'

/** Quantiles of the length at which streams are judged: finer where answers are short, and little can be made up for. */
const LENGTH_QUANTILES = [0.02, 0.06, 0.1, 0.15, 0.21, 0.29, 0.39, 0.5, 0.65, 0.87] as const
/** Share of all lengths that each of them stands for, in fiftieths. */
export const LENGTH_FIFTIETHS = Int32Array.of(2, 2, 2, 3, 3, 5, 5, 6, 9, 13)

/** Columns of a row; the lengths follow from `LENGTHS` on. */
export const TPOT = 0
export const GENERATED = 1
/** Time from the first token to the last report. */
export const RUNNING = 2
/** `PrefillClock.doneMs` at the last report; `NO_TOKEN` before the first token. */
export const PREFILL_SEEN = 3
/** How long the whole output may be, given what there is, at `LENGTH_QUANTILES`. */
export const LENGTHS = 4
export const COLUMNS = LENGTHS + LENGTH_QUANTILES.length
export const NO_TOKEN = -1

/**
 * What the slack guard reads of every request in flight on one backend that has a target per token: one row each, side by side in
 * memory. A refresh goes through all of them, and would wait for memory at every one if they were objects.
 */
export class PacedStreams {
  rows = new Float64Array(16 * COLUMNS)
  readonly #leases: Lease[] = []

  get size(): number {
    return this.#leases.length
  }

  add(lease: Lease): void {
    lease.row = this.#leases.length
    this.#leases.push(lease)
    if (this.#leases.length * COLUMNS > this.rows.length) {
      const grown = new Float64Array(2 * this.rows.length)
      grown.set(this.rows)
      this.rows = grown
    }
    const at = lease.row * COLUMNS
    this.rows[at + TPOT] = lease.tpotMs
    this.#write(lease, 0, NO_TOKEN)
  }

  /** It has more tokens than before. */
  progress(lease: Lease, runningMs: Ms, prefillSeenMs: Ms): void {
    this.#write(lease, runningMs, prefillSeenMs)
  }

  /** The last row moves into the gap. */
  remove(lease: Lease): void {
    const last = this.#leases.pop() as Lease
    if (last === lease) return
    this.rows.copyWithin(lease.row * COLUMNS, last.row * COLUMNS, (last.row + 1) * COLUMNS)
    this.#leases[lease.row] = last
    last.row = lease.row
  }

  #write({ row, request, outputTokens }: Lease, runningMs: Ms, prefillSeenMs: Ms): void {
    const at = row * COLUMNS
    const generated = Math.max(1, outputTokens)
    this.rows[at + GENERATED] = generated
    this.rows[at + RUNNING] = runningMs
    this.rows[at + PREFILL_SEEN] = prefillSeenMs
    request.lengths.wholeLengths(LENGTH_QUANTILES, generated, request.spec.maxOutputTokens, this.rows, at + LENGTHS)
  }
}
