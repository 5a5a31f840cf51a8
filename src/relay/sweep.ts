import type { Clock, Ms } from '../core/index.js'

/** Something with deadlines or counters that wants a look some times a second. */
export interface Swept {
  sweep(nowMs: Ms): void
  /** Its place among those that are watched; the sweep's own. */
  sweepAt: number
}

/** `sweepAt` of what is not watched. */
export const UNSWEPT = -1

/** A round so late is a standstill of this process, or of the machine. */
const STANDSTILL_MS: Ms = 500
const MOST_EXCUSED_ROUNDS = 50
/** Looked at in one turn of the event loop; between two of them streams go on. */
const MOST_AT_ONCE = 32

/**
 * One timer for all streams. A timer per chunk would be re-armed tens of thousands of times a second; a deadline that is
 * looked at every `intervalMs` costs one comparison, and is late by at most that.
 */
export class Sweep {
  /** Not a `Set`: see `ById` for what that does to the collector. */
  readonly #items: Swept[] = []
  readonly #clock: Clock
  readonly #intervalMs: Ms
  #lastMs: Ms = 0
  #excusedRounds = 0
  /** The next to be looked at in the round that is on; below 0, none is. */
  #next = -1
  #timer: NodeJS.Timeout | undefined

  constructor(clock: Clock, intervalMs: Ms = 100) {
    this.#clock = clock
    this.#intervalMs = intervalMs
  }

  get size(): number {
    return this.#items.length
  }

  add(item: Swept): void {
    item.sweepAt = this.#items.push(item) - 1
    if (this.#timer !== undefined) return
    this.#excusedRounds = 0
    this.#lastMs = this.#clock.now()
    // After a standstill timers come before what has arrived meanwhile; nobody is late whose bytes wait to be read.
    this.#timer = setInterval(() => { setImmediate(() => this.#run()) }, this.#intervalMs)
  }

  /** Nothing is left running when nothing is watched, so that a process can end. */
  remove(item: Swept): void {
    const at = item.sweepAt
    if (at === UNSWEPT) return
    item.sweepAt = UNSWEPT
    const last = this.#items.pop()!
    if (last !== item) {
      this.#items[at] = last
      last.sweepAt = at
    }
    if (this.#items.length > 0) return
    clearInterval(this.#timer)
    this.#timer = undefined
  }

  #run(): void {
    // Too many for one interval: the round that is on goes on.
    if (this.#next >= 0) return
    const nowMs = this.#clock.now()
    const lateMs = nowMs - this.#lastMs - this.#intervalMs
    this.#lastMs = nowMs
    // Time in which this process did not run is held against nobody: whom it held up has as long again.
    if (lateMs > STANDSTILL_MS) this.#excusedRounds = Math.min(MOST_EXCUSED_ROUNDS, Math.ceil(lateMs / this.#intervalMs))
    if (this.#excusedRounds > 0) {
      this.#excusedRounds--
      return
    }
    this.#next = this.#items.length - 1
    this.#look()
  }

  /** A part of the round, and after a turn of the loop the next one. Backwards: one that leaves is replaced by one that was looked at. */
  #look(): void {
    // The round's own time: what may have held the loop up since it began is held against nobody either.
    const nowMs = this.#lastMs
    const upTo = this.#next - MOST_AT_ONCE
    try {
      while (this.#next >= 0 && this.#next > upTo) this.#items[this.#next--]?.sweep(nowMs)
    } finally {
      if (this.#next >= 0) setImmediate(() => { this.#look() })
    }
  }
}
