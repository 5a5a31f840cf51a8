import type { BackendLedgerState, ClassName, Ms, Tokens } from '../core/index.js'
import { BatchCurve } from './curve.js'
import { median } from './columns.js'
import type { SpeedFault } from './types.js'

/** What one class's streams on a backend showed within one second; differences of telemetry's sums. */
export interface PaceSample {
  readonly gaps: number
  readonly gapMs: Ms
  readonly firstTokens: number
  readonly prefillMs: Ms
  readonly prefillTokens: Tokens
  readonly measuredMs: Ms
  readonly predictedMs: Ms
}

export interface SpeedSample {
  readonly elapsedMs: Ms
  readonly classes: ReadonlyMap<ClassName, PaceSample>
  readonly ledger: BackendLedgerState | undefined
}

/** What a backend does now, over the last seconds; undefined where nothing ran for it. */
export interface Pace {
  readonly streams: number
  readonly tokenMs: Ms | undefined
  readonly tokensPerS: number
  readonly prefillMs: Ms | undefined
  readonly predictedPrefillMs: Ms | undefined
  readonly prefillShare: number | undefined
  readonly decodeShare: number | undefined
}

export type Fault = Pick<SpeedFault, 'phase' | 'against' | 'sinceMs' | 'ratio' | 'nowMs' | 'expectedMs'>
type Finding = Pick<Fault, 'phase' | 'against' | 'ratio' | 'nowMs' | 'expectedMs'>

/** Seconds that count as now. */
const NOW = 3
/** Seconds over which first tokens are looked at: they are fewer. */
const NOW_PREFILL = 5
const KEPT = NOW_PREFILL
/** A second is learned as normal only after this many more without suspicion. */
const LEARNED_AFTER = 5
const MIN_GAPS = 8
/** Concurrency up to this many times the measured one is about the same. */
const NEAR = 2
const MOST_STRETCHED = 1.5
/** Beyond this many times as many streams the past says nothing. */
const UNSEEN = 4
const MIN_FIRST_TOKENS = 3
/** Slower by these factors is a fault; first tokens scatter more. */
const DECODE_SLOWER = 2
const PREFILL_SLOWER = 2.5
const PREFILL_NOTICEABLE_MS = 50
/** Prompts up to this many times as long are alike. */
const ALIKE = 2
/** Seconds in a row that make a suspicion a fault, and that end one. */
const CONFIRM = { past: 2, pool: 5 } as const
const RECOVERED_BELOW = 1.4
const RECOVERED_AFTER = 5
const MIN_PREFILL_SAMPLES = 20
const BASELINE_WEIGHT = 0.05

/**
 * Watches one backend's speed as its streams show it, and finds the fault that health checks cannot see: it answers, only much
 * slower than it used to at the same load, or than the rest of its pool.
 */
export class SpeedWatch {
  readonly curve = new BatchCurve()
  readonly #recent: SpeedSample[] = []
  #pending: { streams: number, tokenMs: Ms }[] = []
  /** Usual quotient of measured over predicted time to the first token. */
  #prefillBaseline = 1
  #suspicion: { readonly phase: string, readonly against: string, seconds: number, readonly sinceMs: Ms } | undefined
  #calm = 0
  #fault: Fault | undefined

  get fault(): Fault | undefined {
    return this.#fault
  }

