import type { Ms } from '../../core/index.js'
import type { StepCosts } from '../engine/index.js'
import { profileOf, serviceClasses, type SimulatedBackend } from '../spec.js'
import { blockTokensOf, openWorkload, type SourcedRequest, type Workload } from '../workload/workload.js'

const SAMPLE = 20_000
const SEED = 1

/**
 * A relaxed clairvoyant upper bound: no scheduler can keep more requests per second at this objective.
 *
 * The relaxation: all lengths are known; the fleet is one fluid that never idles, queues nothing and splits work at will; per class
 * the cheapest `objective` share is chosen and the rest refused at no cost; prefill costs its own time and nothing else (no step's
 * base, no harm to a stream); prefixes are never computed twice. What is kept of reality: a prompt whose own prefill is longer than its
 * TTFT target cannot be met, and decode steps must be as short as TPOT asks.
 *
 * The last is where a bound comes from. A decode step with n streams takes base + Σ e, with e what one token of a stream adds. If the
 * steps of a stream take at most `tpot` on average, the least time that k tokens of it cost is Σ e · 1/(1 − base/tpot): fewer streams per
 * step waste base, more make the step too long. (Lagrange multiplier λ per stream: minimising (base + e·n)(1 + λn) − λ·tpot·n over n
 * gives e/(1 − base/tpot) per token at the best λ; by Cauchy–Schwarz streams of different classes in one step cost no less.)
 * Batch work has its deadline over its length for a TPOT.
 *
 * Answers requests per second, or undefined for a fleet of unlike engines, for which it does not hold.
 */
export function clairvoyantRate(workload: Workload, backends: readonly SimulatedBackend[], objective: number): number | undefined {
  const first = backends[0]!
  if (backends.some(backend => backend.preset !== first.preset)) return undefined
  const classes = serviceClasses({ workload, batchMode: undefined, classPools: {} })
  const { costs, limits } = profileOf(first)
  const fastest = Math.max(...backends.map(backend => backend.speed))
  const fleetSpeed = backends.reduce((total, backend) => total + backend.speed, 0)
  const source = openWorkload(workload, 5 * backends.length, SEED)
  const cached = new CachedTokens(blockTokensOf(workload))
  const work: Ms[][] = classes.map(() => [])
  const offered = classes.map(() => 0)
  for (let i = 0; i < SAMPLE; i++) {
    const request = source.next()
    const { targets } = classes[request.classIndex]!
    offered[request.classIndex]!++
    const fromTokens = cached.of(request)
    const prefillMs = prefillTime(costs, fromTokens, request.promptTokens)
    const steps = Math.ceil((request.promptTokens - fromTokens) / limits.stepTokenBudget)
    if (targets.ttftMs !== undefined && (prefillMs + steps * costs.baseMs) / fastest > targets.ttftMs) continue
    const tpotMs = targets.tpotMs ?? (targets.deadlineMs === undefined ? Infinity : targets.deadlineMs / request.outputTokens)
    work[request.classIndex]!.push(prefillMs + decodeTime(costs, request, tpotMs * fastest))
  }
  let total = 0
  for (let c = 0; c < classes.length; c++) {
    if (offered[c] === 0) continue
    const needed = Math.ceil(offered[c]! * objective)
    const cheapest = work[c]!.sort((a, b) => a - b).slice(0, needed)
    if (cheapest.length < needed) return 0
    for (const ms of cheapest) total += ms
  }
  return fleetSpeed * 1000 / (total / SAMPLE)
}

/** Computes the tokens from `from` to `to` of a prompt, attention to what is before them included. */
function prefillTime({ perPrefillTokenMs, perPrefillKiloContextMs }: StepCosts, from: number, to: number): Ms {
  return (to - from) * (perPrefillTokenMs + perPrefillKiloContextMs * (from + to) / 2 / 1000)
}

/** All tokens after the first, which prefill makes. */
function decodeTime({ baseMs, perStreamMs, perKiloContextMs }: StepCosts, { promptTokens, outputTokens }: SourcedRequest, tpotMs: Ms): Ms {
  const tokens = outputTokens - 1
  const meanContext = promptTokens + outputTokens / 2
  const own = tokens * (perStreamMs + perKiloContextMs * meanContext / 1000)
  return tpotMs <= baseMs ? Infinity : own / (1 - baseMs / tpotMs)
}

/** Leading tokens that some earlier request has had computed; one token is always left to compute. */
class CachedTokens {
  private readonly seen = new Set<number>()

  constructor(private readonly blockTokens: number | undefined) {}

  of({ prefixBlocks, promptTokens }: SourcedRequest): number {
    if (this.blockTokens === undefined) return 0
    let hits = 0
    while (hits < prefixBlocks.length && this.seen.has(prefixBlocks[hits]!)) hits++
    for (const block of prefixBlocks) this.seen.add(block)
    return Math.min(hits * this.blockTokens, promptTokens - 1)
  }
}
