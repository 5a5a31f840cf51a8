import { DEFAULT_TOKEN_COST, Histogram, smoothTokens, type Ms, type SloTargets } from '../core/index.js'
import { quantilesOf, type Quantiles } from '../simulator/index.js'
import type { Load, LoadRunResult } from './load-run.js'
import type { RequestRow } from './types.js'

/** A distribution in milliseconds. */
export interface Distribution extends Quantiles {
  readonly mean: number
}

/** What became of one class's requests. Members that had nothing to measure are null. */
export interface ClassSummary {
  readonly slo: { readonly ttft_ms?: Ms, readonly tpot_ms?: Ms, readonly deadline_ms?: Ms }
  readonly offered: number
  /** Denominator of attainment. */
  readonly counted: number
  readonly completed: number
  readonly met: number
  readonly attainment: number | null
  readonly rejected: number
  readonly failed: number
  /** Of the failed, streams that broke off. */
  readonly truncated: number
  readonly cancelled: number
  readonly outcomes: Readonly<Record<string, number>>
  /** Why requests did not complete, most frequent first. */
  readonly reasons: Readonly<Record<string, number>>
  readonly ttft_ms: Distribution | null
  readonly tpot_ms: Distribution | null
  readonly itl_ms: Distribution | null
  readonly e2e_ms: Distribution | null
}

/** One load on one target, over all seeds: counts are pooled. The JSON form of the command. */
export interface LoadSummary extends LatencyFields<'ttft' | 'tpot' | 'itl' | 'e2el'> {
  readonly target: string
  readonly workload: string
  /** Offered, on average; null where concurrency was asked for. */
  readonly rate_per_s: number | null
  readonly concurrency: number | null
  /** Measured time of all seeds together. */
  readonly duration_s: number
  readonly seeds: readonly number[]
  readonly offered_per_s: number
  readonly classes: Readonly<Record<string, ClassSummary>>
  readonly offered: number
  readonly completed: number
  readonly met: number
  readonly attainment: number | null
  readonly worst_attainment: number | null
  readonly request_goodput_per_s: number
  readonly token_goodput_per_s: number
  readonly smooth_tokens_per_s: number
  readonly input_tokens_per_s: number
  readonly output_tokens_per_s: number
  /** Work of requests that met nothing as a share of all work, an output token weighing as two prompt tokens; null = no work. */
  readonly wasted_ratio: number | null
  /** How late the load tool itself sent; it counts as latency. */
  readonly send_lag_ms: { readonly p50: number, readonly p99: number, readonly max: number } | null
  /** Least and most over the seeds. */
  readonly spread: { readonly attainment: readonly [number, number], readonly worst_attainment: readonly [number, number], readonly request_goodput_per_s: readonly [number, number] }
  /** The same under the names of `vllm bench serve`. */
  readonly duration: number
  readonly request_throughput: number
  readonly request_goodput: number
  readonly output_throughput: number
  readonly total_token_throughput: number
  readonly total_input_tokens: number
  readonly total_output_tokens: number
  readonly max_output_tokens_per_s: number
  readonly max_concurrent_requests: number
}

/** Pools the runs of one load on one target, one per seed. */
export function summarise(runs: readonly LoadRunResult[]): LoadSummary {
  const first = runs[0]!
  const rows = runs.flatMap(run => run.rows)
  const seconds = sum(runs, run => run.measureMs) / 1000
  const perClass = classSummaries(runs)
  const met = rows.filter(row => row.outcome === 'met')
  const done = rows.filter(row => row.ending === 'completed')
  const throughput = (of: (run: LoadRunResult) => number) => sum(runs, of) / seconds
  const outputPerSecond = throughput(run => run.throughput.outputTokens)
  const inputPerSecond = throughput(run => run.throughput.inputTokens)
  const sendLag = merged(runs.map(run => run.sendLag))
  const range = (of: (run: LoadRunResult) => number): readonly [number, number] => [Math.min(...runs.map(of)), Math.max(...runs.map(of))]
  return {
    target: first.target,
    workload: first.workload,
    ...loadFields(first.load),
    duration_s: seconds,
    seeds: runs.map(run => run.seed),
    offered_per_s: rows.length / seconds,
    classes: perClass,
    offered: rows.length,
    completed: done.length,
    met: met.length,
    attainment: attainmentOf(rows),
    worst_attainment: worstOf(rows),
    request_goodput_per_s: met.length / seconds,
    token_goodput_per_s: sum(met, row => row.output_tokens) / seconds,
    smooth_tokens_per_s: sum(rows, smoothOf) / seconds,
    input_tokens_per_s: inputPerSecond,
    output_tokens_per_s: outputPerSecond,
    wasted_ratio: wastedRatio(rows),
    send_lag_ms: sendLag.count === 0 ? null : { p50: sendLag.quantile(0.5)!, p99: sendLag.quantile(0.99)!, max: sendLag.max! },
    spread: {
      attainment: range(run => attainmentOf(run.rows) ?? 1),
      worst_attainment: range(run => worstOf(run.rows) ?? 1),
      request_goodput_per_s: range(run => run.rows.filter(row => row.outcome === 'met').length / run.measureMs * 1000),
    },
    duration: seconds,
    request_throughput: throughput(run => run.throughput.completed),
    request_goodput: met.length / seconds,
    output_throughput: outputPerSecond,
    total_token_throughput: outputPerSecond + inputPerSecond,
    total_input_tokens: sum(done, row => row.prompt_tokens),
    total_output_tokens: sum(done, row => row.output_tokens),
    max_output_tokens_per_s: Math.max(...runs.map(run => run.throughput.peakOutputTokens)),
    max_concurrent_requests: Math.max(...runs.map(run => run.throughput.peakRequests)),
    ...latencies('ttft', ofRows(done, row => row.ttft_ms)),
    ...latencies('tpot', ofRows(done, row => row.tpot_ms)),
    ...latencies('itl', ofHistogram(merged(runs.flatMap(run => [...run.intervals.values()])))),
    ...latencies('e2el', ofRows(done, row => row.e2e_ms)),
  }
}

