/** Times in bins of equal width: cheap to count into, exact to merge, small enough to send. */
const WIDTH_US = 50
const BINS = 20_000

/** Bin and weight by turns. */
export type Sparse = readonly number[]

export class Bins {
  readonly #weights = new Float64Array(BINS)

  static merged(parts: readonly Sparse[]): Bins {
    const bins = new Bins()
    for (const part of parts) for (let i = 0; i < part.length; i += 2) bins.#weights[part[i]!]! += part[i + 1]!
    return bins
  }

  /** What is beyond the last bin counts in it. */
  add(us: number, weight = 1): void {
    this.#weights[Math.min(BINS - 1, Math.max(0, Math.floor(us / WIDTH_US)))]! += weight
  }

  /** What is left without what another holds of it. */
  less(part: Bins): Bins {
    const rest = new Bins()
    rest.#weights.set(this.#weights.map((weight, bin) => weight - part.#weights[bin]!))
    return rest
  }

  /** Milliseconds that a share `q` of the weight does not exceed. */
  quantileMs(q: number): number {
    let left = q * this.#weights.reduce((sum, weight) => sum + weight, 0)
    for (let bin = 0; bin < BINS; bin++) {
      left -= this.#weights[bin]!
      if (left <= 0) return (bin + 1) * WIDTH_US / 1000
    }
    return NaN
  }

  /** Weight beyond so many milliseconds. */
  beyond(ms: number): number {
    return this.#weights.subarray(Math.floor(ms * 1000 / WIDTH_US)).reduce((sum, weight) => sum + weight, 0)
  }

  shareBeyond(ms: number): number {
    return this.beyond(ms) / this.weight
  }

  get maxMs(): number {
    return (this.#weights.findLastIndex((weight) => weight > 0) + 1) * WIDTH_US / 1000
  }

  get weight(): number {
    return this.#weights.reduce((sum, weight) => sum + weight, 0)
  }

  /** Empties it. */
  take(): Sparse {
    const sparse: number[] = []
    this.#weights.forEach((weight, bin) => { if (weight > 0) sparse.push(bin, weight) })
    this.#weights.fill(0)
    return sparse
  }
}
