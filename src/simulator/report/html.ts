import type { LoadSummary } from '../study/summary.js'
import type { PolicySummary, Study } from '../study/study.js'
import { escapeHtml, lineChart, type Series } from './chart.js'
import { htmlPage } from './page.js'
import { burden, count, load, share } from './format.js'
import { knee } from './knee.js'

/** A study as one page that needs nothing else: no script, no font, no address. */
export function studyHtml(study: Study, command: string): string {
  const classes = Object.keys(study.policies[0]?.loads[0]?.attainment ?? {})
  const objectives = Object.keys(study.policies[0]?.load_at_objective ?? {})
  const levels = objectives.map(Number)
  const marks = objectives.flatMap(objective => study.bound[objective] === undefined ? [] : [{ x: study.bound[objective], name: `clairvoyant bound at ${objective}` }])
  const overLoad = (of: (entry: LoadSummary) => number | null): Series[] => study.policies.map(policy => ({ name: policy.name, points: policy.loads.map(entry => [entry.load, of(entry) ?? NaN] as const) }))
  const charts = [
    lineChart({ title: 'Attainment of the worst class', x: 'load', y: 'share', series: overLoad(entry => entry.worst_attainment), yLimits: [0, 1], levels, marks }),
    lineChart({ title: 'Goodput', x: 'load', y: 'requests/s that meet their targets', series: overLoad(entry => entry.goodput_per_s), marks }),
    ...classes.map(name => lineChart({ title: `Attainment of ${name}`, x: 'load', y: 'share', series: overLoad(entry => entry.attainment[name] ?? null), yLimits: [0, 1], levels })),
    lineChart({ title: 'TTFT against throughput (ring: knee)', x: 'output tokens/s', y: 'p90 TTFT of the slowest class, ms', logY: true, series: study.policies.map(ttftCurve) }),
    lineChart({ title: 'Cost per million good tokens', x: 'load', y: study.policies.some(policy => policy.loads.some(entry => entry.cost_per_million_good_tokens !== null)) ? 'cost' : 'backend-hours', logY: true, series: overLoad(entry => entry.cost_per_million_good_tokens ?? backendHours(study, entry)) }),
    lineChart({ title: 'Wasted work', x: 'load', y: 'share of engine time', series: overLoad(entry => entry.wasted_ratio), yLimits: [0, 1] }),
  ]
  return htmlPage(`Sluice simulation: ${study.workload}`, `<h1>${escapeHtml(study.workload)} on ${study.backends} backends</h1>
<p>Load 1.0 is ${count(study.raw_rate_per_s)} requests/s: what the fleet completes with a deep backlog and no targets at all. Seeds ${study.seed_list.join(', ')}. Rejected requests count as missed. Dotted lines: objectives and the clairvoyant bound.</p>
<p><code>${escapeHtml(command)}</code></p>
<p class="legend">${study.policies.map((policy, i) => `<span class="k${i}">${escapeHtml(policy.name)}</span>`).join(' ')}</p>
<div class="charts">${charts.map(chart => `<figure>${chart}</figure>`).join('\n')}</div>
${objectiveTable(study, objectives)}
${study.policies.map(policy => policyTable(policy, classes)).join('\n')}`)
}

function ttftCurve(policy: PolicySummary): Series {
  const points = policy.loads.flatMap(entry => {
    const worst = Math.max(...Object.values(entry.ttft_ms).map(quantiles => quantiles.p90))
    return Number.isFinite(worst) ? [[entry.output_tokens_per_s, worst] as const] : []
  }).sort((a, b) => a[0] - b[0])
  const at = knee(points)
  return { name: policy.name, points, mark: at === undefined ? undefined : { at, title: `${policy.name}: knee at ${count(at[0])} tokens/s, ${count(at[1])} ms` } }
}

function backendHours(study: Study, entry: LoadSummary): number | null {
  return entry.good_tokens_per_s === 0 ? null : study.backends / (entry.good_tokens_per_s * 3600) * 1e6
}

function objectiveTable(study: Study, objectives: readonly string[]): string {
  if (objectives.length === 0) return ''
  const row = (cells: readonly string[], tag = 'td') => `<tr>${cells.map(cell => `<${tag}>${escapeHtml(cell)}</${tag}>`).join('')}</tr>`
  return `<h2>Highest load at which the worst class attains the objective</h2><table>${row(['', ...objectives], 'th')}
${study.policies.map(policy => row([policy.name, ...objectives.map(objective => load(policy.load_at_objective[objective]!))])).join('\n')}
${row(['clairvoyant bound', ...objectives.map(objective => study.bound[objective] === undefined ? 'none' : load(study.bound[objective]))])}</table>`
}

function policyTable(policy: PolicySummary, classes: readonly string[]): string {
  const cells = (values: readonly string[], tag: string) => `<tr>${values.map(value => `<${tag}>${escapeHtml(value)}</${tag}>`).join('')}</tr>`
  return `<h2>${escapeHtml(policy.name)}${policy.split === undefined ? '' : ` <small>${escapeHtml(policy.split)}</small>`}</h2><table>
${cells(['load', 'offered/s', ...classes, 'worst over seeds', 'goodput/s', 'good tokens/s', 'wasted', 'refused', 'false refusals', 'batch kept'], 'th')}
${policy.loads.map(entry => cells([
    load(entry.load), count(entry.offered_per_s), ...classes.map(name => share(entry.attainment[name]!)), entry.spread.worst_attainment.map(share).join('–'),
    count(entry.goodput_per_s), count(entry.good_tokens_per_s), burden(entry.wasted_ratio), burden(entry.rejected_ratio),
    entry.false_rejection_ratio === null ? '–' : burden(entry.false_rejection_ratio), share(entry.batch_kept_ratio),
  ], 'td')).join('\n')}</table>`
}
