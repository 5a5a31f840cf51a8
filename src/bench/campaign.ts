import { createRandom, integerBelow } from '../core/index.js'
import { loadAtObjective } from '../simulator/index.js'
import { runLoad, type Load, type LoadRunOptions, type LoadRunResult } from './load-run.js'
import { summarise, type LoadSummary } from './summary.js'
import type { Target } from './types.js'

/** Everything of a run but what a campaign varies. */
export interface CampaignOptions extends Omit<LoadRunOptions, 'target' | 'load' | 'seed' | 'runId'> {
  readonly targets: LoadRunOptions['targets']
  readonly servers: readonly Target[]
  readonly seeds: readonly number[]
  /** Starts every request id; two campaigns against one server need different ones. */
  readonly campaignId: string
  readonly onRun?: (run: LoadRunResult, number: number) => void
  /** Before each run. */
  readonly onStart?: (target: Target, load: Load, seed: number) => void
}

/** Runs loads one after the other; with several servers every seed's run goes to each in turn, in an order that changes, so that drift hits all alike. */
export class Campaign {
  #runs = 0
  /** The last run that was asked for: each waits for the one before. */
  #last: Promise<unknown> = Promise.resolve()

  constructor(private readonly options: CampaignOptions) {}

  /** One load on every server, over all seeds; summaries in the order of the servers. */
  async measure(load: Load, servers: readonly Target[] = this.options.servers): Promise<LoadSummary[]> {
    const { seeds, signal } = this.options
    const results = new Map<Target, LoadRunResult[]>(servers.map(server => [server, []]))
    for (const seed of seeds) {
      const first = integerBelow(createRandom(`${seed}/order`), servers.length)
      for (let i = 0; i < servers.length && signal?.aborted !== true; i++) {
        const server = servers[(first + i) % servers.length]!
        results.get(server)!.push(await this.#run(server, load, seed))
      }
    }
    return servers.map(server => results.get(server)!).filter(runs => runs.length > 0).map(summarise)
  }

  /** Maximum goodput: the highest rate at which the worst class attains the objective, with everything that was measured on the way. */
  async findGoodput(server: Target, startRate: number, objective: number): Promise<MaximumGoodput> {
    const probes: LoadSummary[] = []
    const load = await loadAtObjective({
      known: [], objective, tolerance: TOLERANCE, maxLoad: MAX_FACTOR,
      measure: async factor => {
        if (this.options.signal?.aborted === true) throw new CampaignAborted()
        const [summary] = await this.measure({ kind: 'open', ratePerSecond: factor * startRate }, [server])
        probes.push(summary!)
        return summary!.worst_attainment ?? 0
      },
    })
    return { target: server.label, objective, rate_per_s: load * startRate, probes: probes.sort((a, b) => a.rate_per_s! - b.rate_per_s!) }
  }

  /** One at a time, in the order of asking: searches on several servers, asked for together, take turns. */
  async #run(target: Target, load: Load, seed: number): Promise<LoadRunResult> {
    const run = this.#last.then(async () => await this.#runNow(target, load, seed))
    this.#last = run.catch(() => {})
    return await run
  }

  async #runNow(target: Target, load: Load, seed: number): Promise<LoadRunResult> {
    const { campaignId, onRun, onStart } = this.options
    const number = ++this.#runs
    onStart?.(target, load, seed)
    const result = await runLoad({ ...this.options, target, load, seed, runId: `${campaignId}-${number}` })
    onRun?.(result, number)
    return result
  }
}

export interface MaximumGoodput {
  readonly target: string
  readonly objective: number
  readonly rate_per_s: number
  readonly probes: readonly LoadSummary[]
}

/** The search was interrupted: it has no result. */
export class CampaignAborted extends Error {
  override readonly name = 'CampaignAborted'
}

/** The search is close enough when its bracket is this share of the first rate wide, and goes no further than this multiple of it. */
const TOLERANCE = 0.05
const MAX_FACTOR = 64
