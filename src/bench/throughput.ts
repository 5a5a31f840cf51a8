import type { Ms, Tokens } from '../core/index.js'
import type { Exchange } from './exchange.js'

/** What the target did within the measured time, for whichever requests. */
export interface Throughput {
  readonly completed: number
  /** Prompts whose first token came. */
  readonly inputTokens: Tokens
  readonly outputTokens: Tokens
  /** Output tokens of the best second. */
  readonly peakOutputTokens: Tokens
  /** Most requests that were out at once. */
  readonly peakRequests: number
}

type Ended = Pick<Exchange, 'ending' | 'endedAtMs' | 'firstTokenAtMs' | 'lastTokenAtMs' | 'promptTokens' | 'outputTokens'>

const SECOND = 1000

/** Counts what happens within a span of time. A request's tokens are taken to have come evenly between its first and its last. */
export class ThroughputMeter {
  readonly #fromMs: Ms
  readonly #toMs: Ms
  /** Output tokens of each second. */
  readonly #seconds: Float64Array
  #completed = 0
  #inputTokens = 0
  #peakRequests = 0

  constructor(fromMs: Ms, spanMs: Ms) {
    this.#fromMs = fromMs
    this.#toMs = fromMs + spanMs
    this.#seconds = new Float64Array(Math.ceil(spanMs / SECOND))
  }

  /** Within the span a request was sent: so many are out now. */
  sent(active: number): void {
    this.#peakRequests = Math.max(this.#peakRequests, active)
  }

  ended({ ending, endedAtMs, firstTokenAtMs, lastTokenAtMs, promptTokens, outputTokens }: Ended): void {
    if (ending === 'completed' && this.#includes(endedAtMs!)) this.#completed++
    if (firstTokenAtMs === undefined || lastTokenAtMs === undefined) return
    if (this.#includes(firstTokenAtMs)) this.#inputTokens += promptTokens
    const spanMs = lastTokenAtMs - firstTokenAtMs
    for (let i = Math.max(0, this.#secondOf(firstTokenAtMs)); i <= Math.min(this.#seconds.length - 1, this.#secondOf(lastTokenAtMs)); i++) {
      const startMs = this.#fromMs + i * SECOND
      const within = Math.min(lastTokenAtMs, startMs + SECOND, this.#toMs) - Math.max(firstTokenAtMs, startMs)
      if (within >= 0) this.#seconds[i]! += outputTokens * (spanMs > 0 ? within / spanMs : 1)
    }
  }

  result(): Throughput {
    return {
      completed: this.#completed,
      inputTokens: this.#inputTokens,
      outputTokens: this.#seconds.reduce((sum, tokens) => sum + tokens, 0),
      peakOutputTokens: this.#seconds.reduce((most, tokens) => Math.max(most, tokens), 0),
      peakRequests: this.#peakRequests,
    }
  }

  #includes(atMs: Ms): boolean {
    return atMs >= this.#fromMs && atMs < this.#toMs
  }

  #secondOf(atMs: Ms): number {
    return Math.floor((atMs - this.#fromMs) / SECOND)
  }
}
