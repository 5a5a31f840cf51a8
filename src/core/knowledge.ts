import { OutputLengths, type OutputLengthHistogram } from './estimation/output-lengths.js'
import { PromptTokenEstimator } from './estimation/prompt-tokens.js'
import type { Lease } from './ledger/lease.js'
import type { ClassName, Ms, RequestSpec, Tokens, Usage } from './types.js'

/** Before anything was seen. */
const TYPICAL_TOKEN_MS = 40
const TOKEN_GAIN = 0.05

/** What is learned across backends: prompt sizes from text, output lengths by class. */
export class Knowledge {
  readonly #prompts = new PromptTokenEstimator()
  readonly #lengths = new OutputLengths()
  readonly #tokenMs = new Map<ClassName, Ms>()

  /** Whole tokens, so that ledgers add up exactly. */
  promptTokens(spec: RequestSpec): Tokens {
    return spec.promptTokens ?? Math.round(this.#prompts.tokens(spec.model, spec.class, spec.promptBytes, spec.promptShape))
  }

  lengths(name: ClassName): OutputLengthHistogram {
    return this.#lengths.of(name)
  }

  /** Time per output token that requests of the class see of late. */
  tokenMs(name: ClassName): Ms {
    return this.#tokenMs.get(name) ?? TYPICAL_TOKEN_MS
  }

  /** A request came to its natural end: only then is its length that of an answer. */
  completed(lease: Lease, usage: Usage | undefined, nowMs: Ms): void {
    const { spec } = lease.request
    if (spec.kind !== 'generation') return
    const outputTokens = usage?.outputTokens ?? lease.outputTokens
    if (outputTokens > 1) {
      const tookMs = (nowMs - (lease.firstTokenAtMs ?? lease.expectedFirstTokenAtMs)) / (outputTokens - 1)
      this.#tokenMs.set(spec.class, this.tokenMs(spec.class) + TOKEN_GAIN * (Math.max(0, tookMs) - this.tokenMs(spec.class)))
    }
    if (outputTokens > 0) this.#lengths.add(spec.class, outputTokens)
    if (usage?.promptTokens !== undefined && spec.promptTokens === undefined) {
      this.#prompts.observe(spec.model, spec.class, spec.promptBytes, usage.promptTokens, nowMs, spec.promptShape)
    }
    if (usage?.cachedTokens !== undefined && spec.prefixHashes.length > 0) {
      const { prefixes } = lease.backend
      prefixes.observe((lease.request.promptTokens - lease.uncachedTokens) / prefixes.trust, usage.cachedTokens)
    }
  }

  keepOnly(names: ReadonlySet<ClassName>): void {
    this.#lengths.keepOnly(names)
    for (const name of this.#tokenMs.keys()) {
      if (!names.has(name)) this.#tokenMs.delete(name)
    }
  }
}
