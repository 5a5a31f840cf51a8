/** From runs to the table, the JSON form and the page. */
import type { LoadSummary } from '../../src/bench/index.js'
import type { ArmName } from './arms.js'

/** One arm at one load of one workload. */
export interface Cell {
  readonly workload: string
  readonly arm: ArmName
  readonly load: number
  readonly live: LoadSummary
  /** What the simulator says of the same requests on the same fleet; undefined where no policy of the simulator is like the arm. */
  readonly simulated: { readonly attainment: Readonly<Record<string, number>>, readonly overall: number, readonly worst: number, readonly wasted: number } | undefined
}

export interface Setup {
  readonly backends: number
  readonly preset: string
  readonly timeScale: number
  readonly warmupS: number
  readonly durationS: number
  readonly seeds: readonly number[]
  readonly maxconn: number
  readonly machine: string
  /** Requests per second at load 1.0, by workload. */
  readonly rawRates: Readonly<Record<string, number>>
}

const cut = (value: number | null | undefined): string => value === null || value === undefined || Number.isNaN(value) ? '–' : (Math.floor(value * 1000 + 1e-9) / 1000).toFixed(3)
const unique = <T>(values: readonly T[]): T[] => [...new Set(values)]

/**
 * The highest load at which the worst class attains the objective, by straight lines between the loads that were measured; below the first one
 * attainment is taken to fall evenly from 1 at no load. "≥" where every load attains it.
 */
export function loadKept (points: readonly (readonly [number, number])[], objective: number): { readonly load: number, readonly atLeast: boolean } {
  const sorted = [...points].sort((a, b) => a[0] - b[0])
  let [x, y] = [0, 1]
  for (const [load, worst] of sorted) {
    if (worst < objective) return { load: x + (load - x) * (y - objective) / (y - worst), atLeast: false }
    ;[x, y] = [load, worst]
  }
  return { load: x, atLeast: true }
}

const kept = (cells: readonly Cell[], of: (cell: Cell) => number | undefined): string => {
  const points = cells.flatMap(cell => { const value = of(cell); return value === undefined ? [] : [[cell.load, value] as const] })
  if (points.length === 0) return '–'
  const { load, atLeast } = loadKept(points, 0.9)
  return `${atLeast ? '≥ ' : ''}${(Math.floor(load * 100) / 100).toFixed(2)}x`
}

/** Share of all requests with a target that met it: live / simulated. */
const pair = ({ live, simulated }: Cell): string => `${cut(live.attainment)} / ${cut(simulated?.overall)}`

export function tables (cells: readonly Cell[]): string {
  return unique(cells.map(cell => cell.workload)).map(workload => {
    const own = cells.filter(cell => cell.workload === workload)
    const loads = unique(own.map(cell => cell.load)).sort((a, b) => a - b)
    const arms = unique(own.map(cell => cell.arm))
    const of = (arm: ArmName, load: number) => own.find(cell => cell.arm === arm && cell.load === load)
    const row = (cells: readonly string[]) => `| ${cells.join(' | ')} |`
    const rows = arms.map(arm => [arm, ...loads.map(load => { const cell = of(arm, load); return cell === undefined ? '–' : pair(cell) }),
      kept(own.filter(cell => cell.arm === arm), cell => cell.live.worst_attainment ?? undefined), kept(own.filter(cell => cell.arm === arm), cell => cell.simulated?.worst)])
    const classes = Object.keys(own[0]!.live.classes)
    const detail = arms.flatMap(arm => loads.flatMap(load => {
      const cell = of(arm, load)
      if (cell === undefined) return []
      const { live, simulated } = cell
      return [[arm, `${load}x`, ...classes.map(name => `${cut(live.classes[name]!.attainment)} / ${cut(simulated?.attainment[name])}`),
        live.spread.worst_attainment.map(cut).join('–'), live.request_goodput_per_s.toFixed(2), String(sumOf(live, 'rejected')), String(sumOf(live, 'failed')), `${cut(live.wasted_ratio)} / ${cut(simulated?.wasted)}`,
        live.median_ttft_ms?.toFixed(0) ?? '–', live.send_lag_ms?.p99.toFixed(1) ?? '–']]
    }))
    return `### ${workload}

Share of requests that met their targets, measured / simulated, by load; last the load kept at 0.9 in the worst class.

${[row(['', ...loads.map(load => `${load}x`), 'kept, measured', 'kept, simulated']), row(['---', ...loads.map(() => '---:'), '---:', '---:']), ...rows.map(row)].join('\n')}

By class, measured / simulated:

${[row(['', 'load', ...classes, 'worst over seeds', 'goodput/s', 'rejected', 'failed', 'wasted', 'TTFT p50', 'load tool late p99']), row(['---', ...Array<string>(classes.length + 8).fill('---:')]), ...detail.map(row)].join('\n')}
`
  }).join('\n')
}

const sumOf = (live: LoadSummary, field: 'rejected' | 'failed') => Object.values(live.classes).reduce((sum, entry) => sum + entry[field], 0)

/** Of each request's TTFT against the same request's through nginx, at the lowest load measured. */
export interface Transparency {
  readonly arm: ArmName
  readonly load: number
  readonly addedTtftMs: { readonly p50: number, readonly p90: number, readonly p99: number }
  readonly requests: number
}

export function transparencyTable (entries: readonly Transparency[]): string {
  return [`| | requests | added TTFT p50 | p90 | p99 |`, '|---|---:|---:|---:|---:|', ...entries.map(({ arm, requests, addedTtftMs: { p50, p90, p99 } }) => `| ${arm} | ${requests} | ${p50.toFixed(2)} ms | ${p90.toFixed(2)} ms | ${p99.toFixed(2)} ms |`)].join('\n')
}

export function page (cells: readonly Cell[], transparency: readonly Transparency[], setup: Setup, command: string): string {
  return `# The scheduler over real sockets

Measured by \`${command}\`, which anybody can run. ${setup.backends} emulated backends (\`${setup.preset}\`) in one process; in front of them, one after the
other at equal offered load, Sluice with each policy, nginx (\`least_conn\`) and HAProxy (\`leastconn\`, also with \`maxconn ${setup.maxconn}\` per server); the load tool
of [bench.md](../bench.md) as the client, where every target is judged. ${setup.machine}.

- Time is stretched ${setup.timeScale} times: engines run at 1/${setup.timeScale} of their speed and every target is ${setup.timeScale} times as long, so that two cores have room for engines, gateway and
  load tool. What the gateway itself adds is not stretched.
- Load 1.0 is what the fleet completes with a deep backlog and no targets at all: ${Object.entries(setup.rawRates).map(([name, rate]) => `${rate.toFixed(2)} requests/s of \`${name}\``).join(', ')}.
- Each run starts a fresh gateway, offers load for ${setup.warmupS} s unmeasured and ${setup.durationS} s measured, and ends when every measured request's fate is decided. Seeds ${setup.seeds.join(', ')}.
- The simulator gets the same seeds, rates, times and fleet, so the same requests. It has a policy for each of Sluice's, and \`least-requests\` for nginx and HAProxy without \`maxconn\`.
- Sluice with \`slo\` runs with \`admission: enforce\`; rejected requests count as missed.

${tables(cells)}
${transparency.length === 0 ? '' : `## Added at low load

Each request's TTFT less that of the very same request through nginx, at ${transparency[0]!.load}x.

${transparencyTable(transparency)}
`}`
}
