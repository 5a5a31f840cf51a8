import type { RequestRecord } from './record.js'

/** How many requests are remembered. */
export const RECENT_CAPACITY = 1000

/** A ring of the last finished requests. */
export class RecentRequests {
  readonly #ring: (RequestRecord | undefined)[]
  #next = 0

  constructor(capacity: number = RECENT_CAPACITY) {
    this.#ring = new Array<RequestRecord | undefined>(capacity).fill(undefined)
  }

  add(record: RequestRecord): void {
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
