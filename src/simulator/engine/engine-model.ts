import type { Ms, Random, Tokens } from '../../core/index.js'
import { KvCache } from './kv-cache.js'
import type { EngineLimits, EngineProfile, StepCosts } from './profile.js'
import { type EngineRequest, Sequence } from './sequence.js'
import { WaitingQueue } from './waiting-queue.js'

export interface EngineOptions {
  readonly profile: EngineProfile
  /** Everything takes 1/speed of the profile's time. */
  readonly speed?: number
  /** Relative standard deviation of a step's time; needs `random`. */
  readonly noise?: number
  readonly random?: Random
}

/** What one call of `step` brought to an end and began. The arrays are the model's own and hold until the next call. */
export interface StepReport<Tag> {
  /** The step that ended made one token for each of these, at `endedAtMs`. */
  readonly emitted: ReadonlyArray<Sequence<Tag>>
  /** Those of `emitted` for which it was the first token. */
  readonly firstTokens: ReadonlyArray<Sequence<Tag>>
  /** Complete with this step; they hold no memory any more. */
  readonly finished: ReadonlyArray<Sequence<Tag>>
  /** NaN when no step was under way. */
  readonly endedAtMs: Ms
  /** End of the step that has begun: call `step` again then. `Infinity` = there is nothing to do until the next `submit`. */
  readonly endsAtMs: Ms
}

/** Totals since the start. Computed = useful + recomputed + wasted + what is inside; see `wasted…` for aborts. */
export interface EngineCounters {
  steps: number
  busyMs: Ms
  /** Prompt tokens computed, recomputation included, cache hits excluded. */
  prefillTokens: Tokens
  /** Single-token decode computations. */
  decodeTokens: Tokens
  /** Answer tokens made. */
  generatedTokens: Tokens
  prefixQueryTokens: Tokens
  prefixHitTokens: Tokens
  preemptions: number
  /** Part of `prefillTokens` that did again what a preemption had thrown away. */
  recomputedTokens: Tokens
  /** First-time work on requests that were let go before their end. */
  wastedPrefillTokens: Tokens
  wastedDecodeTokens: Tokens
  submitted: number
  refused: number
  finished: number
  aborted: number
}

export interface EngineGauges {
  readonly running: number
  readonly waiting: number
  /** Referenced share of the KV blocks, 0–1; cached blocks that nobody uses count as free. */
  readonly kvUsageRatio: number
  readonly kvTotalBlocks: number
  /** Prompt tokens inside that are not computed yet. */
  readonly queuedPromptTokens: Tokens
}

/**
 * A model server with continuous batching, after vLLM v1: each step gives every running sequence its next token or its next piece of
 * prompt, in order of admission, within one token budget; what budget is left admits waiting sequences. When memory runs out the youngest
 * running sequence is preempted and later computed again.
 *
 * Pure: time is what the caller says. Call `step` at the time that the last report named; after a `submit` to an idle model call it at once.
 */
export class EngineModel<Tag = unknown> {
  readonly counters: EngineCounters = {
    steps: 0, busyMs: 0, prefillTokens: 0, decodeTokens: 0, generatedTokens: 0, prefixQueryTokens: 0, prefixHitTokens: 0, preemptions: 0,
    recomputedTokens: 0, wastedPrefillTokens: 0, wastedDecodeTokens: 0, submitted: 0, refused: 0, finished: 0, aborted: 0
  }

