/** From runs to the table, the JSON form and the page. */
import type { LoadSummary } from '../../src/bench/index.js'
import type { ArmName } from './arms.js'
import type { CpuShares } from './setting.js'

/** One arm at one load of one workload. */
export interface Cell {
  readonly workload: string
  readonly arm: ArmName
  readonly load: number
  readonly live: LoadSummary
  /** What the simulator says of the same requests on the same fleet; undefined where no policy of the simulator is like the arm. */
  readonly simulated: { readonly attainment: Readonly<Record<string, number>>, readonly overall: number, readonly worst: number, readonly wasted: number } | undefined
  readonly cpu: CpuShares
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

const keptOf = (cells: readonly Cell[], of: (cell: Cell) => number | undefined): ReturnType<typeof loadKept> | undefined => {
  const points = cells.flatMap(cell => { const value = of(cell); return value === undefined ? [] : [[cell.load, value] as const] })
  return points.length === 0 ? undefined : loadKept(points, 0.9)
}

const floor2 = (value: number) => (Math.floor(value * 100) / 100).toFixed(2)
const keptText = (kept: ReturnType<typeof keptOf>): string => kept === undefined ? '–' : `${kept.atLeast ? '≥ ' : ''}${floor2(kept.load)}x`
const measuredKept = (cells: readonly Cell[]) => keptOf(cells, cell => cell.live.worst_attainment ?? undefined)

/** How many times what this arm keeps `slo` keeps. */
function gain (own: ReturnType<typeof keptOf>, slo: ReturnType<typeof keptOf>): string {
  if (own === undefined || slo === undefined || own.atLeast || own.load === 0) return '–'
  return `${slo.atLeast ? '≥ ' : ''}${floor2(slo.load / own.load)}`
}

/** The most that measured and simulated attainment of the same requests are apart, over all cells, and where. */
export function furthestApart (cells: readonly Cell[]): { readonly points: number, readonly cell: Cell } | undefined {
  const apart = cells.flatMap(cell => cell.simulated === undefined || cell.live.attainment === null ? [] : [{ points: 100 * Math.abs(cell.live.attainment - cell.simulated.overall), cell }])
  return apart.sort((a, b) => b.points - a.points)[0]
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
    const kept = (arm: ArmName) => measuredKept(own.filter(cell => cell.arm === arm))
    const rows = arms.map(arm => [arm, ...loads.map(load => { const cell = of(arm, load); return cell === undefined ? '–' : pair(cell) }),
      keptText(kept(arm)), keptText(keptOf(own.filter(cell => cell.arm === arm), cell => cell.simulated?.worst)), arm === 'slo' ? '1' : gain(kept(arm), kept('slo'))])
    const classes = Object.keys(own[0]!.live.classes)
    const percent = (share: number) => `${Math.round(100 * share)} %`
    const detail = arms.flatMap(arm => loads.flatMap(load => {
      const cell = of(arm, load)
      if (cell === undefined) return []
      const { live, simulated, cpu } = cell
      return [[arm, `${load}x`, String(live.seeds.length), `${cut(live.worst_attainment)} / ${cut(simulated?.worst)}`, live.spread.worst_attainment.map(cut).join('–'), live.spread.attainment.map(cut).join('–'),
        ...classes.map(name => `${cut(live.classes[name]!.attainment)} / ${cut(simulated?.attainment[name])}`),
        live.request_goodput_per_s.toFixed(2), String(sumOf(live, 'rejected')), String(sumOf(live, 'failed')), `${cut(live.wasted_ratio)} / ${cut(simulated?.wasted)}`,
        live.median_ttft_ms?.toFixed(0) ?? '–', live.send_lag_ms?.p99.toFixed(1) ?? '–', percent(cpu.gateway), percent(cpu.fleet), percent(cpu.loadTool)]]
    }))
    const most = furthestApart(own)
    return `### ${workload}

Share of requests that met their targets, measured / simulated, by load; then the load kept at 0.9 in the worst class, and how many times that \`slo\` keeps.

${[row(['', ...loads.map(load => `${load}x`), 'kept, measured', 'kept, simulated', 'slo keeps, times']), row(['---', ...loads.map(() => '---:'), '---:', '---:', '---:']), ...rows.map(row)].join('\n')}
${most === undefined ? '' : `\nMeasured and simulated are ${most.points.toFixed(1)} points apart at most (${most.cell.arm} at ${most.cell.load}x).\n`}
The worst class and its spread over the seeds, each class, measured / simulated; work that met no target; how late the load tool was; shares of a core used.

${[row(['', 'load', 'seeds', 'worst class', 'its spread', 'spread of all', ...classes, 'goodput/s', 'rejected', 'failed', 'wasted', 'TTFT p50, ms', 'sent late p99, ms', 'gateway', 'fleet', 'load tool']), row(['---', ...Array<string>(classes.length + 14).fill('---:')]), ...detail.map(row)].join('\n')}
`
  }).join('\n')
}

const sumOf = (live: LoadSummary, field: 'rejected' | 'failed') => Object.values(live.classes).reduce((sum, entry) => sum + entry[field], 0)

export function page (cells: readonly Cell[], setup: Setup, command: string): string {
  return `# The scheduler over real sockets

Measured by \`${command}\`, which anybody can run. ${setup.backends} emulated backends (\`${setup.preset}\`) in one process; in front of them, one after the
other at equal offered load, Sluice with each policy, nginx (\`least_conn\`) and HAProxy (\`leastconn\`, also with \`maxconn ${setup.maxconn}\` per server); the load tool
of [bench.md](../bench.md) as the client, where every target is judged. All on ${setup.machine}.

- The gateway has a core of its own; the emulated engines and the load tool share the other.${setup.timeScale === 1 ? '' : ` Time is stretched ${setup.timeScale} times: engines run at 1/${setup.timeScale} of
  their speed and every target is ${setup.timeScale} times as long; what the gateway itself adds is not stretched.`}
- Load 1.0 is what the fleet completes with a deep backlog and no targets at all: ${Object.entries(setup.rawRates).map(([name, rate]) => `${rate.toFixed(2)} requests/s of \`${name}\``).join(', ')}.
- Each run starts a fresh gateway, offers load for ${setup.warmupS} s unmeasured and ${setup.durationS} s measured, and ends when every measured request's fate is decided. Seeds ${setup.seeds.join(', ')} were asked for; the tables say how many were run.
- The simulator gets the same seeds, rates, times and fleet, so the same requests. It has a policy for each of Sluice's, and \`least-requests\` for nginx and HAProxy without \`maxconn\`.
- Sluice with \`slo\` runs with \`admission: enforce\`; rejected requests count as missed.

${tables(cells)}`
}
