import type { Timeline } from '../timeline.js'
import type { ClassName, Ms, Outcome, SloTargets, Tokens } from '../types.js'
import { OUTCOMES } from '../types.js'
import { ClassAccount } from './class-account.js'
import type { WindowMeasures } from './class-account.js'
import { outcomeOf } from './outcome.js'
import type { TokenCost, WasteReason, Work } from './work.js'
import { DEFAULT_TOKEN_COST, WASTE_REASONS } from './work.js'

/** Windows over which rates and attainment are stated. */
export const WINDOWS_MS = { '1m': 60_000, '5m': 300_000, '1h': 3_600_000, '6h': 21_600_000 } as const
export type WindowName = keyof typeof WINDOWS_MS

/** Everything since the start, of one class or of all. */
export interface GoodputTotals {
  readonly offered: number
  readonly outcomes: Readonly<Record<Outcome, number>>
  /** Ended requests that are in the denominator of attainment. */
  readonly counted: number
  /** met / counted; undefined while nothing counts. */
  readonly attainment: number | undefined
  readonly promptTokens: Tokens
  readonly outputTokens: Tokens
  /** Output tokens of `met` requests. */
  readonly goodTokens: Tokens
  readonly smoothGoodTokens: Tokens
  /** Prompt and output tokens of work that came to nothing, by reason. */
  readonly wastedTokens: Readonly<Record<WasteReason, Tokens>>
  /** Work of `met` requests ÷ all work under targets, by cost; undefined while there was none. */
  readonly goodputRatio: number | undefined
}

/**
 * The books of goodput, kept once for everybody: metrics, dashboard, simulator and load tool read their figures here, so a
 * word means the same everywhere. Tell it of every request twice: when it is offered, and when it has ended.
 */
export class GoodputLedger {
  readonly #classes = new Map<ClassName, ClassAccount>()

  /** A request came in, whatever becomes of it. */
  offered(name: ClassName, nowMs: Ms): void {
    this.account(name, nowMs).offered(nowMs)
  }

  /** The request has ended: judge it, book it, say how it ended. */
  ended(name: ClassName, timeline: Timeline, targets: SloTargets, nowMs: Ms, cost: TokenCost = DEFAULT_TOKEN_COST): Outcome {
    const outcome = outcomeOf(timeline, targets)
    this.account(name, nowMs).ended(timeline, targets, outcome, nowMs, cost)
    return outcome
  }

  /** An attempt was given up for another one; its work is lost. */
  attemptLost(name: ClassName, work: Work, nowMs: Ms, cost: TokenCost = DEFAULT_TOKEN_COST): void {
    this.account(name, nowMs).wasted('retried', work, cost)
  }

  /** The books of one class, opened when first asked for. */
  account(name: ClassName, nowMs: Ms): ClassAccount {
    let account = this.#classes.get(name)
    if (account === undefined) {
      account = new ClassAccount(nowMs)
      this.#classes.set(name, account)
    }
    return account
  }

  has(name: ClassName): boolean {
    return this.#classes.has(name)
  }

  get size(): number {
    return this.#classes.size
  }

  classes(): readonly ClassName[] {
    return [...this.#classes.keys()]
  }

  /** Totals of one class; of all without a name. */
  totals(name?: ClassName): GoodputTotals {
    const accounts = this.#select(name)
    const sum = (read: (account: ClassAccount) => number): number => accounts.reduce((total, account) => total + read(account), 0)
    const counted = sum((account) => account.counted)
    const goodCost = sum((account) => account.goodCost)
    const allCost = goodCost + sum((account) => account.wastedCost)
    return {
      offered: sum((account) => account.offeredCount),
      outcomes: byName(OUTCOMES, (outcome) => sum((account) => account.outcomeCount(outcome))),
      counted,
      attainment: ratio(sum((account) => account.outcomeCount('met')), counted),
      promptTokens: sum((account) => account.promptTokens),
      outputTokens: sum((account) => account.outputTokens),
      goodTokens: sum((account) => account.goodTokens),
      smoothGoodTokens: sum((account) => account.smoothGoodTokens),
      wastedTokens: byName(WASTE_REASONS, (reason) => sum((account) => account.wastedTokens(reason))),
      goodputRatio: ratio(goodCost, allCost),
    }
  }

  /** Rates and attainment of the last `windowMs`, of one class or of all. */
  window(windowMs: Ms, nowMs: Ms, name?: ClassName): WindowMeasures {
    let offered = 0
    let counted = 0
    let met = 0
    let outputTokens = 0
    let goodTokens = 0
    let smoothGoodTokens = 0
    let coveredMs = 0
    for (const account of this.#select(name)) {
      const part = account.window(windowMs, nowMs)
      offered += part.offered
      counted += part.counted
      met += part.met
      outputTokens += part.outputTokens
      goodTokens += part.goodTokens
      smoothGoodTokens += part.smoothGoodTokens
      coveredMs = Math.max(coveredMs, part.coveredMs)
    }
    return { offered, counted, met, outputTokens, goodTokens, smoothGoodTokens, coveredMs }
  }

  #select(name: ClassName | undefined): readonly ClassAccount[] {
    if (name === undefined) return [...this.#classes.values()]
    const account = this.#classes.get(name)
    return account === undefined ? [] : [account]
  }
}

/** met / counted; undefined while nothing counts: no traffic is neither a kept promise nor a broken one. */
export function attainmentOf(window: WindowMeasures): number | undefined {
  return ratio(window.met, window.counted)
}

/** How fast the error budget burns: (1 − attainment) / (1 − objective). 1 = exactly used up in the objective's period. */
export function burnRate(attainment: number | undefined, objective: number): number | undefined {
  if (attainment === undefined) return undefined
  const missed = 1 - attainment
  if (missed <= 0) return 0
  return objective >= 1 ? Infinity : missed / (1 - objective)
}

/** A sum over a window as a rate per second; 0 before any time has passed. */
export function perSecond(sum: number, window: WindowMeasures): number {
  return window.coveredMs > 0 ? sum * 1000 / window.coveredMs : 0
}

/** Backend cost per million output tokens; undefined while there are none. */
export function costPerMillionTokens(costPerHour: number, tokensPerSecond: number): number | undefined {
  return tokensPerSecond > 0 ? costPerHour / (tokensPerSecond * 3600) * 1e6 : undefined
}

function ratio(part: number, whole: number): number | undefined {
  return whole > 0 ? part / whole : undefined
}

function byName<K extends string>(names: readonly K[], read: (name: K) => number): Record<K, number> {
  return Object.fromEntries(names.map((name) => [name, read(name)])) as Record<K, number>
}
