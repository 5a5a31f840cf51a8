import { countsForAttainment, outcomeOf, queueMs, smoothGoodputTokens, tpotMs, ttftMs, type Ms, type Outcome, type SchedulerState, type ServiceClass, type Tokens } from '../core/index.js'
import type { EngineCounters, EngineProfile } from './engine/index.js'
import { quantilesOf, type Quantiles } from './quantiles.js'
import type { SimulatedRequest } from './simulated-request.js'
import type { RunSpec } from './spec.js'

/** What became of the measured requests of one class. */
export interface ClassResult {
  readonly name: string
  /** Has a TTFT or TPOT target; else it is batch work. */
  readonly interactive: boolean
  offered: number
  /** Denominator of attainment. */
  counted: number
  met: number
  outcomes: Partial<Record<Outcome, number>>
  /** Output tokens of `met` requests. */
  goodTokens: Tokens
  smoothTokens: number
  /** Prompt and output tokens offered, and those of requests that met their targets. */
  offeredTokens: Tokens
  keptTokens: Tokens
  ttftMs: Quantiles | undefined
  tpotMs: Quantiles | undefined
  queueMs: Quantiles | undefined
}

/** Plain data of one run; sums, so that runs can be added. */
export interface RunResult {
  readonly seed: number
  readonly measuredMs: Ms
  readonly classes: readonly ClassResult[]
  /** Throughput: requests that completed within the measured time, whenever they came, and their output tokens. */
  readonly completed: number
  readonly outputTokens: Tokens
  /** Refused, on arrival or out of the queue, by the scheduler's own decision. */
  readonly refused: number
  readonly probes: number
  /** Probes that met their targets: each would have been a false rejection. */
  readonly probesMet: number
  /** Refused although a backend had time enough for the first token at that moment. */
  readonly refusedWithRoom: number
  /** Engine time, by measured tokens, that went into requests that met no target; and all of it. */
  readonly wastedMs: Ms
  readonly workedMs: Ms
  readonly preemptions: number
  readonly prefixHitTokens: Tokens
  readonly prefixQueryTokens: Tokens
  /** All requests of the run, measured or not. */
  readonly simulatedRequests: number
  readonly states: readonly SchedulerState[]
}

interface Work { prefill: Tokens, decode: Tokens }

/** Adds up what became of the measured requests. */
export class Tally {
  private readonly classes: ClassResult[]
  private readonly ttft: number[][]
  private readonly tpot: number[][]
  private readonly queue: number[][]
  private readonly useful: Work = { prefill: 0, decode: 0 }
  private readonly wasted: Work = { prefill: 0, decode: 0 }
  private completions = 0
  private outputTokens: Tokens = 0
  private refused = 0
  private probes = 0
  private probesMet = 0
  private refusedWithRoom = 0

  constructor(private readonly spec: RunSpec, classes: readonly ServiceClass[], private readonly profiles: readonly EngineProfile[]) {
    this.classes = classes.map(({ name, targets }) => ({
      name, interactive: targets.ttftMs !== undefined || targets.tpotMs !== undefined, offered: 0, counted: 0, met: 0, outcomes: {}, goodTokens: 0, smoothTokens: 0,
      offeredTokens: 0, keptTokens: 0, ttftMs: undefined, tpotMs: undefined, queueMs: undefined,
    }))
    this.ttft = classes.map(() => [])
    this.tpot = classes.map(() => [])
    this.queue = classes.map(() => [])
  }

  /** A request, measured or not, is complete. */
  completed(outputTokens: Tokens, atMs: Ms): void {
    if (atMs < this.spec.warmupMs || atMs >= this.spec.warmupMs + this.spec.measureMs) return
    this.completions++
    this.outputTokens += outputTokens
  }

  add(request: SimulatedRequest): void {
    const { targets, classIndex } = request
    const entry = this.classes[classIndex]!
    const outcome = outcomeOf(request, targets)
    const size = request.promptTokens + request.trueOutputTokens
    entry.offered++
    entry.outcomes[outcome] = (entry.outcomes[outcome] ?? 0) + 1
    entry.offeredTokens += size
    if (countsForAttainment(request, targets, outcome)) entry.counted++
    if (outcome === 'met') {
      entry.met++
      entry.goodTokens += request.outputTokens
      entry.keptTokens += size
    }
    entry.smoothTokens += smoothGoodputTokens(request, targets, outcome)
    if (outcome === 'rejected' || outcome === 'expired') this.refused++
    if (request.refusedWithRoom) this.refusedWithRoom++
    if (request.probe) {
      this.probes++
      if (outcome === 'met') this.probesMet++
    }
    this.sample(request, classIndex)
    const good = outcome === 'met' || outcome === 'untargeted'
    book(good ? this.useful : this.wasted, request.sequence?.prefillWork ?? 0, request.sequence?.decodeWork ?? 0)
    book(this.wasted, request.lostPrefillTokens, request.lostDecodeTokens)
  }

  result(states: readonly SchedulerState[], counters: readonly EngineCounters[], simulatedRequests: number): RunResult {
    const costs = this.tokenCosts(counters)
    const sum = (of: (counters: EngineCounters) => number) => counters.reduce((total, entry) => total + of(entry), 0)
    this.classes.forEach((entry, i) => {
      entry.ttftMs = quantilesOf(this.ttft[i]!)
      entry.tpotMs = quantilesOf(this.tpot[i]!)
      entry.queueMs = quantilesOf(this.queue[i]!)
    })
    const msOf = (work: Work) => work.prefill * costs.prefillMs + work.decode * costs.decodeMs
    return {
      seed: this.spec.seed,
      measuredMs: this.spec.measureMs,
      classes: this.classes,
      completed: this.completions,
      outputTokens: this.outputTokens,
      refused: this.refused,
      probes: this.probes,
      probesMet: this.probesMet,
      refusedWithRoom: this.refusedWithRoom,
      wastedMs: msOf(this.wasted),
      workedMs: msOf(this.wasted) + msOf(this.useful),
      preemptions: sum(entry => entry.preemptions),
      prefixHitTokens: sum(entry => entry.prefixHitTokens),
      prefixQueryTokens: sum(entry => entry.prefixQueryTokens),
      simulatedRequests,
      states,
    }
  }

  private sample(request: SimulatedRequest, classIndex: number): void {
    const ttft = ttftMs(request)
    const tpot = tpotMs(request)
    const queue = queueMs(request)
    if (ttft !== undefined) this.ttft[classIndex]!.push(ttft)
    if (tpot !== undefined && request.ending === 'completed') this.tpot[classIndex]!.push(tpot)
    if (queue !== undefined) this.queue[classIndex]!.push(queue)
  }

  /** Milliseconds of engine time per token: prefill from the profile, decode what is left of the time that the engines were busy. */
  private tokenCosts(counters: readonly EngineCounters[]): { prefillMs: Ms, decodeMs: Ms } {
    let prefillTime = 0
    let prefillTokens = 0
    let busy = 0
    let decodes = 0
    counters.forEach((entry, i) => {
      const ms = entry.prefillTokens * this.profiles[i]!.costs.perPrefillTokenMs / this.spec.backends[i]!.speed
      prefillTime += ms
      prefillTokens += entry.prefillTokens
      busy += entry.busyMs
      decodes += entry.decodeTokens
    })
    return { prefillMs: prefillTime / Math.max(1, prefillTokens), decodeMs: Math.max(0, busy - prefillTime) / Math.max(1, decodes) }
  }
}

function book(work: Work, prefill: Tokens, decode: Tokens): void {
  work.prefill += prefill
  work.decode += decode
}
