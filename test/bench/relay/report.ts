/** From samples to medians, ratios, a table, the JSON form, a page and a chart. */
import { cpus } from 'node:os'
import type { ClientReport } from './client.js'

export interface Sample {
  readonly scenario: string
  readonly proxy: string
  readonly rep: number
  readonly connections: number
  readonly cpuNs: number
  readonly heldBytes: number
  readonly report: ClientReport
}

interface Figure { readonly median: number, readonly low: number, readonly high: number }

function figure (values: readonly number[]): Figure {
  const sorted = values.filter(Number.isFinite).sort((a, b) => a - b)
  const middle = sorted.length >> 1
  const median = sorted.length === 0 ? NaN : sorted.length % 2 === 1 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2
  return { median, low: sorted[0] ?? NaN, high: sorted.at(-1) ?? NaN }
}

type Measure = (sample: Sample) => number

const cpuPerEventUs: Measure = sample => sample.cpuNs / 1000 / sample.report.events
const eventsPerCore: Measure = sample => sample.report.events / (sample.cpuNs / 1e9)
const requestsPerCore: Measure = sample => sample.report.requests / (sample.cpuNs / 1e9)

function pick (samples: readonly Sample[], scenario: string, proxy: string): Sample[] {
  return samples.filter(sample => sample.scenario === scenario && sample.proxy === proxy)
}

/** Paired by repetition, so that what the machine did to both cancels. */
function paired (samples: readonly Sample[], scenario: string, proxy: string, other: string, combine: (mine: Sample, theirs: Sample) => number, otherScenario = scenario): Figure {
  return figure(pick(samples, scenario, proxy).flatMap(mine => {
    const theirs = pick(samples, otherScenario, other).find(sample => sample.rep === mine.rep)
    return theirs === undefined ? [] : [combine(mine, theirs)]
  }))
}

const ratioOf = (measure: Measure) => (mine: Sample, theirs: Sample) => measure(mine) / measure(theirs)
const added = (measure: Measure) => (mine: Sample, theirs: Sample) => measure(mine) - measure(theirs)

/** The form that other programs rely on; every figure has its [lowest, highest] in `spread`. */
export function contractJson (samples: readonly Sample[], proxy = 'sluice'): object {
  const spread: Record<string, [number, number]> = {}
  const round = (value: number) => Number.isFinite(value) ? Math.round(value * 1000) / 1000 : null
  const say = (name: string, value: Figure) => {
    spread[name] = [round(value.low) ?? 0, round(value.high) ?? 0]
    return round(value.median)
  }
  const held = pick(samples, 'memory', proxy)
  return {
    ratios: {
      cpu_per_event_vs_nginx: say('cpu_per_event_vs_nginx', paired(samples, '500x50', proxy, 'nginx', ratioOf(cpuPerEventUs))),
      cpu_per_event_at_saturation_vs_nginx: say('cpu_per_event_at_saturation_vs_nginx', paired(samples, 'saturation', proxy, 'nginx', ratioOf(cpuPerEventUs))),
      events_per_s_vs_nginx: say('events_per_s_vs_nginx', paired(samples, 'saturation', proxy, 'nginx', ratioOf(eventsPerCore))),
      requests_per_s_vs_nginx: say('requests_per_s_vs_nginx', paired(samples, 'requests', proxy, 'nginx', ratioOf(requestsPerCore))),
    },
    added_ttft_ms: {
      p50: say('added_ttft_ms.p50', paired(samples, '200x50', proxy, 'direct', added(s => s.report.ttftMs.p50))),
      p99: say('added_ttft_ms.p99', paired(samples, '200x50', proxy, 'direct', added(s => s.report.ttftMs.p99))),
    },
    added_event_delay_ms: {
      p50: say('added_event_delay_ms.p50', paired(samples, '500x50', proxy, 'nginx', added(s => s.report.delayMs.p50))),
      p99: say('added_event_delay_ms.p99', paired(samples, '500x50', proxy, 'nginx', added(s => s.report.delayMs.p99))),
      p999: say('added_event_delay_ms.p999', paired(samples, '500x50', proxy, 'nginx', added(s => s.report.delayMs.p999))),
    },
    added_request_latency_ms: {
      p50: say('added_request_latency_ms.p50', paired(samples, '500rps', proxy, 'direct', added(s => s.report.latencyMs.p50))),
      p99: say('added_request_latency_ms.p99', paired(samples, '500rps', proxy, 'direct', added(s => s.report.latencyMs.p99))),
    },
    memory_per_stream_kb: say('memory_per_stream_kb', figure(held.map(sample => sample.heldBytes / 1024 / sample.connections))),
    large_prompt_gap_ms: say('large_prompt_gap_ms', paired(samples, 'prompt1m', proxy, proxy, added(s => s.report.gapMs.p999), 'undisturbed')),
    slo_cost_ratio: say('slo_cost_ratio', paired(samples, '500x50', proxy, 'sluice-plain', ratioOf(cpuPerEventUs))),
    spread,
  }
}

