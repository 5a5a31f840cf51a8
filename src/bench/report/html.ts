import { escapeHtml, htmlPage, lineChart, type Series } from '../../simulator/index.js'
import type { Distribution, LoadSummary } from '../summary.js'
import { curve, curveLoads, kneeOf, loadsOf, type BenchResult } from './result.js'
import { benchTable } from './table.js'

/** The result as one page that needs nothing else. */
export function benchHtml(result: BenchResult, command: string): string {
  const targets = [...new Set(loadsOf(result).map(load => load.target))]
  const legend = targets.map((target, i) => `<span class="k${i}">${escapeHtml(target)}</span>`).join(' ')
  const charts = (result.kind === 'loads' ? distributionCharts(result.loads) : curveCharts(result, targets)).filter(chart => chart !== '')
  return htmlPage('Sluice bench', `<h1>${escapeHtml(targets.join(', '))}</h1>
<p>Latency counts from the time at which a request was to be sent. Rejected, failed and given-up requests count as missed.</p>
<p><code>${escapeHtml(command)}</code></p>
<p class="legend">${legend}</p>
<div class="charts">${charts.map(chart => `<figure>${chart}</figure>`).join('\n')}</div>
<pre>${escapeHtml(benchTable(result))}</pre>`)
}

const LEVELS = [['p50', 0.5], ['p90', 0.9], ['p95', 0.95], ['p99', 0.99]] as const

/** Percentiles of each class, one line per target. */
function distributionCharts(loads: readonly LoadSummary[]): string[] {
  const names = Object.keys(loads[0]?.classes ?? {})
  const measures = [['TTFT', 'ttft_ms', 'ttft_ms'], ['TPOT', 'tpot_ms', 'tpot_ms'], ['E2E', 'e2e_ms', 'deadline_ms']] as const
  return names.flatMap(name => measures.map(([title, field, target]) => {
    const slo = loads[0]!.classes[name]!.slo[target]
    const series: Series[] = loads.map(load => ({ name: load.target, points: pointsOf(load.classes[name]![field]) }))
    return lineChart({ title: `${title} of ${name}${slo === undefined ? '' : `, target ${slo} ms`}`, x: 'share of requests', y: 'ms', series, ...slo !== undefined && { levels: [slo] } })
  }))
}

const pointsOf = (of: Distribution | null): (readonly [number, number])[] => of === null ? [] : LEVELS.map(([level, x]) => [x, of[level]] as const)

function curveCharts(result: Exclude<BenchResult, { kind: 'loads' }>, targets: readonly string[]): string[] {
  const loads = loadsOf(result)
  const objective = result.kind === 'maximum' ? result.maxima[0]?.objective : undefined
  const of = (target: string, open: boolean) => loads.filter(load => load.target === target && (load.concurrency === null) === open)
  const overLoad = (open: boolean, y: (load: LoadSummary) => number | null): Series[] => targets.map(target => ({
    name: target, points: of(target, open).map(load => [load.rate_per_s ?? load.concurrency!, y(load) ?? NaN] as const),
  }))
  const latency: Series[] = targets.map(target => {
    const bend = result.kind === 'sweep' ? kneeOf(result.sweeps.find(sweep => sweep.target === target)!) : undefined
    return {
      name: target, points: curve(curveLoads(loads.filter(load => load.target === target))),
      mark: bend === undefined ? undefined : { at: [bend.output_tokens_per_s, bend.p90_ttft_ms] as const, title: `${target}: knee` },
    }
  })
  return [
    lineChart({ title: 'Attainment of the worst class', x: 'requests/s', y: 'share', yLimits: [0, 1], series: overLoad(true, load => load.worst_attainment), ...objective !== undefined && { levels: [objective] } }),
    lineChart({ title: 'Goodput', x: 'requests/s offered', y: 'requests/s that meet their targets', series: overLoad(true, load => load.request_goodput_per_s) }),
    lineChart({ title: 'TTFT against throughput (ring: knee)', x: 'output tokens/s', y: 'p90 TTFT, ms', logY: true, series: latency }),
    lineChart({ title: 'TPOT', x: 'requests/s', y: 'p90, ms', series: overLoad(true, load => load.p90_tpot_ms) }),
    lineChart({ title: 'TTFT by concurrency', x: 'requests at once', y: 'p90, ms', series: overLoad(false, load => load.p90_ttft_ms) }),
    lineChart({ title: 'Throughput by concurrency', x: 'requests at once', y: 'output tokens/s', series: overLoad(false, load => load.output_tokens_per_s) }),
  ]
}
