import type { EngineReport, Ms } from '../core/index.js'
import type { EngineReading } from './engines/adapter.js'

/** Own requests that must have gone through an engine whose figures did not move, before the figures are called frozen. */
const FROZEN_AFTER_COMPLETED = 3
const FROZEN_AFTER_MS = 5_000
/** A long prompt alone can keep output from growing for seconds; half a minute is no prompt any more. */
const STALLED_AFTER_MS = 30_000
/** Share of the old prefix-cache sums kept at each reading: at one reading a second the ratio looks back about half a minute. */
const HIT_DECAY = 0.97
/** Start times are exported as rounded floats. */
const START_TOLERANCE_SECONDS = 2

export interface ReadingOptions {
  /** Age at which a reading says nothing any more. */
  readonly staleAfterMs: Ms
}

/**
 * What an engine says of itself over time: is it fresh, does it move, was the process replaced? Unknown is never zero: a
 * reading that is stale or frozen reports nothing.
 */
export class Readings {
  #options: ReadingOptions
  #last: EngineReading | undefined
  #readAtMs: Ms = -Infinity
  #changedAtMs: Ms = -Infinity
  #completedSinceChange = 0
  #stepsAtMs: Ms = -Infinity
  #hits = 0
  #queries = 0

  constructor(options: ReadingOptions) {
    this.#options = options
  }

  configure(options: ReadingOptions): void {
    this.#options = options
  }

  /** Take a new reading. True: the process behind it is another one than before. */
  observe(reading: EngineReading, nowMs: Ms): boolean {
    const last = this.#last
    const restarted = last !== undefined && isRestart(last, reading)
    if (last === undefined || restarted) {
      this.#hits = 0
      this.#queries = 0
    } else this.#addPrefixHits(last, reading)
    if (last === undefined || !isSame(last, reading)) {
      this.#changedAtMs = nowMs
      this.#completedSinceChange = 0
    }
    if (last?.steps === undefined || reading.steps !== last.steps || !((reading.report.running ?? 0) > 0)) this.#stepsAtMs = nowMs
    this.#last = reading
    this.#readAtMs = nowMs
    return restarted
  }

  /** One of our own requests went through this engine. */
  completed(): void {
    this.#completedSinceChange++
  }

  /** Its facts are void: the process is gone, or another kind of engine answers. */
  forget(): void {
    this.#last = undefined
    this.#readAtMs = -Infinity
  }

  ageMs(nowMs: Ms): Ms | undefined {
    return this.#last === undefined ? undefined : nowMs - this.#readAtMs
  }

  isStale(nowMs: Ms): boolean {
    return nowMs - this.#readAtMs > this.#options.staleAfterMs
  }

  /** The same figures again and again, counters included, although requests went through. */
  isFrozen(nowMs: Ms): boolean {
    return (this.#last?.counters.length ?? 0) > 0 && this.#completedSinceChange >= FROZEN_AFTER_COMPLETED &&
      nowMs - this.#changedAtMs >= FROZEN_AFTER_MS
  }

  /** Requests run, and for a long time not one token has come out of any: the engine hangs, whatever its health says. */
  isStalled(nowMs: Ms): boolean {
    return this.#last?.steps !== undefined && (this.#last.report.running ?? 0) > 0 && !this.isStale(nowMs) &&
      nowMs - this.#stepsAtMs >= STALLED_AFTER_MS
  }

  report(nowMs: Ms): EngineReport {
    if (this.#last === undefined || this.isStale(nowMs) || this.isFrozen(nowMs)) return {}
    return this.#queries > 0 ? { ...this.#last.report, prefixHitRatio: this.#hits / this.#queries } : this.#last.report
  }

  #addPrefixHits(last: EngineReading, reading: EngineReading): void {
    if (last.prefixHitTokens === undefined || reading.prefixHitTokens === undefined) return
    if (last.prefixQueryTokens === undefined || reading.prefixQueryTokens === undefined) return
    const queries = reading.prefixQueryTokens - last.prefixQueryTokens
    if (queries <= 0) return
    const hits = Math.min(Math.max(reading.prefixHitTokens - last.prefixHitTokens, 0), queries)
    this.#hits = this.#hits * HIT_DECAY + hits
    this.#queries = this.#queries * HIT_DECAY + queries
  }
}

function isRestart(before: EngineReading, now: EngineReading): boolean {
  if (before.startedAtSeconds !== undefined && now.startedAtSeconds !== undefined &&
    Math.abs(now.startedAtSeconds - before.startedAtSeconds) > START_TOLERANCE_SECONDS) return true
  return before.counters.length === now.counters.length && now.counters.some((value, index) => value < before.counters[index]!)
}

function isSame(before: EngineReading, now: EngineReading): boolean {
  const a = before.report, b = now.report
  return a.running === b.running && a.waiting === b.waiting && a.kvUsageRatio === b.kvUsageRatio &&
    before.counters.length === now.counters.length && now.counters.every((value, index) => value === before.counters[index])
}
