import { METRICS } from '../metrics-table.js'

/** PromQL over the metrics table: a metric, a label or a kind of metric that does not exist does not compile. */

type Entry = typeof METRICS[number]
type NameOf<T extends Entry['type']> = Extract<Entry, { type: T }>['name']
export type CounterName = NameOf<'counter'>
export type GaugeName = NameOf<'gauge'>
export type HistogramName = NameOf<'histogram'>
type Name = Entry['name']
export type LabelOf<N extends Name> = Extract<Entry, { name: N }>['labels'][number]
/** prom-client's own, as far as dashboards need them. */
export type ProcessName = 'nodejs_eventloop_lag_p99_seconds' | 'nodejs_heap_size_used_bytes' | 'process_cpu_seconds_total' | 'process_resident_memory_bytes'

interface Options<N extends Name> {
  readonly by?: readonly LabelOf<N>[]
  readonly where?: Partial<Record<LabelOf<N>, string>>
}

const RATE = '[$__rate_interval]'

/** Queries that a dashboard's variables narrow down: each metric that has such a label is filtered by it. */
export class Queries {
  readonly #variables: readonly string[]

  constructor(variables: readonly string[]) {
    this.#variables = variables
  }

  /** Per second. */
  rate<N extends CounterName>(name: N, options: Options<N> = {}): string {
    return `sum${by(options.by)} (rate(${name}${this.#filter(name, options.where)}${RATE}))`
  }

  gauge<N extends GaugeName>(name: N, options: Options<N> & { readonly merge?: 'sum' | 'max' | 'min' | 'avg' } = {}): string {
    return `${options.merge ?? 'sum'}${by(options.by)} (${name}${this.#filter(name, options.where)})`
  }

  quantile<N extends HistogramName>(q: number, name: N, options: Options<N> = {}): string {
    return `histogram_quantile(${q}, sum${by([...options.by ?? [], 'le'])} (rate(${name}_bucket${this.#filter(name, options.where)}${RATE})))`
  }

  mean<N extends HistogramName>(name: N, options: Options<N> = {}): string {
    const part = (suffix: string) => `sum${by(options.by)} (rate(${name}_${suffix}${this.#filter(name, options.where)}${RATE}))`
    return `${part('sum')} / ${part('count')}`
  }

  /** Observations per bucket, for a heat map. */
  buckets<N extends HistogramName>(name: N): string {
    return `sum by (le) (increase(${name}_bucket${this.#filter(name, undefined)}${RATE}))`
  }

  process(name: ProcessName): string {
    const series = `${name}{job="sluice"}`
    return name.endsWith('_total') ? `rate(${series}${RATE})` : series
  }

  #filter(name: Name, where: Partial<Record<string, string>> | undefined): string {
    const labels: readonly string[] = METRICS.find((metric) => metric.name === name)!.labels
    const parts = [
      ...Object.entries(where ?? {}).map(([label, value]) => `${label}=~"${value}"`),
      ...this.#variables.filter((variable) => labels.includes(variable) && where?.[variable] === undefined).map((variable) => `${variable}=~"$${variable}"`),
    ]
    return parts.length === 0 ? '' : `{${parts.join(',')}}`
  }
}

function by(labels: readonly string[] | undefined): string {
  return labels === undefined || labels.length === 0 ? '' : ` by (${labels.join(', ')})`
}
