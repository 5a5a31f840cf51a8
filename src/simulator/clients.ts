import { createRandom, type Random, type RequestSpec, type ServiceClass, type Tokens } from '../core/index.js'
import type { Knowledge } from './spec.js'
import { SimulatedRequest } from './simulated-request.js'
import type { RequestSource } from './workload/workload.js'

/** What a prompt token weighs in a body, before the error is added. */
const BYTES_PER_TOKEN = 4
/** Caps that clients are known to send; the truth is below whichever is sent. */
const COMMON_CAPS: readonly Tokens[] = [256, 512, 1024, 2048, 4096, 8192]
const CAPPED_SHARE = 0.4
const NOTHING_SHARED: readonly number[] = []

/**
 * Turns the workload's requests into what a gateway gets to see: bytes with an error in place of tokens, a `max_tokens`
 * that is rounded up or missing, the prompt's block hashes.
 */
export class Clients {
  private readonly random: Random
  private count = 0

  constructor(
    private readonly source: RequestSource, private readonly classes: readonly ServiceClass[], private readonly knowledge: Knowledge,
    private readonly blockTokens: Tokens | undefined, private readonly gateways: number, seed: number,
  ) {
    this.random = createRandom(`${seed}/clients`)
  }

  /** The next request to arrive; `measured` if it arrives from `measureFromMs` to before `measureToMs`. */
  next(measureFromMs: number, measureToMs: number): SimulatedRequest {
    const source = this.source.next()
    const { random, knowledge } = this
    const index = this.count++
    const service = this.classes[source.classIndex]!
    const error = 1 + knowledge.promptBias + knowledge.promptError * (2 * random.next() - 1)
    const cap = random.next() < CAPPED_SHARE ? this.cap(source.outputTokens) : undefined
    const gateway = this.gateways === 1 ? 0 : Math.floor(random.next() * this.gateways)
    const spec: RequestSpec = {
      id: String(index),
      kind: 'generation',
      class: service.name,
      tenant: 'simulated',
      model: undefined,
      receivedAtMs: source.arrivalMs,
      targets: service.targets,
      promptBytes: Math.max(1, Math.round(source.promptTokens * BYTES_PER_TOKEN * error)),
      promptTokens: knowledge.perfect ? source.promptTokens : undefined,
      maxOutputTokens: knowledge.perfect ? source.outputTokens : cap,
      streamed: true,
      prefixHashes: this.promptBlocks(source.prefixBlocks, source.promptTokens),
      prefixBlockBytes: (this.blockTokens ?? 0) * BYTES_PER_TOKEN,
      sessionKey: source.sessionKey,
    }
    return new SimulatedRequest(index, source, spec, service.targets, gateway, source.arrivalMs >= measureFromMs && source.arrivalMs < measureToMs)
  }

  private cap(outputTokens: Tokens): Tokens | undefined {
    const first = COMMON_CAPS.findIndex(cap => cap >= outputTokens)
    return first < 0 ? undefined : COMMON_CAPS[Math.min(COMMON_CAPS.length - 1, first + Math.floor(this.random.next() * 3))]
  }

  /** A gateway hashes prompts only; the blocks of the answer are the engine's. */
  private promptBlocks(blocks: readonly number[], promptTokens: Tokens): readonly number[] {
    if (this.blockTokens === undefined || blocks.length === 0) return NOTHING_SHARED
    return blocks.slice(0, Math.floor(promptTokens / this.blockTokens))
  }
}