const ROWS: readonly { title: string, scenario: string, unit: string, measure: Measure }[] = [
  { title: 'CPU per event, 500 × 50/s', scenario: '500x50', unit: 'µs', measure: cpuPerEventUs },
  { title: 'event delay p50, 500 × 50/s', scenario: '500x50', unit: 'ms', measure: s => s.report.delayMs.p50 },
  { title: 'event delay p99, 500 × 50/s', scenario: '500x50', unit: 'ms', measure: s => s.report.delayMs.p99 },
  { title: 'event delay p99.9, 500 × 50/s', scenario: '500x50', unit: 'ms', measure: s => s.report.delayMs.p999 },
  { title: 'time to first token p99, 500 × 50/s', scenario: '500x50', unit: 'ms', measure: s => s.report.ttftMs.p99 },
  { title: 'event delay p99, 500 × 50/s in bursts', scenario: '500burst', unit: 'ms', measure: s => s.report.delayMs.p99 },
  { title: 'time to first token p99, 500 × 50/s in bursts', scenario: '500burst', unit: 'ms', measure: s => s.report.ttftMs.p99 },
  { title: 'CPU per event, 200 × 50/s', scenario: '200x50', unit: 'µs', measure: cpuPerEventUs },
  { title: 'time to first token p50, 200 × 50/s', scenario: '200x50', unit: 'ms', measure: s => s.report.ttftMs.p50 },
  { title: 'time to first token p99, 200 × 50/s', scenario: '200x50', unit: 'ms', measure: s => s.report.ttftMs.p99 },
  { title: 'event delay p99, 200 × 50/s', scenario: '200x50', unit: 'ms', measure: s => s.report.delayMs.p99 },
  { title: 'event delay p99.9, 200 × 50/s', scenario: '200x50', unit: 'ms', measure: s => s.report.delayMs.p999 },
  { title: 'CPU per event, 1,000 slow streams', scenario: '1000slow', unit: 'µs', measure: cpuPerEventUs },
  { title: 'event delay p99, 1,000 slow streams', scenario: '1000slow', unit: 'ms', measure: s => s.report.delayMs.p99 },
  { title: 'time to first token p99, 1,000 slow streams', scenario: '1000slow', unit: 'ms', measure: s => s.report.ttftMs.p99 },
  { title: 'CPU per event, 256 × 200/s', scenario: 'saturation', unit: 'µs', measure: cpuPerEventUs },
  { title: 'events per second of CPU, 256 × 200/s', scenario: 'saturation', unit: '/s', measure: eventsPerCore },
  { title: 'events per second delivered, 256 × 200/s', scenario: 'saturation', unit: '/s', measure: s => s.report.events / s.report.measuredMs * 1000 },
  { title: 'requests per second of CPU, not streamed', scenario: 'requests', unit: '/s', measure: requestsPerCore },
  { title: 'request latency p50 at 500/s', scenario: '500rps', unit: 'ms', measure: s => s.report.latencyMs.p50 },
  { title: 'request latency p99 at 500/s', scenario: '500rps', unit: 'ms', measure: s => s.report.latencyMs.p99 },
  { title: 'CPU per request with a 32 KB prompt', scenario: 'prompt32k', unit: 'µs', measure: s => s.cpuNs / 1000 / s.report.requests },
  { title: 'gap p99.9 beside 1 MB prompts', scenario: 'prompt1m', unit: 'ms', measure: s => s.report.gapMs.p999 },
  { title: 'gap p99.9 without them', scenario: 'undisturbed', unit: 'ms', measure: s => s.report.gapMs.p999 },
  { title: 'memory held by idle streams', scenario: 'memory', unit: 'MB', measure: s => s.heldBytes / 1e6 },
  { title: 'errors', scenario: '500x50', unit: '', measure: s => s.report.errors },
]

