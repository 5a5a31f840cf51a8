import { attainmentOf, burnRate, costPerMillionTokens, GoodputLedger, Histogram, MEASURES, perSecond, tpotMs, ttftMs, WindowedHistogram, WINDOWS_MS, type ClassName, type Measure, type Ms, type Percentiles, type WindowName } from '../core/index.js'
import type { RequestRecord, Telemetry, Work } from '../telemetry/index.js'
import { Columns } from './columns.js'
import { distributionOf } from './distribution.js'
import type { CostView, DistributionView, LiveView, PersonaDetail, PersonaKind, WindowView } from './types.js'

/** Tenants beyond these are one together: books are not free, and names may be many. */
const MAX_TENANTS = 50
const OTHERS = 'other'
/** Window of the percentiles that move with the load. */
const LIVE_MS = 30_000
const LIVE_SLOTS = 6
/** Ten minutes, a row a second. */
export const HISTORY_ROWS = 600
const MINUTE: WindowName = '1m'

/** `offered`, `ended`, `met` and tokens are counts within the second. */
export const PERSONA_COLUMNS = ['offered', 'met', 'outputTokens', 'goodTokens', 'attainment', 'ttftP50', 'ttftP99', 'queued'] as const
export type PersonaColumn = typeof PERSONA_COLUMNS[number]

/** One view of the traffic: its books, its live percentiles, its recent past. */
export interface Persona {
  readonly kind: PersonaKind
  readonly name: string
  readonly ledger: GoodputLedger
  /** The account in `ledger`; undefined for all of them together. */
  readonly account: string | undefined
  readonly ttft: WindowedHistogram
  readonly tpot: WindowedHistogram
  readonly history: Columns<PersonaColumn>
  /** Classes whose requests were in it, for its objective. */
  readonly classes: Set<ClassName>
  live: LiveView
  before: { readonly offered: number, readonly met: number, readonly outputTokens: number, readonly goodTokens: number }
}

/**
 * Keeps a view per class, pool and tenant. Classes are read in telemetry's own books, so that the page and `/metrics` agree; pools
 * and tenants have books here, written when a request ends, for only then are they all known.
 */
export class Personas {
  readonly #telemetry: Pick<Telemetry, 'ledger' | 'intervalsOf'>
  readonly #pools = new GoodputLedger()
  readonly #tenants = new GoodputLedger()
  readonly #personas = new Map<string, Persona>()
  readonly #scratch = new Histogram()

  constructor(telemetry: Pick<Telemetry, 'ledger' | 'intervalsOf'>) {
    this.#telemetry = telemetry
    this.#get('all', 'all')
  }

