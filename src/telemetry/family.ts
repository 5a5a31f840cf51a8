import { FixedBuckets } from '../core/index.js'
import { Lines, type TextBuffer } from './lines.js'
import type { MetricDefinition } from './metrics-table.js'

/** Milliseconds in, seconds out. */
const MS_PER_SECOND = 1000

interface Sample {
  readonly metricName?: string
  readonly labels: Readonly<Record<string, string | number>>
  readonly value: number
}

/** One counter or gauge with its labels. */
export class Cell {
  readonly labels: Readonly<Record<string, string>>
  readonly #line: Lines
  /** Undefined: no value, no line. */
  value: number | undefined

  constructor(name: string, labels: Readonly<Record<string, string>>, value: number | undefined) {
    this.labels = labels
    this.value = value
    this.#line = new Lines([`${name}${labelText(labels)} `])
  }

  add(amount: number): void {
    this.value = (this.value ?? 0) + amount
  }

  render(text: TextBuffer): void {
    if (this.value === undefined) return
    this.#line.set(0, this.value)
    this.#line.copyTo(text)
  }

  samples(): readonly Sample[] {
    return this.value === undefined ? [] : [{ labels: this.labels, value: this.value }]
  }
}

/** One distribution with its labels. `record` takes milliseconds where the metric is in seconds, and allocates nothing. */
export class HistogramCell {
  readonly #name: string
  readonly #labels: Readonly<Record<string, string>>
  readonly #buckets: FixedBuckets
  readonly #scale: number
  readonly #bounds: readonly string[]
  /** One per bound, then the sum, then the count. */
  readonly #lines: Lines
  #isRecorded = false

  constructor(name: string, labels: Readonly<Record<string, string>>, bounds: readonly number[]) {
    this.#name = name
    this.#labels = labels
    this.#scale = name.endsWith('_seconds') ? MS_PER_SECOND : 1
    this.#buckets = new FixedBuckets(bounds.map((bound) => bound * this.#scale))
    this.#bounds = [...bounds.map(String), '+Inf']
    this.#lines = new Lines([...this.#bounds.map((le) => `${name}_bucket${labelText({ ...labels, le })} `), `${name}_sum${labelText(labels)} `, `${name}_count${labelText(labels)} `])
  }

  record(value: number): void {
    this.#isRecorded = true
    this.#buckets.record(value)
  }

  render(text: TextBuffer): void {
    if (this.#isRecorded) this.#write()
    this.#isRecorded = false
    this.#lines.copyTo(text)
  }

  samples(): readonly Sample[] {
    const counts = this.#buckets.cumulative()
    return [
      ...counts.map((value, i) => ({ metricName: `${this.#name}_bucket`, labels: { ...this.#labels, le: this.#bounds[i]! }, value })),
      { metricName: `${this.#name}_sum`, labels: this.#labels, value: this.#buckets.sum / this.#scale },
      { metricName: `${this.#name}_count`, labels: this.#labels, value: counts.at(-1)! },
    ]
  }

  #write(): void {
    const counts = this.#buckets.cumulative()
    for (let i = 0; i < counts.length; i++) this.#lines.set(i, counts[i]!)
    this.#lines.set(counts.length, this.#buckets.sum / this.#scale)
    this.#lines.set(counts.length + 1, counts.at(-1)!)
  }
}

/** A child, or more of the tree. */
type Tree<C> = Map<string, C | Tree<C>>

/**
 * All children of one metric, in the shape that a prom-client registry takes (`name`, `get`). Children keep their
 * lines, so that a scrape only writes numbers: prom-client's own formatting takes many times as long.
 */
abstract class Family<C extends Cell | HistogramCell> {
  readonly name: string
  readonly help: string
  readonly type: string
  readonly aggregator = 'sum'
  readonly #labelNames: readonly string[]
  /** By the first label's value, and so on; the last one's leads to the child. No key is put together: this is looked up several times per request. */
  readonly #tree: Tree<C> = new Map()
  readonly #children: C[] = []

  constructor(definition: MetricDefinition) {
    this.name = definition.name
    this.help = definition.help
    this.type = definition.type
    this.#labelNames = definition.labels
  }

  protected abstract make(labels: Readonly<Record<string, string>>): C

  /** The child with these label values, in the table's order. Take it once and keep it where it is used often. */
  child(...values: readonly string[]): C {
    const last = this.#labelNames.length - 1
    let branch = this.#tree
    for (let i = 0; i < last; i++) {
      const value = values[i] ?? ''
      let next = branch.get(value) as Tree<C> | undefined
      if (next === undefined) branch.set(value, next = new Map())
      branch = next
    }
    const value = values[last] ?? ''
    let child = branch.get(value) as C | undefined
    if (child === undefined) {
      child = this.make(Object.fromEntries(this.#labelNames.map((name, i) => [name, values[i] ?? ''])))
      branch.set(value, child)
      this.#children.push(child)
    }
    return child
  }

  protected get children(): Iterable<C> {
    return this.#children
  }

  get size(): number {
    return this.#children.length
  }

  /** Appends the metric's part of the Prometheus text. */
  render(text: TextBuffer): void {
    text.write(`# HELP ${this.name} ${this.help}\n# TYPE ${this.name} ${this.type}\n`)
    for (const child of this.#children) child.render(text)
  }

  /** As prom-client's own metrics answer; for `getMetricsAsJSON` and the like. */
  get(): Promise<{ name: string, help: string, type: string, aggregator: string, values: readonly Sample[] }> {
    const values = this.#children.flatMap((child) => [...child.samples()])
    return Promise.resolve({ name: this.name, help: this.help, type: this.type, aggregator: this.aggregator, values })
  }
}

/** Counters and gauges. */
abstract class NumberFamily extends Family<Cell> {
  /** Forget all values before they are read anew from their source: what is gone from there leaves no line. */
  blank(): void {
    for (const cell of this.children) cell.value = undefined
  }
}

export class CounterFamily extends NumberFamily {
  protected make(labels: Readonly<Record<string, string>>): Cell {
    return new Cell(this.name, labels, 0)
  }
}

export class GaugeFamily extends NumberFamily {
  protected make(labels: Readonly<Record<string, string>>): Cell {
    return new Cell(this.name, labels, undefined)
  }

  /** Undefined: unknown, so no value at all. */
  set(value: number | undefined, ...labels: readonly string[]): void {
    this.child(...labels).value = value
  }
}

export class HistogramFamily extends Family<HistogramCell> {
  readonly #bounds: readonly number[]

  constructor(definition: MetricDefinition & { readonly buckets: readonly number[] }) {
    super(definition)
    this.#bounds = definition.buckets
  }

  protected make(labels: Readonly<Record<string, string>>): HistogramCell {
    return new HistogramCell(this.name, labels, this.#bounds)
  }
}

function labelText(labels: Readonly<Record<string, string>>): string {
  const parts = Object.entries(labels).map(([name, value]) => `${name}="${escapeLabel(value)}"`)
  return parts.length === 0 ? '' : `{${parts.join(',')}}`
}

function escapeLabel(value: string): string {
  return value.replaceAll('\\', '\\\\').replaceAll('\n', '\\n').replaceAll('"', '\\"')
}
