/**
 * What intervals say together. Two ways of asking: what was on its way during a look can have felt it, and nothing else can have felt it at once, so
 * the long gaps among that are the most that looks can have made, by whatever they were made; and what takes long to work through (more to
 * collect, colder caches) shows between intervals with and without somebody looking, as far as chance lets it.
 */
import { createRandom, integerBelow } from '../../src/core/index.js'
import { Bins } from './bins.js'
import type { TurnsReport } from './loop-probe.js'
import type { StreamsReport } from './stream-client.js'

/** A look may make one gap in a thousand longer than this. */
export const BAR_MS = 5
const BAR_SHARE = 0.001
const RESAMPLES = 400
/** Of the resampled differences the middle nine tenths. */
const LOW = 0.05, HIGH = 0.95

export interface Interval extends StreamsReport {
  readonly turns: TurnsReport
  readonly elapsedMs: number
  /** CPU of the gateway's main thread as a share of one core. */
  readonly cpuShare: number
  /** Share of the machine that its host gave to others. */
  readonly stolenShare: number
}

type Quantiles = Readonly<Record<'p50' | 'p99' | 'p999' | 'max', number>>

interface Summary {
  readonly gapMs: Quantiles
  readonly delayMs: Quantiles
  /** Turns of the gateway's event loop, by the clock and in CPU; quantiles over moments, not over turns. */
  readonly turnMs: Quantiles
  readonly turnCpuMs: Quantiles
  /** The longest stop for the garbage collector. */
  readonly collectionMs: number
  /** Share of the time in which the collector stopped it. */
  readonly collectionsShare: number
  readonly shareBeyond: number
  readonly events: number
  readonly cpuShare: number
  readonly stolenShare: number
}

/** A difference, and between what it lies if other pairs had been drawn. */
interface Added {
  readonly value: number
  readonly low: number
  readonly high: number
}

/** As shares of all gaps while somebody looked, but for the last two. */
interface Exposed {
  readonly share: number
  /**
   * All that were beyond the bar, whatever the reason: looks have not made more. Less they may well have made: a collection of garbage that was
   * due comes when a look allocates.
   */
  readonly atMostBeyond: number
  /** How much further out the p99.9 of all is than that of the gaps that were not exposed. */
  readonly p999Ms: number
}

export interface Judgement {
  readonly pairs: number
  readonly alone: Summary
  readonly watched: Summary
  /** What was on its way during looks. */
  readonly exposed: Exposed
  /** What looking adds to the share of gaps beyond the bar. */
  readonly addedShare: Added
  /** What looking adds to a p99.9. */
  readonly addedMs: { readonly gap: Added, readonly delay: Added, readonly turnCpu: Added }
  readonly verdict: 'kept' | 'broken' | 'unclear'
}

export interface StreamsResult extends Judgement {
  readonly streams: number
  readonly rate: number
  readonly backends: number
  readonly classes: number
  readonly intervalMs: number
}

type Read = (one: Interval) => readonly number[]

const readGaps: Read = ({ gaps }) => gaps, readDelays: Read = ({ delays }) => delays
const readTurns: Read = ({ turns }) => turns.wall, readTurnCpu: Read = ({ turns }) => turns.cpu
const p999 = (bins: Bins): number => bins.quantileMs(0.999)

/**
 * A few stalls decide a p99.9, so single intervals say little: all are taken together, and pairs drawn anew tell how sure that is. Where
 * streams have gaps beyond the bar with nobody looking (the host, the garbage collector), differences of quantiles and of shares are those of
 * such stalls; what was on its way during looks is one in twenty, and so are the stalls in it.
 */
export function judge({ alone, watched }: Record<'alone' | 'watched', readonly Interval[]>): Judgement {
  const added = (read: Read, of: (bins: Bins) => number): Added => {
    const difference = (pairs: readonly number[]) => of(Bins.merged(pairs.map((i) => read(watched[i]!)))) - of(Bins.merged(pairs.map((i) => read(alone[i]!))))
    const random = createRandom('pairs'), all = alone.map((_, i) => i)
    const drawn = Array.from({ length: RESAMPLES }, () => difference(all.map(() => integerBelow(random, all.length)))).sort((a, b) => a - b)
    const at = (q: number) => drawn[Math.floor(q * (RESAMPLES - 1))]!
    return { value: difference(all), low: at(LOW), high: at(HIGH) }
  }
  const addedShare = added(readGaps, (bins) => bins.shareBeyond(BAR_MS)), gap = added(readGaps, p999), exposed = exposedOf(watched)
  return {
    pairs: alone.length, alone: summary(alone), watched: summary(watched),
    exposed, addedShare, addedMs: { gap, delay: added(readDelays, p999), turnCpu: added(readTurnCpu, p999) },
    verdict: addedShare.low > BAR_SHARE ? 'broken' : exposed.atMostBeyond <= BAR_SHARE && exposed.p999Ms <= BAR_MS ? 'kept' : 'unclear',
  }
}