  list(): readonly Persona[] {
    return [...this.#personas.values()]
  }

  find(kind: string, name: string): Persona | undefined {
    return this.#personas.get(`${kind}:${name}`)
  }

  /** Classes and pools of the configuration have a view before their first request. */
  configure(classes: readonly ClassName[], pools: readonly string[]): void {
    for (const name of classes) this.#get('class', name)
    for (const name of pools) this.#get('pool', name)
    for (const { kind, name } of this.list()) {
      if ((kind === 'class' && !classes.includes(name)) || (kind === 'pool' && !pools.includes(name))) this.#personas.delete(`${kind}:${name}`)
    }
  }

  finished(record: RequestRecord, nowMs: Ms): void {
    const { timeline, targets, tenant } = record
    const seen = [this.find('all', 'all'), this.find('class', record.class)]
    if (timeline.pool !== undefined && this.find('pool', timeline.pool) !== undefined) seen.push(book(this.#get('pool', timeline.pool)))
    seen.push(book(this.#get('tenant', this.#tenants.has(tenant) || this.#tenants.size < MAX_TENANTS ? tenant : OTHERS)))
    for (const persona of seen) {
      if (persona === undefined) continue
      persona.classes.add(record.class)
      const ttft = ttftMs(timeline), tpot = tpotMs(timeline)
      if (ttft !== undefined) persona.ttft.record(ttft, nowMs)
      if (tpot !== undefined) persona.tpot.record(tpot, nowMs)
    }

    function book(persona: Persona): Persona {
      persona.ledger.offered(persona.name, nowMs)
      persona.ledger.ended(persona.name, timeline, targets, nowMs)
      return persona
    }
  }

  /** Once a second: the row of each view. `queued` gives the depth of a class's queue, or of all. */
  * sample(queued: (persona: Persona) => number | undefined, nowMs: Ms): Work {
    for (const persona of this.list()) {
      const { offered, outcomes: { met }, outputTokens, goodTokens } = persona.ledger.totals(persona.account)
      const { before } = persona
      persona.before = { offered, met, outputTokens, goodTokens }
      persona.live = { ttft: this.#percentiles(persona.ttft, nowMs), tpot: this.#percentiles(persona.tpot, nowMs) }
      persona.history.push({
        offered: offered - before.offered, met: met - before.met,
        outputTokens: outputTokens - before.outputTokens, goodTokens: goodTokens - before.goodTokens,
        attainment: attainmentOf(persona.ledger.window(WINDOWS_MS[MINUTE], nowMs, persona.account)),
        ttftP50: persona.live.ttft?.p50, ttftP99: persona.live.ttft?.p99,
        queued: queued(persona),
      })
      yield
    }
  }

  * detail(persona: Persona, cost: CostView | undefined, nowMs: Ms): Work<PersonaDetail> {
    const { kind, name } = persona
    const { offered, outcomes, promptTokens, outputTokens, goodTokens, wastedTokens, goodputRatio } = persona.ledger.totals(persona.account)
    const distributions: [string, DistributionView][] = []
    for (const measure of MEASURES) {
      const view = distributionOf(this.#recent(persona, measure, nowMs), '5m')
      if (view !== undefined) distributions.push([measure, view])
      yield
    }
    const itl = this.#intervals(persona)
    const view = itl && distributionOf(itl, 'start')
    if (view !== undefined) distributions.push(['itl', view])
    return { kind, name, offered, outcomes, promptTokens, outputTokens, goodTokens, wastedTokens, goodputRatio, cost, distributions: Object.fromEntries(distributions) }
  }

  #recent({ ledger, account }: Persona, measure: Measure, nowMs: Ms): Histogram {
    if (account !== undefined) return ledger.account(account, nowMs).recent(measure, nowMs)
    const merged = new Histogram()
    for (const name of ledger.classes()) merged.merge(ledger.account(name, nowMs).recent(measure, nowMs, this.#scratch))
    return merged
  }

  /** Gaps are kept by class alone: they are too many to be booked twice. */
  #intervals({ kind, name }: Persona): Histogram | undefined {
    if (kind === 'class') return this.#telemetry.intervalsOf(name)
    if (kind !== 'all') return undefined
    const merged = new Histogram()
    for (const className of this.#telemetry.ledger.classes()) {
      const intervals = this.#telemetry.intervalsOf(className)
      if (intervals !== undefined) merged.merge(intervals)
    }
    return merged
  }

  #percentiles(window: WindowedHistogram, nowMs: Ms): Percentiles | undefined {
    return window.read(nowMs, this.#scratch).percentiles()
  }

  #get(kind: PersonaKind, name: string): Persona {
    const key = `${kind}:${name}`
    let persona = this.#personas.get(key)
    if (persona === undefined) {
      persona = {
        kind, name,
        ledger: kind === 'pool' ? this.#pools : kind === 'tenant' ? this.#tenants : this.#telemetry.ledger,
        account: kind === 'all' ? undefined : name,
        ttft: new WindowedHistogram(LIVE_MS, LIVE_SLOTS), tpot: new WindowedHistogram(LIVE_MS, LIVE_SLOTS),
        history: new Columns(PERSONA_COLUMNS, HISTORY_ROWS),
        classes: new Set(kind === 'class' ? [name] : []),
        live: { ttft: undefined, tpot: undefined },
        before: { offered: 0, met: 0, outputTokens: 0, goodTokens: 0 },
      }
      this.#personas.set(key, persona)
    }
    return persona
  }
}

export function windowsOf({ ledger, account }: Persona, objective: number | undefined, nowMs: Ms): Record<WindowName, WindowView> {
  return Object.fromEntries(Object.entries(WINDOWS_MS).map(([name, windowMs]) => {
    const window = ledger.window(windowMs, nowMs, account)
    const attainment = attainmentOf(window)
    const view: WindowView = {
      offeredPerS: perSecond(window.offered, window),
      metPerS: perSecond(window.met, window),
      outputTokensPerS: perSecond(window.outputTokens, window),
      goodTokensPerS: perSecond(window.goodTokens, window),
      attainment,
      burnRate: objective === undefined ? undefined : burnRate(attainment, objective),
    }
    return [name, view]
  })) as Record<WindowName, WindowView>
}

/**
 * Cost per million tokens over five minutes. All and a pool: what their backends cost over the tokens they gave. A class and a
 * tenant: the fleet's price of a token, spread over the good ones among theirs.
 */
export function costOf(persona: Persona, all: Persona, costPerHour: number | undefined, nowMs: Ms): CostView | undefined {
  if (costPerHour === undefined) return undefined
  const price = (of: Persona) => {
    const window = of.ledger.window(WINDOWS_MS['5m'], nowMs, of.account)
    return { window, perMillion: costPerMillionTokens(costPerHour, perSecond(window.outputTokens, window)), perMillionGood: costPerMillionTokens(costPerHour, perSecond(window.goodTokens, window)) }
  }
  if (persona.kind === 'all' || persona.kind === 'pool') {
    const { perMillion, perMillionGood } = price(persona)
    return { perMillion, perMillionGood }
  }
  const { perMillion } = price(all)
  const { window } = price(persona)
  return { perMillion, perMillionGood: perMillion === undefined || window.goodTokens <= 0 ? undefined : perMillion * window.outputTokens / window.goodTokens }
}
