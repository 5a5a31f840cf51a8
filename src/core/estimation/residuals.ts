/**
 * The latest residuals, kept in order, so that any quantile is one look-up. Fixed memory, no allocation after construction;
 * `add` moves at most `capacity` numbers.
 */
export class Residuals {
  readonly #ring: Float64Array
  readonly #sorted: Float64Array
  #size = 0
  #at = 0
  /** The last answers by level, until the next residual: admission asks for two, once per backend and request. */
  #levelA = NaN
  #answerA = 0
  #levelB = NaN
  #answerB = 0

  constructor(capacity = 128) {
    this.#ring = new Float64Array(capacity)
    this.#sorted = new Float64Array(capacity)
  }

  get size(): number {
    return this.#size
  }

  add(value: number): void {
    this.#levelA = NaN
    this.#levelB = NaN
    const sorted = this.#sorted
    const into = this.#lowerBound(value)
    // A place is free where the oldest one stood, or at the end; what lies between it and the new one's makes room.
    const free = this.#size < this.#ring.length ? this.#size : this.#lowerBound(this.#ring[this.#at]!)
    if (free < into) {
      sorted.copyWithin(free, free + 1, into)
      sorted[into - 1] = value
    } else {
      sorted.copyWithin(into + 1, into, free)
      sorted[into] = value
    }
    if (this.#size < this.#ring.length) this.#size++
    this.#ring[this.#at] = value
    this.#at = (this.#at + 1) % this.#ring.length
  }

  /** Quantile `q` (0–1), linear between the kept values; undefined while there is none. */
  quantile(q: number): number | undefined {
    if (this.#size === 0) return undefined
    if (q === this.#levelA) return this.#answerA
    if (q === this.#levelB) return this.#answerB
    this.#levelB = this.#levelA
    this.#answerB = this.#answerA
    this.#levelA = q
    this.#answerA = this.#find(q)
    return this.#answerA
  }

  #find(q: number): number {
    const rank = Math.min(1, Math.max(0, q)) * (this.#size - 1)
    const below = Math.floor(rank)
    const low = this.#sorted[below]!
    const high = this.#sorted[Math.min(below + 1, this.#size - 1)]!
    return low + (high - low) * (rank - below)
  }

  clear(): void {
    this.#size = 0
    this.#at = 0
  }

  #lowerBound(value: number): number {
    let low = 0
    let high = this.#size
    while (low < high) {
      const middle = (low + high) >>> 1
      if (this.#sorted[middle]! < value) low = middle + 1
      else high = middle
    }
    return low
  }
}
