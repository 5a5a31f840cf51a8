/** A cumulative histogram as Prometheus shows it. */
export class BucketHistogram {
  readonly #bounds: readonly number[]
  readonly #counts: number[]
  #sum = 0
  #count = 0

  constructor (bounds: readonly number[]) {
    this.#bounds = bounds
    this.#counts = new Array<number>(bounds.length).fill(0)
  }

  observe (value: number, times = 1): void {
    if (!(value >= 0)) return
    this.#sum += value * times
    this.#count += times
    for (let i = 0; i < this.#bounds.length; i++) {
      if (value <= (this.#bounds[i] as number)) {
        this.#counts[i] = this.#counts[i] as number + times
        return
      }
    }
  }

  lines (name: string, labels: string): string {
    const separator = labels === '' ? '' : ','
    const braces = labels === '' ? '' : `{${labels}}`
    let text = ''
    let cumulated = 0
    this.#bounds.forEach((bound, i) => {
      cumulated += this.#counts[i] as number
      text += `${name}_bucket{le="${Number.isInteger(bound) ? bound.toFixed(1) : bound}"${separator}${labels}} ${cumulated}\n`
    })
    return `${text}${name}_bucket{le="+Inf"${separator}${labels}} ${this.#count}\n${name}_count${braces} ${this.#count}\n${name}_sum${braces} ${this.#sum}\n`
  }
}
