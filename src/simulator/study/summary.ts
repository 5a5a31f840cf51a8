import type { Quantiles } from '../quantiles.js'
import type { ClassResult, RunResult } from '../tally.js'

/** One policy at one load, over all seeds: counts are pooled, percentiles are means over the seeds. The JSON form of the contract. */
export interface LoadSummary {
  readonly load: number
  readonly offered_per_s: number
  /** By class; batch work by its deadline. */
  readonly attainment: Readonly<Record<string, number>>
  /** Of all classes that have a target. */
  readonly worst_attainment: number
  /** Over all requests that have a TTFT or TPOT target. */
  readonly interactive_attainment: number
  readonly goodput_per_s: number
  readonly good_tokens_per_s: number
  readonly smooth_tokens_per_s: number
  /** Throughput: what completes within the time, good or not. */
  readonly output_tokens_per_s: number
  readonly completed_per_s: number
  readonly wasted_ratio: number
  readonly rejected_ratio: number
  /** Share of probes that met their targets; null = none was probed. */
  readonly false_rejection_ratio: number | null
  readonly probes: number
  /** Share of refusals at a moment when some backend, as it truly was, had time enough for the first token. */
  readonly refused_with_room_ratio: number | null
  /** Share of the tokens of requests without TTFT and TPOT targets that were served by their deadline; 1 where there are none. */
  readonly batch_kept_ratio: number
  readonly prefix_hit_ratio: number | null
  readonly ttft_ms: Readonly<Record<string, Quantiles>>
  readonly tpot_ms: Readonly<Record<string, Quantiles>>
  readonly queue_ms: Readonly<Record<string, Quantiles>>
  /** Null where backends have no cost, or nothing was good. */
  readonly cost_per_million_good_tokens: number | null
  readonly cost_per_million_tokens: number | null
  /** Least and most over the seeds. */
  readonly spread: Readonly<Record<'worst_attainment' | 'interactive_attainment' | 'goodput_per_s' | 'good_tokens_per_s' | 'wasted_ratio', readonly [number, number]>>
}

const ratio = (part: number, whole: number): number => whole === 0 ? 1 : part / whole
const ratioOrNull = (part: number, whole: number): number | null => whole === 0 ? null : part / whole
const sum = <T>(items: readonly T[], of: (item: T) => number): number => items.reduce((total, item) => total + of(item), 0)

/** `costPerHour`: of the whole fleet; undefined = unknown. */
export function summarise(load: number, offeredPerSecond: number, runs: readonly RunResult[], costPerHour: number | undefined): LoadSummary {
  const names = runs[0]!.classes.map(entry => entry.name)
  const byName = names.map(name => runs.map(run => run.classes.find(entry => entry.name === name)!))
  const seconds = sum(runs, run => run.measuredMs) / 1000
  const all = runs.flatMap(run => run.classes)
  const attainment = Object.fromEntries(byName.map((entries, i) => [names[i]!, attained(entries)]))
  const goodTokens = sum(all, entry => entry.goodTokens) / seconds
  const outputTokens = sum(runs, run => run.outputTokens) / seconds
  const batch = all.filter(entry => !entry.interactive)
  const range = (of: (run: RunResult) => number): readonly [number, number] => [Math.min(...runs.map(of)), Math.max(...runs.map(of))]
  return {
    load,
    offered_per_s: offeredPerSecond,
    attainment,
    worst_attainment: worst(byName),
    interactive_attainment: attained(all.filter(entry => entry.interactive)),
    goodput_per_s: sum(all, entry => entry.met) / seconds,
    good_tokens_per_s: goodTokens,
    smooth_tokens_per_s: sum(all, entry => entry.smoothTokens) / seconds,
    output_tokens_per_s: outputTokens,
    completed_per_s: sum(runs, run => run.completed) / seconds,
    wasted_ratio: 1 - ratio(sum(runs, run => run.workedMs - run.wastedMs), sum(runs, run => run.workedMs)),
    rejected_ratio: sum(runs, run => run.refused) / Math.max(1, sum(all, entry => entry.offered)),
    false_rejection_ratio: ratioOrNull(sum(runs, run => run.probesMet), sum(runs, run => run.probes)),
    probes: sum(runs, run => run.probes),
    refused_with_room_ratio: ratioOrNull(sum(runs, run => run.refusedWithRoom), sum(runs, run => run.refused)),
    batch_kept_ratio: ratio(sum(batch, entry => entry.keptTokens), sum(batch, entry => entry.offeredTokens)),
    prefix_hit_ratio: ratioOrNull(sum(runs, run => run.prefixHitTokens), sum(runs, run => run.prefixQueryTokens)),
    ttft_ms: quantilesByClass(names, byName, entry => entry.ttftMs),
    tpot_ms: quantilesByClass(names, byName, entry => entry.tpotMs),
    queue_ms: quantilesByClass(names, byName, entry => entry.queueMs),
    cost_per_million_good_tokens: costPerMillion(costPerHour, goodTokens),
    cost_per_million_tokens: costPerMillion(costPerHour, outputTokens),
    spread: {
      worst_attainment: range(run => worst(run.classes.map(entry => [entry]))),
      interactive_attainment: range(run => attained(run.classes.filter(entry => entry.interactive))),
      goodput_per_s: range(run => sum(run.classes, entry => entry.met) / run.measuredMs * 1000),
      good_tokens_per_s: range(run => sum(run.classes, entry => entry.goodTokens) / run.measuredMs * 1000),
      wasted_ratio: range(run => 1 - ratio(run.workedMs - run.wastedMs, run.workedMs)),
    },
  }
}

const attained = (entries: readonly ClassResult[]): number => ratio(sum(entries, entry => entry.met), sum(entries, entry => entry.counted))

const worst = (byClass: readonly (readonly ClassResult[])[]): number => Math.min(...byClass.filter(entries => sum(entries, entry => entry.counted) > 0).map(attained), 1)

function costPerMillion(costPerHour: number | undefined, tokensPerSecond: number): number | null {
  return costPerHour === undefined || tokensPerSecond === 0 ? null : costPerHour / (tokensPerSecond * 3600) * 1e6
}

function quantilesByClass(names: readonly string[], byName: readonly (readonly ClassResult[])[], of: (entry: ClassResult) => Quantiles | undefined): Record<string, Quantiles> {
  const result: Record<string, Quantiles> = {}
  byName.forEach((entries, i) => {
    const samples = entries.map(of).filter(entry => entry !== undefined)
    if (samples.length === 0) return
    const mean = (level: keyof Quantiles) => sum(samples, sample => sample[level]) / samples.length
    result[names[i]!] = { p50: mean('p50'), p90: mean('p90'), p95: mean('p95'), p99: mean('p99') }
  })
  return result
}