const loadFields = (load: Load) => load.kind === 'open' ? { rate_per_s: load.ratePerSecond, concurrency: null } : { rate_per_s: null, concurrency: load.concurrency }

/** met / counted; null = nothing counted. */
export function attainmentOf(rows: readonly RequestRow[]): number | null {
  const counted = rows.filter(row => row.counted)
  return counted.length === 0 ? null : counted.filter(row => row.outcome === 'met').length / counted.length
}

/** Of the class that attains least. */
export function worstOf(rows: readonly RequestRow[]): number | null {
  const byClass = [...groupByClass(rows).values()].map(attainmentOf).filter(value => value !== null)
  return byClass.length === 0 ? null : Math.min(...byClass)
}

function groupByClass(rows: readonly RequestRow[]): Map<string, RequestRow[]> {
  const groups = new Map<string, RequestRow[]>()
  for (const row of rows) {
    const group = groups.get(row.class)
    if (group === undefined) groups.set(row.class, [row])
    else group.push(row)
  }
  return groups
}

function classSummaries(runs: readonly LoadRunResult[]): Record<string, ClassSummary> {
  const groups = groupByClass(runs.flatMap(run => run.rows))
  return Object.fromEntries(runs[0]!.classes.map(({ name, targets }) => {
    const rows = groups.get(name) ?? []
    const done = rows.filter(row => row.ending === 'completed')
    const outcomes = tally(rows.map(row => row.outcome))
    const entry: ClassSummary = {
      slo: sloOf(targets),
      offered: rows.length,
      counted: rows.filter(row => row.counted).length,
      completed: done.length,
      met: outcomes['met'] ?? 0,
      attainment: attainmentOf(rows),
      rejected: outcomes['rejected'] ?? 0,
      failed: outcomes['failed'] ?? 0,
      truncated: rows.filter(row => row.truncated).length,
      cancelled: outcomes['cancelled'] ?? 0,
      outcomes,
      reasons: tally(rows.flatMap(row => row.reason ?? [])),
      ttft_ms: ofRows(rows, row => row.ttft_ms),
      tpot_ms: ofRows(done, row => row.tpot_ms),
      itl_ms: ofHistogram(merged(runs.map(run => run.intervals.get(name)!))),
      e2e_ms: ofRows(done, row => row.e2e_ms),
    }
    return [name, entry]
  }))
}

/** How often each comes, most frequent first. */
function tally(names: readonly string[]): Record<string, number> {
  const counts = new Map<string, number>()
  for (const name of names) counts.set(name, (counts.get(name) ?? 0) + 1)
  return Object.fromEntries([...counts].sort((a, b) => b[1] - a[1]))
}

const sloOf = ({ ttftMs, tpotMs, deadlineMs }: SloTargets): ClassSummary['slo'] => ({
  ...ttftMs !== undefined && { ttft_ms: ttftMs }, ...tpotMs !== undefined && { tpot_ms: tpotMs }, ...deadlineMs !== undefined && { deadline_ms: deadlineMs },
})

function smoothOf(row: RequestRow): number {
  if (row.ending !== 'completed' || row.outcome === 'untargeted') return 0
  return smoothTokens(row.output_tokens, row.max_lateness_ms, row.tpot_target_ms ?? undefined)
}

/** A request that got no token and did not complete cost nothing that a client could know of. */
function wastedRatio(rows: readonly RequestRow[]): number | null {
  let all = 0
  let wasted = 0
  for (const row of rows) {
    if (row.first_token_ms === null && row.ending !== 'completed') continue
    const work = row.prompt_tokens * DEFAULT_TOKEN_COST.prompt + row.output_tokens * DEFAULT_TOKEN_COST.output
    all += work
    if (row.outcome !== 'met' && row.outcome !== 'untargeted') wasted += work
  }
  return all === 0 ? null : wasted / all
}

function ofRows(rows: readonly RequestRow[], of: (row: RequestRow) => number | null): Distribution | null {
  const values = rows.map(of).filter(value => value !== null)
  const quantiles = quantilesOf(values)
  return quantiles === undefined ? null : { mean: sum(values, value => value) / values.length, ...quantiles }
}

function ofHistogram(histogram: Histogram): Distribution | null {
  const percentiles = histogram.percentiles()
  return percentiles === undefined ? null : { mean: histogram.mean!, ...percentiles }
}

function merged(histograms: readonly Histogram[]): Histogram {
  const all = new Histogram()
  for (const histogram of histograms) all.merge(histogram)
  return all
}

type LatencyFields<K extends string> = { readonly [field in `${'mean' | 'median' | 'p90' | 'p95' | 'p99'}_${K}_ms`]: number | null }

function latencies<K extends string>(name: K, of: Distribution | null): LatencyFields<K> {
  const field = (statistic: string, value: number | undefined) => [`${statistic}_${name}_ms`, value ?? null] as const
  return Object.fromEntries([field('mean', of?.mean), field('median', of?.p50), field('p90', of?.p90), field('p95', of?.p95), field('p99', of?.p99)]) as LatencyFields<K>
}

const sum = <T>(items: readonly T[], of: (item: T) => number): number => items.reduce((total, item) => total + of(item), 0)
