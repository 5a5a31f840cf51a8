/** A fixed number of rows of named numbers; the oldest go first. NaN stands for "not known". */
export class Columns<N extends string> {
  readonly #names: readonly N[]
  readonly #capacity: number
  readonly #values: Float64Array
  #rows = 0

  constructor(names: readonly N[], capacity: number) {
    this.#names = names
    this.#capacity = capacity
    this.#values = new Float64Array(names.length * capacity)
  }

  get length(): number {
    return Math.min(this.#rows, this.#capacity)
  }

  push(row: Readonly<Record<N, number | undefined>>): void {
    const slot = this.#rows % this.#capacity
    this.#names.forEach((name, i) => { this.#values[i * this.#capacity + slot] = row[name] ?? NaN })
    this.#rows++
  }

  /** `back` rows before the latest one; NaN where there is none. */
  at(name: N, back: number): number {
    if (back < 0 || back >= this.length) return NaN
    const slot = (this.#rows - 1 - back) % this.#capacity
    return this.#values[this.#names.indexOf(name) * this.#capacity + slot]!
  }

  /** The last `count` rows of one column, oldest first. */
  column(name: N, count = this.length): number[] {
    const rows = Math.min(count, this.length)
    const offset = this.#names.indexOf(name) * this.#capacity
    const values: number[] = []
    for (let back = rows; back > 0; back--) values.push(this.#values[offset + (this.#rows - back) % this.#capacity]!)
    return values
  }

  /** The last `count` rows as JSON takes them, rounded to thousandths. */
  view(count?: number): Record<N, readonly (number | null)[]> {
    return Object.fromEntries(this.#names.map((name) => [name, this.column(name, count).map(rounded)])) as unknown as Record<N, readonly (number | null)[]>
  }
}

function rounded(value: number): number | null {
  return Number.isFinite(value) ? Math.round(value * 1000) / 1000 : null
}

/** Mean of the numbers that are known; undefined where none is. */
export function mean(values: readonly number[]): number | undefined {
  const known = values.filter((value) => !Number.isNaN(value))
  return known.length === 0 ? undefined : known.reduce((sum, value) => sum + value, 0) / known.length
}

/** Middle of the numbers; undefined where there is none. */
export function median(values: readonly number[]): number | undefined {
  if (values.length === 0) return undefined
  const sorted = [...values].sort((a, b) => a - b)
  const half = sorted.length >> 1
  return sorted.length % 2 === 1 ? sorted[half]! : (sorted[half - 1]! + sorted[half]!) / 2
}
