import type { Tokens } from '../core/index.js'
import type { SimulatedRequest } from './simulated-request.js'

/**
 * News on the way from an engine to the gateways, first in, first out, in batches of one step each. Arrays that are used
 * again, so that nothing is allocated per token.
 */
export class Outbox {
  private requests: (SimulatedRequest | undefined)[] = []
  private counts: Tokens[] = []
  private batches: number[] = []
  private head = 0
  private batchHead = 0
  private filling = 0

  /** What `take` took last. */
  request: SimulatedRequest | undefined
  tokens: Tokens = 0

  put(request: SimulatedRequest, tokens: Tokens): void {
    this.requests.push(request)
    this.counts.push(tokens)
    this.filling++
  }

  /** Ends the batch. */
  close(): void {
    this.batches.push(this.filling)
    this.filling = 0
  }

  /** Begins to take the oldest batch; answers its size, 0 when all was cleared. */
  open(): number {
    const size = this.batches[this.batchHead] ?? 0
    if (this.batchHead < this.batches.length) this.batchHead++
    return size
  }

  take(): void {
    this.request = this.requests[this.head]
    this.tokens = this.counts[this.head]!
    this.requests[this.head++] = undefined
    if (this.head === this.requests.length && this.batchHead === this.batches.length) this.clear()
  }

  clear(): void {
    this.requests.length = 0
    this.counts.length = 0
    this.batches.length = 0
    this.head = 0
    this.batchHead = 0
    this.filling = 0
  }
}