function exposedOf(watched: readonly Interval[]): Exposed {
  const all = Bins.merged(watched.map(readGaps)), touched = Bins.merged(watched.map(({ exposedGaps }) => exposedGaps)), others = all.less(touched)
  const share = touched.weight / all.weight, atMostBeyond = touched.beyond(BAR_MS) / all.weight
  return { share, atMostBeyond, p999Ms: p999(all) - p999(others) }
}

function summary(intervals: readonly Interval[]): Summary {
  const of = (read: Read): Quantiles => {
    const bins = Bins.merged(intervals.map(read))
    return { p50: bins.quantileMs(0.5), p99: bins.quantileMs(0.99), p999: bins.quantileMs(0.999), max: bins.maxMs }
  }
  return {
    gapMs: of(readGaps), delayMs: of(readDelays), turnMs: of(readTurns), turnCpuMs: of(readTurnCpu),
    collectionMs: Math.max(...intervals.map(({ turns }) => turns.collectionMs)), collectionsShare: sum(intervals.map(({ turns }) => turns.collectionsMs)) / sum(intervals.map(({ elapsedMs }) => elapsedMs)),
    shareBeyond: Bins.merged(intervals.map(readGaps)).shareBeyond(BAR_MS),
    events: Bins.merged(intervals.map(readDelays)).weight, cpuShare: middle(intervals.map((one) => one.cpuShare)), stolenShare: middle(intervals.map((one) => one.stolenShare)),
  }
}

const sum = (values: readonly number[]): number => values.reduce((total, value) => total + value, 0)

function middle(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b), half = sorted.length >> 1
  return sorted.length % 2 === 1 ? sorted[half]! : (sorted[half - 1]! + sorted[half]!) / 2
}

const VERDICTS = {
  kept: `KEPT: looks make at most one gap in a thousand longer than ${BAR_MS} ms`,
  broken: `BROKEN: looks make more than one gap in a thousand longer than ${BAR_MS} ms`,
  unclear: `UNCLEAR: the bar (one gap in a thousand beyond ${BAR_MS} ms) lies within what chance does on this machine; more pairs, or a quieter one, would tell`,
}

export function report({ streams, rate, backends, classes, intervalMs, pairs, alone, watched, exposed, addedShare, addedMs, verdict }: StreamsResult): string {
  const cell = (value: number) => value.toFixed(2).padStart(8)
  const hundredths = (share: number) => `${(share * 100).toFixed(3)} %`
  const percent = (share: number) => `${(share * 100).toFixed(1)} %`.padStart(8)
  const rows: [string, (side: Summary) => string][] = [
    ...([['gap of a stream, beyond as written', 'gapMs'], ['delay of an event', 'delayMs'], ['turn of the event loop', 'turnMs'], ['  CPU in it', 'turnCpuMs']] as const)
      .map(([name, key]): [string, (side: Summary) => string] => [name, (side) => [side[key].p50, side[key].p99, side[key].p999, side[key].max].map(cell).join('')]),
    [`share of gaps beyond ${BAR_MS} ms`, ({ shareBeyond }) => hundredths(shareBeyond).padStart(8)],
    ['longest garbage collection', ({ collectionMs }) => cell(collectionMs)],
    ['time in garbage collections', ({ collectionsShare }) => percent(collectionsShare)],
    ['CPU of the event loop', ({ cpuShare }) => percent(cpuShare)],
    ['machine taken by its host', ({ stolenShare }) => percent(stolenShare)],
    ['events', ({ events }) => String(events).padStart(8)],
  ]
  const added = (to: string, { value, low, high }: Added, unit = 'ms', times = 1) => `added to the ${to}: ${(value * times).toFixed(2)} ${unit} (${(low * times).toFixed(2)} to ${(high * times).toFixed(2)})`
  return [
    `${streams} streams × ${rate} events/s, ${backends} backends, ${classes} classes; ${pairs} pairs of ${intervalMs / 1000} s`,
    `${'milliseconds'.padEnd(36)} nobody looks                    a scrape a second and a page that opens`,
    `${''.padEnd(36)}     p50     p99   p99.9     max      p50     p99   p99.9     max`,
    ...rows.map(([name, show]) => `${name.padEnd(36)}${show(alone).padEnd(33)}${show(watched)}`),
    `on their way during a look: ${hundredths(exposed.share)} of all gaps; looks made at most ${hundredths(exposed.atMostBeyond)} of all gaps longer than ${BAR_MS} ms (bar ${hundredths(BAR_SHARE)}); p99.9 with them ${exposed.p999Ms.toFixed(2)} ms further out (bar ${BAR_MS})`,
    'by the difference between intervals:',
    added(`share of gaps beyond ${BAR_MS} ms`, addedShare, '%', 100),
    added('p99.9 of gaps', addedMs.gap),
    added('p99.9 of delays', addedMs.delay),
    added('p99.9 of CPU in a turn', addedMs.turnCpu),
    VERDICTS[verdict],
  ].join('\n')
}
