import type { Ms } from '../types.js'
import { Histogram } from './histogram.js'

/**
 * Sums over the recent past: a ring of time slots with a few counters each. A window ends now and reaches back whole slots,
 * so it is exact to one slot. Nothing is allocated after construction.
 */
export class SlidingWindow {
  readonly #slotMs: Ms
  readonly #slots: number
  readonly #fields: number
  readonly #ring: Float64Array
  readonly #sums: Float64Array
  /** Number of the latest slot since time 0. */
  #latest: number
  readonly #startedAtMs: Ms

  constructor(slotMs: Ms, slots: number, fields: number, nowMs: Ms) {
    this.#slotMs = slotMs
    this.#slots = slots
    this.#fields = fields
    this.#ring = new Float64Array(slots * fields)
    this.#sums = new Float64Array(fields)
    this.#latest = Math.floor(nowMs / slotMs)
    this.#startedAtMs = nowMs
  }

  /** Longest window that can be asked for. */
  get reachMs(): Ms {
    return this.#slots * this.#slotMs
  }

  add(field: number, amount: number, nowMs: Ms): void {
    this.#advance(nowMs)
    this.#ring[this.#offset(this.#latest) + field]! += amount
  }

  /** The sums of all fields, in one pass; valid until the next call. */
  sums(windowMs: Ms, nowMs: Ms): Float64Array {
    this.#advance(nowMs)
    const fields = this.#fields
    const sums = this.#sums.fill(0)
    let offset = this.#offset(this.#latest)
    for (let i = this.#slotsIn(windowMs); i > 0; i--) {
      for (let field = 0; field < fields; field++) sums[field]! += this.#ring[offset + field]!
      offset = offset === 0 ? this.#ring.length - fields : offset - fields
    }
    return sums
  }

  /** The time that `sums` covers: less than the window while the ring is younger, or the latest slot is not over. */
  coveredMs(windowMs: Ms, nowMs: Ms): Ms {
    this.#advance(nowMs)
    const from = (this.#latest - this.#slotsIn(windowMs) + 1) * this.#slotMs
    return Math.max(0, nowMs - Math.max(from, this.#startedAtMs))
  }

  #slotsIn(windowMs: Ms): number {
    return Math.min(this.#slots, Math.max(1, Math.ceil(windowMs / this.#slotMs)))
  }

  #advance(nowMs: Ms): void {
    const now = Math.floor(nowMs / this.#slotMs)
    if (now <= this.#latest) return
    if (now - this.#latest >= this.#slots) this.#ring.fill(0)
    else {
      for (let slot = this.#latest + 1; slot <= now; slot++) {
        const offset = this.#offset(slot)
        this.#ring.fill(0, offset, offset + this.#fields)
      }
    }
    this.#latest = now
  }

  #offset(slot: number): number {
    // Slots before time 0 are asked for when the clock has just started.
    return ((slot % this.#slots + this.#slots) % this.#slots) * this.#fields
  }
}

/** Percentiles over the recent past: a ring of histograms, merged when read. */
export class WindowedHistogram {
  readonly #slotMs: Ms
  readonly #ring: readonly Histogram[]
  #latest = 0

  constructor(windowMs: Ms = 300_000, slots = 10) {
    this.#slotMs = windowMs / slots
    this.#ring = Array.from({ length: slots }, () => new Histogram())
  }

  record(value: number, nowMs: Ms): void {
    this.#advance(nowMs)
    this.#ring[this.#latest % this.#ring.length]!.record(value)
  }

  /** All that was recorded within the window, as one histogram; `into` is reset and filled. */
  read(nowMs: Ms, into = new Histogram()): Histogram {
    this.#advance(nowMs)
    into.reset()
    for (const slot of this.#ring) {
      if (slot.count > 0) into.merge(slot)
    }
    return into
  }

  #advance(nowMs: Ms): void {
    const now = Math.floor(nowMs / this.#slotMs)
    if (now <= this.#latest) return
    const steps = Math.min(now - this.#latest, this.#ring.length)
    for (let i = 0; i < steps; i++) this.#ring[(now - i) % this.#ring.length]!.reset()
    this.#latest = now
  }
}
