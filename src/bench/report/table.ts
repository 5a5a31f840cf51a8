import { columns, count, share } from '../../simulator/index.js'
import type { MaximumGoodput } from '../campaign.js'
import type { Distribution, LoadSummary } from '../summary.js'
import { kneeOf, type BenchResult, type Sweep } from './result.js'

const NOTHING = '–'
const orNothing = (value: number | null | undefined, shown: (value: number) => string): string => value === null || value === undefined ? NOTHING : shown(value)
const ms = (value: number | null | undefined): string => orNothing(value, number => number >= 100 ? number.toFixed(0) : number.toFixed(1))
const attained = (value: number | null): string => orNothing(value, share)

/** The result as text for people. */
export function benchTable(result: BenchResult): string {
  const parts = result.kind === 'loads' ? result.loads.map(loadTable) : result.kind === 'sweep' ? result.sweeps.map(sweepTable) : result.maxima.map(maximumTable)
  return `${parts.join('\n\n')}\n`
}

function loadTable(load: LoadSummary): string {
  const quantiles = (name: string, of: Distribution | null) => [name, ms(of?.mean), ms(of?.p50), ms(of?.p90), ms(of?.p95), ms(of?.p99)]
  return [
    `${load.target}: ${load.workload}, ${loadInWords(load)}, ${load.duration_s.toFixed(0)} s measured, ${load.seeds.length === 1 ? 'seed' : 'seeds'} ${load.seeds.join(', ')}`,
    '',
    columns([
      ['class', 'offered', 'completed', 'met', 'attainment', 'rejected', 'failed', 'truncated', 'cancelled', 'targets'],
      ...Object.entries(load.classes).map(([name, entry]) => [
        name, ...[entry.offered, entry.completed, entry.met].map(String), attained(entry.attainment),
        ...[entry.rejected, entry.failed, entry.truncated, entry.cancelled].map(String), targetsInWords(entry.slo),
      ]),
    ]),
    '',
    columns([
      ['milliseconds', 'mean', 'p50', 'p90', 'p95', 'p99'],
      ...Object.entries(load.classes).flatMap(([name, entry]) => entry.offered === 0 ? [] : [
        quantiles(`${name} TTFT`, entry.ttft_ms), quantiles(`${name} TPOT`, entry.tpot_ms), quantiles(`${name} ITL`, entry.itl_ms), quantiles(`${name} E2E`, entry.e2e_ms),
      ]),
    ]),
    '',
    columns([
      ['per second', 'offered', 'goodput', 'good tokens', 'smooth tokens', 'input tokens', 'output tokens', 'best second', 'wasted', 'most at once'],
      ['', load.offered_per_s.toFixed(2), load.request_goodput_per_s.toFixed(2), count(load.token_goodput_per_s), count(load.smooth_tokens_per_s), count(load.input_tokens_per_s), count(load.output_tokens_per_s), count(load.max_output_tokens_per_s), attained(load.wasted_ratio), String(load.max_concurrent_requests)],
    ]),
    ...reasonsOf(load),
    ...lagNotice([load]),
  ].join('\n')
}

/** Why requests did not complete; of many reasons the most frequent. */
const reasonsOf = ({ classes }: LoadSummary): string[] => Object.entries(classes).flatMap(([name, { reasons }]) => {
  const shown = Object.entries(reasons).slice(0, REASONS_SHOWN).map(([reason, times]) => `${times} × ${reason.length > REASON_LENGTH ? `${reason.slice(0, REASON_LENGTH)}…` : reason}`)
  return shown.length === 0 ? [] : ['', `${name} did not complete: ${shown.join('; ')}`]
})
const REASONS_SHOWN = 3
const REASON_LENGTH = 160

/** Above this the load tool's own lateness is no longer small against what it measures. */
const LAG_WORTH_SAYING_MS = 5

function lagNotice(loads: readonly LoadSummary[]): string[] {
  const worst = Math.max(...loads.map(load => load.send_lag_ms?.p99 ?? 0))
  return worst > LAG_WORTH_SAYING_MS ? ['', `The load tool itself sent up to ${ms(worst)} ms late (p99), which is in these times: this machine is too busy for the load.`] : []
}

const HEADINGS = ['', 'attainment', 'worst', 'goodput/s', 'good tok/s', 'out tok/s', 'TTFT p50', 'p90', 'p99', 'TPOT p50', 'p90', 'p99']

const sweepRow = (load: LoadSummary): string[] => [
  load.concurrency === null ? `${count(load.rate_per_s!)}/s` : `${load.concurrency} at once`, attained(load.attainment), attained(load.worst_attainment),
  load.request_goodput_per_s.toFixed(2), count(load.token_goodput_per_s), count(load.output_tokens_per_s),
  ms(load.median_ttft_ms), ms(load.p90_ttft_ms), ms(load.p99_ttft_ms), ms(load.median_tpot_ms), ms(load.p90_tpot_ms), ms(load.p99_tpot_ms),
]

function sweepTable(sweep: Sweep): string {
  const bend = kneeOf(sweep)
  return [
    `${sweep.target}: ${sweep.loads[0]?.workload ?? ''}`, '',
    columns([HEADINGS, ...sweep.loads.map(sweepRow)]), '',
    bend === undefined ? 'No knee within these loads.' : `Knee at ${bend.rate_per_s === null ? `${bend.concurrency} at once` : `${count(bend.rate_per_s)}/s`}: ${count(bend.output_tokens_per_s)} output tokens/s at a p90 TTFT of ${ms(bend.p90_ttft_ms)} ms.`,
    ...lagNotice(sweep.loads),
  ].join('\n')
}

function maximumTable({ target, objective, rate_per_s, probes }: MaximumGoodput): string {
  return [
    `${target}: ${probes[0]?.workload ?? ''}`, '',
    columns([HEADINGS, ...probes.map(sweepRow)]), '',
    `Maximum goodput: ${rate_per_s.toFixed(2)} requests/s is the highest rate at which every class attains ${objective}.`,
    ...lagNotice(probes),
  ].join('\n')
}

const loadInWords = (load: LoadSummary): string => load.concurrency === null ? `${Number(load.rate_per_s!.toPrecision(4))} requests/s` : `${load.concurrency} requests at once`

const targetsInWords = ({ ttft_ms, tpot_ms, deadline_ms }: LoadSummary['classes'][string]['slo']): string =>
  [['TTFT', ttft_ms] as const, ['TPOT', tpot_ms] as const, ['E2E', deadline_ms] as const].filter(([, value]) => value !== undefined).map(([name, value]) => `${name} ${value} ms`).join(', ') || 'none'
