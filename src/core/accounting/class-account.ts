import type { Timeline } from '../timeline.js'
import type { Ms, Outcome, SloTargets, Tokens } from '../types.js'
import { OUTCOMES } from '../types.js'
import { Histogram } from './histogram.js'
import { e2eMs, queueMs, tpotMs, ttftMs } from './measures.js'
import { countsForAttainment } from './outcome.js'
import { SlidingWindow, WindowedHistogram } from './sliding-window.js'
import { smoothGoodputTokens } from './smooth.js'
import type { TokenCost, WasteReason, Work } from './work.js'
import { costOf, wasteReasonOf, WASTE_REASONS, workOf } from './work.js'

/** Sums over a window; divide by `coveredMs` for rates. Offered by arrival, all else by end. */
export interface WindowMeasures {
  readonly offered: number
  readonly counted: number
  readonly met: number
  readonly outputTokens: Tokens
  readonly goodTokens: Tokens
  readonly smoothGoodTokens: Tokens
  readonly coveredMs: Ms
}

const OFFERED = 0
const COUNTED = 1
const MET = 2
const OUTPUT = 3
const GOOD = 4
const SMOOTH = 5
const FIELDS = 6

/** The measures that have a distribution. */
export const MEASURES = ['ttft', 'tpot', 'e2e', 'queue'] as const
export type Measure = typeof MEASURES[number]

/** The books of one service class. */
export class ClassAccount {
  offeredCount = 0
  counted = 0
  promptTokens: Tokens = 0
  outputTokens: Tokens = 0
  goodTokens: Tokens = 0
  smoothGoodTokens: Tokens = 0
  goodCost = 0
  wastedCost = 0
  readonly #outcomes = new Float64Array(OUTCOMES.length)
  readonly #wasted = new Float64Array(WASTE_REASONS.length)
  /** Seconds for windows of minutes, minutes for windows of hours. */
  readonly #fine: SlidingWindow
  readonly #coarse: SlidingWindow
  readonly #distributions = byMeasure(() => new Histogram())
  readonly #recent = byMeasure(() => new WindowedHistogram())

  constructor(nowMs: Ms) {
    this.#fine = new SlidingWindow(1000, 300, FIELDS, nowMs)
    this.#coarse = new SlidingWindow(60_000, 360, FIELDS, nowMs)
  }

  offered(nowMs: Ms): void {
    this.offeredCount++
    this.#add(OFFERED, 1, nowMs)
  }

  ended(timeline: Timeline, targets: SloTargets, outcome: Outcome, nowMs: Ms, cost: TokenCost): void {
    this.#outcomes[OUTCOMES.indexOf(outcome)]!++
    if (countsForAttainment(timeline, targets, outcome)) {
      this.counted++
      this.#add(COUNTED, 1, nowMs)
    }
    if (outcome === 'met') this.#add(MET, 1, nowMs)
    this.#bookTokens(timeline, targets, outcome, nowMs, cost)
    this.#record('ttft', ttftMs(timeline), nowMs)
    this.#record('tpot', tpotMs(timeline), nowMs)
    this.#record('queue', queueMs(timeline), nowMs)
    // The end of an answer that was not given says nothing about how long answers take.
    if (timeline.ending === 'completed') this.#record('e2e', e2eMs(timeline), nowMs)
  }

  wasted(reason: WasteReason, work: Work, cost: TokenCost): void {
    this.#wasted[WASTE_REASONS.indexOf(reason)]! += work.promptTokens + work.outputTokens
    this.wastedCost += costOf(work, cost)
  }

  outcomeCount(outcome: Outcome): number {
    return this.#outcomes[OUTCOMES.indexOf(outcome)]!
  }

  wastedTokens(reason: WasteReason): Tokens {
    return this.#wasted[WASTE_REASONS.indexOf(reason)]!
  }

  /** Distribution of a measure since the start, in milliseconds. */
  distribution(measure: Measure): Histogram {
    return this.#distributions[measure]
  }

  /** Distribution of a measure over the last five minutes; merged on every call, into `into` where it is given. */
  recent(measure: Measure, nowMs: Ms, into?: Histogram): Histogram {
    return this.#recent[measure].read(nowMs, into)
  }

  window(windowMs: Ms, nowMs: Ms): WindowMeasures {
    const ring = windowMs <= this.#fine.reachMs ? this.#fine : this.#coarse
    const sums = ring.sums(windowMs, nowMs)
    return {
      offered: sums[OFFERED]!,
      counted: sums[COUNTED]!,
      met: sums[MET]!,
      outputTokens: sums[OUTPUT]!,
      goodTokens: sums[GOOD]!,
      smoothGoodTokens: sums[SMOOTH]!,
      coveredMs: ring.coveredMs(windowMs, nowMs),
    }
  }

  #bookTokens(timeline: Timeline, targets: SloTargets, outcome: Outcome, nowMs: Ms, cost: TokenCost): void {
    const work = workOf(timeline)
    this.promptTokens += timeline.promptTokens ?? 0
    this.outputTokens += work.outputTokens
    this.#add(OUTPUT, work.outputTokens, nowMs)
    const smooth = smoothGoodputTokens(timeline, targets, outcome)
    this.smoothGoodTokens += smooth
    this.#add(SMOOTH, smooth, nowMs)
    const reason = wasteReasonOf(outcome)
    if (reason !== undefined) this.wasted(reason, work, cost)
    if (outcome !== 'met') return
    this.goodTokens += work.outputTokens
    this.goodCost += costOf(work, cost)
    this.#add(GOOD, work.outputTokens, nowMs)
  }

  #add(field: number, amount: number, nowMs: Ms): void {
    this.#fine.add(field, amount, nowMs)
    this.#coarse.add(field, amount, nowMs)
  }

  #record(measure: Measure, value: Ms | undefined, nowMs: Ms): void {
    if (value === undefined) return
    this.#distributions[measure].record(value)
    this.#recent[measure].record(value, nowMs)
  }
}

function byMeasure<T>(make: () => T): Readonly<Record<Measure, T>> {
  return { ttft: make(), tpot: make(), e2e: make(), queue: make() }
}
