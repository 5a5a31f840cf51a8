import { OutputLengths, type OutputLengthHistogram } from './estimation/output-lengths.js'
import { PromptTokenEstimator } from './estimation/prompt-tokens.js'
import type { Lease } from './ledger/lease.js'
import type { ClassName, Ms, RequestSpec, Tokens, Usage } from './types.js'

/** What is learned across backends: prompt sizes from text, output lengths by class. */
export class Knowledge {
  readonly #prompts = new PromptTokenEstimator()
  readonly #lengths = new OutputLengths()

  /** Whole tokens, so that ledgers add up exactly. */
  promptTokens(spec: RequestSpec): Tokens {
    return spec.promptTokens ?? Math.round(this.#prompts.tokens(spec.model, spec.class, spec.promptBytes, spec.promptShape))
  }

  lengths(name: ClassName): OutputLengthHistogram {
    return this.#lengths.of(name)
  }

  /** A request came to its natural end: only then is its length that of an answer. */
  completed(lease: Lease, usage: Usage | undefined, nowMs: Ms): void {
    const { spec } = lease.request
    if (spec.kind !== 'generation') return
    const outputTokens = usage?.outputTokens ?? lease.outputTokens
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
  }
}
