import type { Random } from '../../core/index.js'
import { Arrivals, type ArrivalProcess } from './arrivals.js'
import type { WorkloadClass } from './classes.js'
import { drawLengths, type Lengths } from './lengths.js'
import type { RequestSource, SourcedRequest } from './workload.js'

const NOTHING_SHARED: readonly number[] = []

/** Independent requests: class by share, lengths by the class's table, arrivals by one process for all. */
export class SyntheticSource implements RequestSource {
  private readonly arrivals: Arrivals
  private readonly totalShare: number
  private readonly drawn: Lengths = { promptTokens: 0, outputTokens: 0 }

  constructor(private readonly classes: readonly WorkloadClass[], process: ArrivalProcess, ratePerSecond: number, private readonly lengths: Random, arrivals: Random) {
    this.arrivals = new Arrivals(process, ratePerSecond, arrivals)
    this.totalShare = classes.reduce((sum, entry) => sum + entry.share, 0)
  }

  next(): SourcedRequest {
    const classIndex = this.drawClass()
    drawLengths(this.classes[classIndex]!.lengths, this.lengths, this.drawn)
    return { arrivalMs: this.arrivals.next(), classIndex, promptTokens: this.drawn.promptTokens, outputTokens: this.drawn.outputTokens, prefixBlocks: NOTHING_SHARED, sessionKey: undefined }
  }

  private drawClass(): number {
    let left = this.lengths.next() * this.totalShare
    const last = this.classes.length - 1
    for (let i = 0; i < last; i++) {
      left -= this.classes[i]!.share
      if (left < 0) return i
    }
    return last
  }
}