const show = (value: number) => !Number.isFinite(value) ? '–' : Math.abs(value) >= 1000 ? Math.round(value).toLocaleString('en') : value.toPrecision(3)

function cells (samples: readonly Sample[]): { head: string[], rows: string[][] } {
  const names = [...new Set(samples.map(sample => sample.proxy))]
  const rows = ROWS.filter(row => samples.some(sample => sample.scenario === row.scenario)).map(row => [
    `${row.title}${row.unit === '' ? '' : `, ${row.unit}`}`,
    ...names.map(name => {
      const value = figure(pick(samples, row.scenario, name).map(row.measure))
      return `${show(value.median)} (${show(value.low)}–${show(value.high)})`
    }),
  ])
  return { head: ['median (lowest–highest)', ...names], rows }
}

export function table (samples: readonly Sample[]): string {
  const { head, rows } = cells(samples)
  const widths = head.map((_, i) => Math.max(...[head, ...rows].map(row => row[i]!.length)))
  const line = (row: string[]) => row.map((cell, i) => i === 0 ? cell.padEnd(widths[i]!) : cell.padStart(widths[i]!)).join('  ')
  return [line(head), ...rows.map(line), '', JSON.stringify(contractJson(samples)), ''].join('\n')
}

export function markdown (samples: readonly Sample[], about: { reps: number, command: string }): string {
  const { head, rows } = cells(samples)
  const row = (values: string[]) => `| ${values.join(' | ')} |`
  return `# What the relay costs

Made by \`${about.command.trim()}\`: ${about.reps} repetitions, interleaved, every proxy alone on one core of
${cpus()[0]?.model ?? 'an unknown processor'}, load client and synthetic upstream on the other, Node ${process.version}. \`direct\` is the upstream without a proxy:
what it shows is the floor of the load tool itself. Each figure is the median over the repetitions with the lowest and highest. Before the first
every proxy serves short streams for ten seconds and requests for fifteen, as many as it can: a gateway runs for days, and what the engine compiles meanwhile is not
what it costs. Streams begin at any time; *in bursts* all 500 of them begin within the same half second of every two.
Figures per second *of CPU* do not depend on whether the load fills the proxy's core, so a load tool that is slower than a proxy cannot flatter it.

![CPU per event](relay.svg)

${[row(head), row(head.map((_, i) => i === 0 ? '---' : '---:')), ...rows.map(row)].join('\n')}

Ratios, paired by repetition:

\`\`\`json
${JSON.stringify(contractJson(samples), null, 2)}
\`\`\`
`
}

/** Bars of CPU per event, one group per load. */
export function chart (samples: readonly Sample[]): string {
  const loads = ['500x50', 'saturation']
  const bars = loads.flatMap(load => [...new Set(samples.map(sample => sample.proxy))].filter(name => name !== 'direct')
    .map(name => ({ label: `${name}, ${load}`, value: figure(pick(samples, load, name).map(cpuPerEventUs)).median }))).filter(bar => Number.isFinite(bar.value))
  const most = Math.max(1, ...bars.map(bar => bar.value))
  const rows = bars.map((bar, i) => `<text x="175" y="${i * 24 + 17}" text-anchor="end">${bar.label}</text><rect x="183" y="${i * 24 + 4}" width="${(bar.value / most * 380).toFixed(1)}" height="17" fill="#3b7dd8"/><text x="${(190 + bar.value / most * 380).toFixed(1)}" y="${i * 24 + 17}">${bar.value.toFixed(1)} µs</text>`)
  return `<svg xmlns="http://www.w3.org/2000/svg" width="660" height="${bars.length * 24 + 8}" font-family="sans-serif" font-size="12" style="background:#fff">${rows.join('')}</svg>\n`
}