  add(sample: SpeedSample): void {
    this.#recent.push(sample)
    if (this.#recent.length > KEPT) this.#recent.shift()
  }

  /** The backend was replaced by another process: its past says nothing any more. */
  forget(): void {
    this.curve.clear()
    this.#pending = []
    this.#prefillBaseline = 1
    this.#fault = undefined
    this.#suspicion = undefined
  }

  now(): Pace {
    const all = this.#sum(NOW)
    const first = this.#sum(NOW_PREFILL)
    const model = this.#recent.at(-1)?.ledger?.model
    const streams = all.elapsedMs > 0 ? all.gapMs / all.elapsedMs : 0
    const tokenMs = all.gaps >= MIN_GAPS ? all.gapMs / all.gaps : undefined
    const steps = streams > 0 ? all.gaps / streams : 0
    return {
      streams,
      tokenMs,
      tokensPerS: all.elapsedMs > 0 ? (all.gaps + all.firstTokens) * 1000 / all.elapsedMs : 0,
      prefillMs: first.firstTokens > 0 ? first.prefillMs / first.firstTokens : undefined,
      predictedPrefillMs: first.firstTokens > 0 && first.predictedMs > 0 ? first.prefillMs / first.firstTokens * first.predictedMs / first.measuredMs : undefined,
      prefillShare: model === undefined || all.elapsedMs === 0 || (all.firstTokens > 0 && all.prefillTokens === 0) ? undefined : Math.min(1, all.prefillTokens * model.prefillMsPerToken / all.elapsedMs),
      decodeShare: model === undefined || all.elapsedMs === 0 ? undefined : Math.min(1, steps * this.stepMs(streams) / all.elapsedMs),
    }
  }

  /** A decode step at this concurrency, as the scheduler's learned model has it; 0 without one. */
  stepMs(streams: number): Ms {
    const ledger = this.#recent.at(-1)?.ledger
    if (ledger === undefined) return 0
    const { model, contextTokens, inflightRequests } = ledger
    const contextPerStream = inflightRequests > 0 ? contextTokens / inflightRequests : 0
    return model.decodeBaseMs + model.decodeMsPerStream * streams + model.decodeMsPer1000ContextTokens * contextPerStream * streams / 1000
  }

  /** What a token should take at this concurrency by this backend's own past. */
  expectedTokenMs(streams: number): Ms | undefined {
    const past = this.curve.nearest(streams)
    if (past === undefined) return undefined
    if (streams <= past.streams * NEAR) return past.tokenMs
    // More streams than were ever seen take longer; how much, the model tells, within reason: it may have learned from the fault.
    if (streams > past.streams * UNSEEN) return undefined
    const known = this.stepMs(past.streams)
    return past.tokenMs * (known > 0 ? Math.min(MOST_STRETCHED, Math.max(1, this.stepMs(streams) / known)) : 1)
  }

  /** Mean gap of one class's tokens now. */
  tokenMsOf(className: ClassName): Ms | undefined {
    let gaps = 0, gapMs = 0
    for (const { classes } of this.#recent.slice(-NOW)) {
      gaps += classes.get(className)?.gaps ?? 0
      gapMs += classes.get(className)?.gapMs ?? 0
    }
    return gaps > 0 ? gapMs / gaps : undefined
  }

  /** Once a second, after `add` was told to all: looks for a fault, and learns what is normal where there is none. */
  judge(peers: readonly SpeedWatch[], nowMs: Ms): void {
    const finding = this.#againstPast() ?? this.#againstPool(peers)
    if (this.#fault !== undefined) return this.#follow(this.#fault, finding)
    if (finding === undefined) {
      this.#suspicion = undefined
      this.#learn()
      return
    }
    // What looks suspicious is not learned as normal; nor is what came just before.
    if (finding.against === 'past') this.#pending = []
    const same = this.#suspicion?.phase === finding.phase && this.#suspicion.against === finding.against
    if (!same || this.#suspicion === undefined) this.#suspicion = { phase: finding.phase, against: finding.against, seconds: 0, sinceMs: nowMs - this.#recent.at(-1)!.elapsedMs }
    this.#suspicion.seconds++
    if (this.#suspicion.seconds >= CONFIRM[finding.against]) this.#fault = { ...finding, sinceMs: this.#suspicion.sinceMs }
    else if (finding.against === 'pool') this.#learn()
  }

  /** A fault goes on as long as its own measure says so; it ends after some seconds that say otherwise. */
  #follow(fault: Fault, finding: Finding | undefined): void {
    const ratio = this.#ratioFor(fault)
    this.#calm = ratio !== undefined && ratio < RECOVERED_BELOW && finding === undefined ? this.#calm + 1 : 0
    if (this.#calm >= RECOVERED_AFTER) {
      this.#fault = undefined
      this.#suspicion = undefined
      this.#calm = 0
    } else if (finding?.phase === fault.phase) this.#fault = { ...finding, against: fault.against, sinceMs: fault.sinceMs }
  }

  #ratioFor({ phase, against, expectedMs }: Fault): number | undefined {
    const { tokenMs, streams, prefillMs, predictedPrefillMs } = this.now()
    if (phase === 'decode') {
      if (tokenMs === undefined) return undefined
      return tokenMs / (against === 'past' ? this.expectedTokenMs(streams) ?? expectedMs : expectedMs)
    }
    if (prefillMs === undefined) return undefined
    if (against === 'pool') return prefillMs / expectedMs
    return predictedPrefillMs === undefined ? undefined : prefillMs / (predictedPrefillMs * this.#prefillBaseline)
  }

  #againstPast(): Finding | undefined {
    const { tokenMs, streams, prefillMs, predictedPrefillMs } = this.now()
    const expected = this.expectedTokenMs(streams)
    if (tokenMs !== undefined && expected !== undefined && tokenMs >= expected * DECODE_SLOWER) {
      return { phase: 'decode', against: 'past', ratio: tokenMs / expected, nowMs: tokenMs, expectedMs: expected }
    }
    if (prefillMs === undefined || predictedPrefillMs === undefined || this.#sum(NOW_PREFILL).firstTokens < MIN_FIRST_TOKENS) return undefined
    const usual = predictedPrefillMs * this.#prefillBaseline
    if (prefillMs < usual * PREFILL_SLOWER || prefillMs - usual < PREFILL_NOTICEABLE_MS || !this.#isPrefillKnown) return undefined
    return { phase: 'prefill', against: 'past', ratio: prefillMs / usual, nowMs: prefillMs, expectedMs: usual }
  }

  #againstPool(peers: readonly SpeedWatch[]): Finding | undefined {
    const { tokenMs, streams } = this.now()
    const decode = median(peers.flatMap((peer) => peer.expectedTokenMs(streams) ?? []))
    if (tokenMs !== undefined && decode !== undefined && tokenMs >= decode * DECODE_SLOWER) {
      return { phase: 'decode', against: 'pool', ratio: tokenMs / decode, nowMs: tokenMs, expectedMs: decode }
    }
    const own = this.#firstTokens()
    if (own === undefined) return undefined
    const prefill = median(peers.flatMap((peer) => {
      const other = peer.#firstTokens()
      return other !== undefined && Math.max(own.tokens, other.tokens) <= ALIKE * Math.min(own.tokens, other.tokens) ? other.ms : []
    }))
    if (prefill === undefined || own.ms < prefill * PREFILL_SLOWER || own.ms - prefill < PREFILL_NOTICEABLE_MS) return undefined
    return { phase: 'prefill', against: 'pool', ratio: own.ms / prefill, nowMs: own.ms, expectedMs: prefill }
  }

  /** Mean time to the first tokens of now, and mean length of what was computed for each; undefined for too few, and where the length is not known. */
  #firstTokens(): { readonly ms: Ms, readonly tokens: Tokens } | undefined {
    const { firstTokens, prefillMs, prefillTokens } = this.#sum(NOW_PREFILL)
    return firstTokens < MIN_FIRST_TOKENS || prefillTokens === 0 ? undefined : { ms: prefillMs / firstTokens, tokens: prefillTokens / firstTokens }
  }

  get #isPrefillKnown(): boolean {
    return (this.#recent.at(-1)?.ledger?.model.prefillSamples ?? 0) >= MIN_PREFILL_SAMPLES
  }

  #learn(): void {
    const last = this.#sum(1)
    if (last.elapsedMs > 0 && last.gaps >= MIN_GAPS) this.#pending.push({ streams: last.gapMs / last.elapsedMs, tokenMs: last.gapMs / last.gaps })
    const learned = this.#pending.length > LEARNED_AFTER ? this.#pending.shift() : undefined
    if (learned !== undefined) this.curve.add(learned.streams, learned.tokenMs)
    if (last.firstTokens > 0 && last.predictedMs > 0) this.#prefillBaseline += BASELINE_WEIGHT * (last.measuredMs / last.predictedMs - this.#prefillBaseline)
  }

  #sum(seconds: number): { elapsedMs: Ms, gaps: number, gapMs: Ms, firstTokens: number, prefillMs: Ms, prefillTokens: Tokens, measuredMs: Ms, predictedMs: Ms } {
    const sum = { elapsedMs: 0, gaps: 0, gapMs: 0, firstTokens: 0, prefillMs: 0, prefillTokens: 0, measuredMs: 0, predictedMs: 0 }
    for (const { elapsedMs, classes } of this.#recent.slice(-seconds)) {
      sum.elapsedMs += elapsedMs
      for (const pace of classes.values()) {
        sum.gaps += pace.gaps
        sum.gapMs += pace.gapMs
        sum.firstTokens += pace.firstTokens
        sum.prefillMs += pace.prefillMs
        sum.prefillTokens += pace.prefillTokens
        sum.measuredMs += pace.measuredMs
        sum.predictedMs += pace.predictedMs
      }
    }
    return sum
  }
}
