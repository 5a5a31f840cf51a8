import { knee } from '../../simulator/index.js'
import type { MaximumGoodput } from '../campaign.js'
import type { LoadSummary } from '../summary.js'

/** One latency–throughput curve of one server. */
export interface Sweep {
  readonly target: string
  /** By rate, then by concurrency, each rising. */
  readonly loads: readonly LoadSummary[]
}

/** What a command measured; one of the three. */
export type BenchResult =
  | { readonly kind: 'loads', readonly loads: readonly LoadSummary[] }
  | { readonly kind: 'sweep', readonly sweeps: readonly Sweep[] }
  | { readonly kind: 'maximum', readonly maxima: readonly MaximumGoodput[] }

/** Of rates and concurrencies, which differ in kind, those that make one curve: the rates where there are enough of them. */
export function curveLoads(loads: readonly LoadSummary[]): readonly LoadSummary[] {
  const open = loads.filter(load => load.concurrency === null)
  const closed = loads.filter(load => load.concurrency !== null)
  return open.length >= 3 || closed.length === 0 ? open : closed
}

/** A curve's points: output tokens per second against the p90 of TTFT, in ms. */
export function curve(loads: readonly LoadSummary[]): (readonly [number, number])[] {
  return loads.flatMap(load => load.p90_ttft_ms === null ? [] : [[load.output_tokens_per_s, load.p90_ttft_ms] as const]).sort((a, b) => a[0] - b[0])
}

/** Where a sweep's curve bends: throughput beyond it is paid for with latency. */
export function kneeOf({ loads }: Sweep): { readonly output_tokens_per_s: number, readonly p90_ttft_ms: number, readonly rate_per_s: number | null, readonly concurrency: number | null } | undefined {
  const considered = curveLoads(loads)
  const at = knee(curve(considered))
  if (at === undefined) return undefined
  const load = considered.find(entry => entry.output_tokens_per_s === at[0] && entry.p90_ttft_ms === at[1])!
  // Nothing was measured beyond the highest load, so nothing bends there.
  if (load === considered.at(-1)) return undefined
  return { output_tokens_per_s: at[0], p90_ttft_ms: at[1], rate_per_s: load.rate_per_s, concurrency: load.concurrency }
}

/** The result for programs. One load on one server is the object itself. */
export function benchJson(result: BenchResult): unknown {
  switch (result.kind) {
    case 'loads': return result.loads.length === 1 ? result.loads[0] : { targets: result.loads }
    case 'sweep': {
      const sweeps = result.sweeps.map(sweep => ({ ...sweep, knee: kneeOf(sweep) ?? null }))
      return sweeps.length === 1 ? sweeps[0] : { targets: sweeps }
    }
    case 'maximum': return result.maxima.length === 1 ? result.maxima[0] : { targets: result.maxima }
  }
}

/** Every load that was measured. */
export function loadsOf(result: BenchResult): readonly LoadSummary[] {
  switch (result.kind) {
    case 'loads': return result.loads
    case 'sweep': return result.sweeps.flatMap(({ loads }) => loads)
    case 'maximum': return result.maxima.flatMap(({ probes }) => probes)
  }
}
