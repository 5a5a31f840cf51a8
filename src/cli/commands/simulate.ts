import { writeFile } from 'node:fs/promises'
import { narrate, planCapacity, planTable, runStudy, saturatedRate, simulate, studyHtml, studyTable, type Narration, type RunCell } from '../../simulator/index.js'
import type { Io } from '../process.js'
import { readOptions, type SimulateOptions } from '../simulate/options.js'
import { withProgress } from '../simulate/progress.js'
import { inlineRunner, threadedRunner } from '../simulate/runners.js'

export const name = 'simulate'
export const summary = 'run the scheduler against simulated model servers'
export const help = `Usage: sluice simulate [flags]

Runs the scheduling code of the gateway against models of engines with continuous batching, without sockets, and compares policies:
attainment and goodput over load, the highest load at which the worst class keeps an objective, and a bound that no scheduler can pass.
Load 1.0 is what the fleet completes of the workload with a deep backlog and no targets at all.

What is simulated
  --workload W        chat, chat+code, mix (default), multi-turn, a scenario file (.yaml, .json),
                      or a trace: azure:FILE, mooncake:FILE, log:FILE (a request log of the gateway)
  --policy LIST       policies, comma-separated, or 'all' (default slo)
  --backends N        number of backends (default 8)
  --preset P          their engine: a100-8b (default), 4xa100-70b
  --loads LIST        offered load (default 0.5,0.7,0.9,1.0,1.2,1.5)
  --seeds S           number of seeds (3 = 1 to 3), a range (11-15) or a list (4,7,9)
  --arrivals A        poisson, constant, gamma:CV, on-off:RATIO:ON_SECONDS:OFF_SECONDS
  --duration D        time measured per run (default 200s), after --warmup D (default 40s)

What the gateway is like
  --admission M       off, observe, enforce (default enforce), with --probe-share S (default 0.02)
  --batch-mode M      hold, guarded, shared
  --gateways N        gateway replicas that do not know of each other's requests
  --prompt-error E    prompt sizes are known to ±E (default 0.12); --prompt-bias B shifts them all
  --perfect           also the first policy with exact lengths

What goes wrong
  --slow B=S[@F-U]    backend B runs at speed S (0=0.5, or 0=0.5@60s-90s); repeatable
  --down B@F-U        backend B is down (0@60s-90s); repeatable

What is asked
  --objectives LIST   for the highest load that keeps them (default 0.9,0.99); --no-search leaves it out
  --target-rate R     plan capacity: how many backends, in which pools, keep the first objective at R requests/s; --max-backends N
  --cost-per-hour C   of one backend, for cost per million good tokens
  --explain N         the first N decisions after the warm-up, in words, at the first load with the first seed

What comes out
  --json              for programs, on stdout
  --html FILE         a page with charts
  --jobs N            threads (default: one per core)
  -h, --help          this page

Examples
  sluice simulate --workload mix --policy slo,round-robin --loads 0.5,0.9,1.5
  sluice simulate --workload log:requests.jsonl --target-rate 40
  sluice simulate --slow 0=0.5 --loads 0.8 --no-search
`

export const run = async (args: string[], io: Io): Promise<number> => {
  const options = await readOptions(args)
  if (options.explain > 0) {
    explain(options, io)
    return 0
  }
  const runner = options.jobs === 1 ? inlineRunner() : threadedRunner(options.jobs, options.workload)
  const progress = withProgress(runner.run, io)
  try {
    const report = options.targetRate === undefined ? await study(options, progress.run) : await plan(options, options.targetRate, progress.run)
    const { requests, seconds } = progress.finish()
    if (options.html !== undefined && 'html' in report) await writeFile(options.html, report.html(['sluice simulate', ...args].join(' ')))
    io.out(options.json ? `${JSON.stringify(report.json)}\n` : report.table())
    io.err(`${requests.toLocaleString('en')} requests simulated in ${seconds.toFixed(1)} s${options.html === undefined ? '' : `; charts in ${options.html}`}\n`)
    return 0
  } finally {
    await runner.close()
  }
}

const study = async (options: SimulateOptions, runCell: RunCell) => {
  const result = await runStudy({
    ...options, rawRate: saturatedRate(options.workload, options.backends), objectives: options.search ? options.objectives : [], tolerance: 0.02,
  }, runCell)
  return { json: result, table: () => studyTable(result), html: (command: string) => studyHtml(result, command) }
}

const plan = async (options: SimulateOptions, targetRate: number, runCell: RunCell) => {
  const objective = options.objectives[0]!
  const plans = await planCapacity({ ...options, targetRate, objective }, runCell)
  return {
    json: {
      workload: options.workload.name, target_rate_per_s: targetRate, objective,
      plans: plans.map(({ policy, backends, pools, costPerHour, summary }) => ({ policy, backends: backends ?? null, pools, cost_per_hour: costPerHour ?? null, at_target: summary ?? null })),
    },
    table: () => planTable(options.workload.name, targetRate, objective, plans),
  }
}

/** Every decision after the warm-up, told when the run is over: only then is it known what came of it. */
const explain = (options: SimulateOptions, io: Io): void => {
  const told: Narration[] = []
  const { conditions, workload, backends } = options
  simulate({
    ...conditions, workload, backends, policy: options.policies[0]!, seed: options.seeds[0]!, classPools: {},
    ratePerSecond: options.loads[0]! * saturatedRate(workload, backends),
  }, {
    onDecision: (decision, request, atMs) => {
      if (atMs >= conditions.warmupMs && told.length < options.explain) told.push({ atMs, decision, request })
    },
  })
  io.out(`${told.map(narrate).join('\n')}\n`)
}
