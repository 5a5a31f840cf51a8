import type { Ms } from '../core/index.js'
import type { RequestRecord } from './record.js'

/** How many requests are remembered. */
export const RECENT_CAPACITY = 1000
/**
 * At more than this many a second, for longer than the ring takes, a sample of them, evenly over time: the ring then reaches back ten
 * seconds at any rate, and the collector has this many records a second to move about in place of all.
 */
const KEPT_PER_SECOND = 100

/** A ring of the last finished requests. */
export class RecentRequests {
  readonly #ring: (RequestRecord | undefined)[]
  #next = 0
  /** How many may be added now. */
  #room: number
  #atMs: Ms = 0

  constructor(capacity: number = RECENT_CAPACITY) {
    this.#ring = new Array<RequestRecord | undefined>(capacity).fill(undefined)
    this.#room = capacity
  }

  add(record: RequestRecord): void {
    const nowMs = record.timeline.endedAtMs ?? this.#atMs
    this.#room = Math.min(this.#ring.length, this.#room + Math.max(0, nowMs - this.#atMs) * KEPT_PER_SECOND / 1000)
    this.#atMs = Math.max(this.#atMs, nowMs)
    if (this.#room < 1) return
    this.#room--
    this.#ring[this.#next] = record
    this.#next = (this.#next + 1) % this.#ring.length
  }

  /** Newest first, at most `limit` that satisfy `keep`. */
  list(limit: number, keep: (record: RequestRecord) => boolean): readonly RequestRecord[] {
    const found: RequestRecord[] = []
    const size = this.#ring.length
    for (let back = 1; back <= size && found.length < limit; back++) {
      const record = this.#ring[(this.#next - back + size) % size]
      if (record === undefined) break
      if (keep(record)) found.push(record)
    }
    return found
  }
}
