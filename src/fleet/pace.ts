import type { Ms, Tokens } from '../core/index.js'

export interface PaceOptions {
  /** Slower than usual by this factor, beside its peers, is slow; 0 = nothing ever is. */
  readonly factor: number
  /** Most of a pool that may be slow at once, 0–1; one backend always may. */
  readonly maxShare: number
}

/** Latest samples that are looked at; their median is what counts. */
const RECENT = 16
/** Samples after which a backend that was set back is looked at again. */
const RECENT_AFTER = 8
/** Samples from which it is known what is usual, */
const KNOWN = 48
/** and the weight of one more by then: what changes over hundreds of answers is how the backend is, and placement knows it. */
const GAIN = 1 / 400
/** A backend that was not asked for so long is no peer to compare with. */
const FRESH_MS: Ms = 60_000
/** After this long what is slow is usual. */
const ACCEPTED_MS: Ms = 600_000
/** A prompt's fixed cost, in tokens that would take as long. */
const FIXED_TOKENS: Tokens = 200
/** Fewer tokens than this say little of the time between them. */
const MIN_TOKENS: Tokens = 8
/** First tokens this close come out of one step, and only the first of them was waited for. */
const SAME_STEP_MS: Ms = 2

/** One kind of duration: the latest, and what is usual. Kept as logarithms: a backend is slower by a factor. */
class Signal {
  readonly #recent = new Float64Array(RECENT)
  #count = 0
  #usual = 0
  #learned = 0

  add(value: number, learn: boolean): void {
    const log = Math.log(Math.max(value, 1e-6))
    this.#recent[this.#count++ % RECENT] = log
    if (!learn) return
    this.#learned++
    this.#usual += Math.max(1 / this.#learned, GAIN) * (log - this.#usual)
  }

  /** Logarithm of how much slower than usual the latest are; undefined = not known. */
  slowdown(enough: number): number | undefined {
    if (this.#learned < KNOWN || this.#count < enough) return undefined
    return median(this.#recent.subarray(0, Math.min(this.#count, RECENT))) - this.#usual
  }

  /** What was seen of late is over. */
  forgetRecent(): void {
    this.#count = 0
  }

  forget(): void {
    this.#count = 0
    this.#usual = 0
    this.#learned = 0
  }
}

/**
 * How fast one backend answers, as its streams show it: the time to a first token per token of its prompt, and the time per
 * token after it. Either is compared with what is usual for this very backend, so that one that is always half as fast is
 * not slow, and then with how its peers do at the same time, so that a busy hour is nobody's fault.
 */
export class Pace {
  readonly #first = new Signal()
  readonly #token = new Signal()
  #firstTokenAtMs: Ms = -Infinity
  #sampledAtMs: Ms = -Infinity
  #slowSinceMs: Ms | undefined
  #recoveredAtMs: Ms | undefined
  /** Slower than usual and than its peers by this factor; undefined = not known. */
  ratio: number | undefined

  /** The ratio for which it was set back last. */
  slowBy = 1

  /** Set back since; undefined = it is not. */
  get slowSinceMs(): Ms | undefined {
    return this.#slowSinceMs
  }

  get recoveredAtMs(): Ms | undefined {
    return this.#recoveredAtMs
  }

  /** A first token came, for a prompt of so many tokens that had to be computed. What was ahead of it in the engine is not counted. */
  firstToken(dispatchedAtMs: Ms, promptTokens: Tokens, nowMs: Ms): void {
    const sameStep = nowMs - this.#firstTokenAtMs < SAME_STEP_MS
    const tookMs = nowMs - Math.max(dispatchedAtMs, this.#firstTokenAtMs)
    this.#firstTokenAtMs = nowMs
    if (!sameStep) this.#add(this.#first, tookMs / (promptTokens + FIXED_TOKENS), nowMs)
  }

  /** A stream ended after so many tokens, the last of them so long after the first. */
  tokens(count: Tokens, tookMs: Ms, nowMs: Ms): void {
    if (count >= MIN_TOKENS) this.#add(this.#token, tookMs / (count - 1), nowMs)
  }

  /** The process was replaced: what was usual says nothing of the new one. */
  reset(nowMs: Ms): void {
    this.#first.forget()
    this.#token.forget()
    this.ratio = undefined
    this.#recover(nowMs)
  }

  /** Logarithm of its slowdown: the mean of both kinds, where both are known; neither alone is as sure as the two. */
  slowdown(nowMs: Ms): number | undefined {
    if (nowMs - this.#sampledAtMs > FRESH_MS) return undefined
    const enough = this.#slowSinceMs === undefined ? RECENT : RECENT_AFTER
    const known = [this.#first.slowdown(enough), this.#token.slowdown(enough)].filter(value => value !== undefined)
    return known.length === 0 ? undefined : known.reduce((sum, value) => sum + value, 0) / known.length
  }

  setBack(nowMs: Ms): void {
    this.#slowSinceMs = nowMs
    this.slowBy = this.ratio ?? 1
    this.#first.forgetRecent()
    this.#token.forgetRecent()
  }

  release(nowMs: Ms): void {
    this.#recover(nowMs)
  }

  #recover(nowMs: Ms): void {
    if (this.#slowSinceMs !== undefined) this.#recoveredAtMs = nowMs
    this.#slowSinceMs = undefined
  }

  #add(signal: Signal, value: number, nowMs: Ms): void {
    this.#sampledAtMs = nowMs
    signal.add(value, this.#slowSinceMs === undefined)
  }
}

/** Sets back who has become slow, and releases who is so no more. All of one pool; true = something has changed. */
export function judgePaces(pool: readonly Pace[], { factor, maxShare }: PaceOptions, nowMs: Ms): boolean {
  const slowdowns = pool.map(pace => pace.slowdown(nowMs))
  for (const [i, pace] of pool.entries()) {
    const own = slowdowns[i]
    const peers = slowdowns.filter((value, j) => j !== i && value !== undefined) as number[]
    // A pool that is faster than usual makes nobody slow.
    pace.ratio = own === undefined || peers.length === 0 ? undefined : Math.exp(own - Math.max(0, median(Float64Array.from(peers))))
  }
  let changed = false
  for (const pace of pool) {
    const { slowSinceMs, ratio } = pace
    if (slowSinceMs === undefined) continue
    const accepted = nowMs - slowSinceMs >= ACCEPTED_MS
    if (accepted) pace.reset(nowMs)
    else if (factor === 0 || (ratio !== undefined && ratio < factor / 2)) pace.release(nowMs)
    else continue
    changed = true
  }
  if (factor === 0) return changed
  let room = Math.max(1, Math.floor(maxShare * pool.length)) - pool.filter(pace => pace.slowSinceMs !== undefined).length
  const worstFirst = pool.filter(pace => pace.slowSinceMs === undefined && (pace.ratio ?? 0) >= factor).sort((a, b) => b.ratio! - a.ratio!)
  for (const pace of worstFirst) {
    if (room-- <= 0) break
    pace.setBack(nowMs)
    changed = true
  }
  return changed
}

function median(values: Float64Array): number {
  const sorted = values.slice().sort()
  const middle = sorted.length >> 1
  return sorted.length % 2 === 1 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2
}
