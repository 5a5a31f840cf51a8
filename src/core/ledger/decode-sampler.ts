import type { BackendModel } from '../estimation/backend-model.js'
import type { Ms, Tokens } from '../types.js'
import type { Lease } from './lease.js'

/** All streams of a backend tell the same step; one of them is enough. */
const APART_MS = 50

/** Times decode steps: the time between two reports of a stream over the tokens between them, if no prefill ran beside it. */
export class DecodeSampler {
  readonly #model: BackendModel
  #quietSinceMs: Ms = 0
  #sampledAtMs: Ms = -Infinity

  constructor(model: BackendModel) {
    this.#model = model
  }

  /** The last outstanding prefill ended. */
  quietSince(nowMs: Ms): void {
    this.#quietSinceMs = nowMs
  }

  progress(lease: Lease, outputTokens: Tokens, nowMs: Ms): void {
    const tokens = outputTokens - lease.outputTokens
    if (tokens <= 0 || lease.progressAtMs < this.#quietSinceMs || nowMs - this.#sampledAtMs < APART_MS) return
    this.#sampledAtMs = nowMs
    const { backend } = lease
    this.#model.observeDecodeStep(backend.streams, backend.contextTokens + backend.foreign.contextTokens, (nowMs - lease.progressAtMs) / tokens, nowMs)
  }
}