  readonly limits: EngineLimits
  readonly #costs: StepCosts
  readonly #cache: KvCache
  readonly #waiting = new WaitingQueue<Tag>()
  readonly #running: Array<Sequence<Tag>> = []
  readonly #noise: number
  readonly #random: Random | undefined
  readonly #report = {
    emitted: [] as Array<Sequence<Tag>>,
    firstTokens: [] as Array<Sequence<Tag>>,
    finished: [] as Array<Sequence<Tag>>,
    endedAtMs: NaN,
    endsAtMs: Infinity
  }

  #speed: number
  #runningLive = 0
  #queuedPromptTokens = 0
  #endsAtMs = Infinity

  // The step being put together.
  #budget = 0
  #decodeStreams = 0
  #decodeContext = 0
  #prefillMs = 0

  constructor (options: EngineOptions) {
    this.limits = options.profile.limits
    this.#costs = options.profile.costs
    this.#speed = options.speed ?? 1
    this.#noise = options.noise ?? 0
    this.#random = options.random
    if (this.#noise > 0 && this.#random === undefined) throw new RangeError('noise needs a random: pass a seeded Random')
    this.#cache = new KvCache(this.limits.kvCapacityTokens, this.limits.blockTokens, this.limits.prefixBlockTokens)
  }

  /** End of the step under way; `Infinity` = idle. */
  get endsAtMs (): Ms {
    return this.#endsAtMs
  }

  gauges (): EngineGauges {
    return {
      running: this.#runningLive,
      waiting: this.#waiting.size,
      kvUsageRatio: this.#cache.usedBlocks / this.#cache.totalBlocks,
      kvTotalBlocks: this.#cache.totalBlocks,
      queuedPromptTokens: this.#queuedPromptTokens
    }
  }

  /** Takes effect with the next step. */
  setSpeed (speed: number): void {
    this.#speed = speed
  }

  /** `undefined` = refused, one of the limits on what may be inside is reached. Throws RangeError if it could never fit in memory. */
  submit (request: EngineRequest<Tag>, nowMs: Ms): Sequence<Tag> | undefined {
    const { maxInflight, maxQueuedPromptTokens, kvCapacityTokens } = this.limits
    if (!(request.promptTokens >= 1) || !(request.outputTokens >= 0)) {
      throw new RangeError(`promptTokens is ${request.promptTokens}, outputTokens is ${request.outputTokens}: at least 1 and 0 are needed`)
    }
    if (request.promptTokens + request.outputTokens > kvCapacityTokens - this.limits.blockTokens) {
      throw new RangeError(`${request.promptTokens} + ${request.outputTokens} tokens never fit into ${kvCapacityTokens} tokens of KV memory`)
    }
    if (this.#runningLive + this.#waiting.size >= maxInflight || this.#queuedPromptTokens + request.promptTokens > maxQueuedPromptTokens) {
      this.counters.refused++
      return undefined
    }
    const sequence = new Sequence(request, nowMs)
    this.#queuedPromptTokens += request.promptTokens
    this.#waiting.push(sequence)
    this.counters.submitted++
    return sequence
  }

  /** Let a sequence go. The step under way still carries it; its memory is free from the next step on. No effect after its end. */
  abort (sequence: Sequence<Tag>, nowMs: Ms): void {
    if (sequence.state === 'waiting') this.#waiting.forget()
    else if (sequence.state === 'running') this.#runningLive--
    else return
    sequence.state = 'aborted'
    sequence.endedAtMs = nowMs
    this.#queuedPromptTokens -= sequence.prefillLeft
    this.counters.aborted++
    this.counters.wastedPrefillTokens += sequence.prefillWork - sequence.recomputeWork
    this.counters.wastedDecodeTokens += sequence.decodeWork
  }

  /** End the step under way, if any, and begin the next. `nowMs` is not before the end of the step under way. */
  step (nowMs: Ms): StepReport<Tag> {
    const report = this.#report
    report.emitted.length = 0
    report.firstTokens.length = 0
    report.finished.length = 0
    report.endedAtMs = NaN
    if (this.#endsAtMs !== Infinity) {
      if (nowMs < this.#endsAtMs) throw new RangeError(`step at ${nowMs} ms, but the step under way ends at ${this.#endsAtMs} ms: call step then`)
      this.#finish(this.#endsAtMs)
    }
    this.#endsAtMs = report.endsAtMs = this.#begin(nowMs)
    return report
  }

  #finish (atMs: Ms): void {
    const running = this.#running
    const { emitted, firstTokens, finished } = this.#report
    this.#report.endedAtMs = atMs
    let kept = 0
    for (let i = 0; i < running.length; i++) {
      const sequence = running[i] as Sequence<Tag>
      if (sequence.state === 'aborted') {
        this.#cache.release(sequence)
        continue
      }
      if (sequence.computed === sequence.promptTokens + sequence.generated) {
        if (sequence.outputTokens > 0) {
          if (sequence.generated++ === 0) {
            sequence.firstTokenAtMs = atMs
            firstTokens.push(sequence)
          }
          sequence.lastTokenAtMs = atMs
          emitted.push(sequence)
        }
        if (sequence.generated === sequence.outputTokens) {
          sequence.state = 'finished'
          sequence.endedAtMs = atMs
          finished.push(sequence)
          this.#cache.release(sequence)
          continue
        }
      }
      running[kept++] = sequence
    }
    running.length = kept
    this.#runningLive = kept
    this.counters.generatedTokens += emitted.length
    this.counters.finished += finished.length
  }

  /** Put the next step together; returns when it ends. */
  #begin (nowMs: Ms): Ms {
    const running = this.#running
    const head = running.length === 0 ? this.#waiting.peek() : undefined
    const startMs = head === undefined ? nowMs : Math.max(nowMs, head.submittedAtMs)
    this.#budget = this.limits.stepTokenBudget
    this.#decodeStreams = 0
    this.#decodeContext = 0
    this.#prefillMs = 0
    if (this.#advanceRunning()) this.#admit(startMs)
    if (running.length === 0) return Infinity

    const costs = this.#costs
    let stepMs = costs.baseMs + costs.perStreamMs * this.#decodeStreams + costs.perKiloContextMs * this.#decodeContext / 1000 + this.#prefillMs
    if (this.#noise > 0) stepMs *= Math.max(0.1, 1 + this.#noise * this.#unitNoise())
    stepMs /= this.#speed
    this.counters.steps++
    this.counters.busyMs += stepMs
    return startMs + stepMs
  }

  /** The next token or piece of prompt for each running sequence. False if memory ran out, so that nobody may be admitted. */
  #advanceRunning (): boolean {
    const running = this.#running
    let preempted = false
    for (let i = 0; i < running.length && this.#budget > 0; i++) {
      const sequence = running[i] as Sequence<Tag>
      const tokens = sequence.prefillLeft === 0 ? 1 : Math.min(sequence.prefillLeft, this.#budget)
      while (!this.#cache.grow(sequence, sequence.computed + tokens)) {
        preempted = true
        if (this.#preemptLast() === sequence) return false
      }
      this.#compute(sequence, tokens)
    }
    return !preempted
  }

  #admit (startMs: Ms): void {
    const { maxSequences, prefixBlockTokens } = this.limits
    while (this.#budget > 0 && this.#running.length < maxSequences) {
      const sequence = this.#waiting.peek()
      if (sequence === undefined || sequence.submittedAtMs > startMs) return
      const known = sequence.promptTokens + sequence.generated
      const hits = this.#cache.lookup(sequence, known)
      const hitTokens = hits * prefixBlockTokens
      const tokens = Math.min(known - hitTokens, this.#budget)
      this.#cache.acquire(sequence, hits)
      if (!this.#cache.grow(sequence, hitTokens + tokens)) {
        this.#cache.release(sequence)
        return
      }
      this.#waiting.shift()
      this.#running.push(sequence)
      this.#runningLive++
      sequence.state = 'running'
      sequence.computed = hitTokens
      sequence.prefillLeft -= hitTokens
      sequence.recomputeLeft = Math.max(0, sequence.recomputeLeft - hitTokens)
      this.#queuedPromptTokens -= hitTokens
      this.counters.prefixQueryTokens += known
      this.counters.prefixHitTokens += hitTokens
      if (sequence.preemptions === 0) {
        sequence.startedAtMs = startMs
        sequence.cachedTokens = hitTokens
      }
      this.#compute(sequence, tokens)
    }
  }

  #compute (sequence: Sequence<Tag>, tokens: Tokens): void {
    if (sequence.prefillLeft === 0) {
      this.#decodeStreams++
      this.#decodeContext += sequence.computed + 1
      sequence.decodeWork++
      this.counters.decodeTokens++
    } else {
      const { perPrefillTokenMs, perPrefillKiloContextMs } = this.#costs
      this.#prefillMs += tokens * (perPrefillTokenMs + perPrefillKiloContextMs * (sequence.computed + tokens / 2) / 1000)
      const again = Math.min(tokens, sequence.recomputeLeft)
      sequence.recomputeLeft -= again
      sequence.recomputeWork += again
      sequence.prefillWork += tokens
      sequence.prefillLeft -= tokens
      this.#queuedPromptTokens -= tokens
      this.counters.prefillTokens += tokens
      this.counters.recomputedTokens += again
    }
    sequence.computed += tokens
    this.#budget -= tokens
    if (sequence.prefixHashes.length > sequence.entries.length) this.#cache.publish(sequence, sequence.computed)
  }

  #preemptLast (): Sequence<Tag> {
    const sequence = this.#running.pop() as Sequence<Tag>
    this.#runningLive--
    this.#cache.release(sequence)
    const known = sequence.promptTokens + sequence.generated
    this.#queuedPromptTokens += known - sequence.prefillLeft
    sequence.recomputeLeft += sequence.computed
    sequence.prefillLeft = known
    sequence.computed = 0
    sequence.preemptions++
    sequence.state = 'waiting'
    this.#waiting.pushFront(sequence)
    this.counters.preemptions++
    return sequence
  }

  /** Mean 0, variance 1, bounded by ±3. */
  #unitNoise (): number {
    const random = this.#random as Random
    return 2 * (random.next() + random.next() + random.next()) - 3
  }
}
