import type { BackendId, ClassName, Explanation, Ms, Tokens } from '../core/index.js'

/** What the streams of one class on one backend have shown of its speed while they run: sums since the start, to be read as differences. */
export interface Pace {
  readonly backend: BackendId
  readonly class: ClassName
  /** Gaps between token events, and their sum. */
  gaps: number
  gapMs: Ms
  /** First tokens, the time from dispatch to them, and the prompt tokens computed for them. */
  firstTokens: number
  prefillMs: Ms
  prefillTokens: Tokens
  /** Of first tokens that had been predicted: measured and predicted time from dispatch. */
  measuredMs: Ms
  predictedMs: Ms
}

/** Paces by backend and class. Writing allocates nothing once the pair has been seen. */
export class Paces {
  readonly #paces = new Map<BackendId, Map<ClassName, Pace>>()

  of(backend: BackendId, className: ClassName): Pace {
    let classes = this.#paces.get(backend)
    if (classes === undefined) this.#paces.set(backend, classes = new Map<ClassName, Pace>())
    let pace = classes.get(className)
    if (pace === undefined) classes.set(className, pace = { backend, class: className, gaps: 0, gapMs: 0, firstTokens: 0, prefillMs: 0, prefillTokens: 0, measuredMs: 0, predictedMs: 0 })
    return pace
  }

  /** A first token came `upstreamMs` after dispatch, `ttftMs` after t0. */
  firstToken(backend: BackendId, className: ClassName, upstreamMs: Ms, ttftMs: Ms, explanation: Explanation | undefined): void {
    const pace = this.of(backend, className)
    pace.firstTokens++
    pace.prefillMs += upstreamMs
    pace.prefillTokens += explanation?.uncachedTokens ?? 0
    if (explanation?.predictedTtftMs === undefined) return
    pace.measuredMs += upstreamMs
    // The prediction counts from t0; what was spent in the queue is not the backend's.
    pace.predictedMs += Math.max(1, explanation.predictedTtftMs - (ttftMs - upstreamMs))
  }

  list(): readonly Pace[] {
    return [...this.#paces.values()].flatMap((classes) => [...classes.values()])
  }
}
