import type { Ms, Random, Tokens } from '../../core/index.js'
import type { Trace } from './trace.js'
import type { RequestSource, SourcedRequest } from './workload.js'

/**
 * Replays a trace with its times multiplied, so that its mean rate becomes the one asked for and its shape stays. Starts
 * at a drawn row (seeds differ by it), goes round at the end; prefix blocks of another round are other blocks, since a
 * replay must not find the cache of the round before.
 */
export class TraceSource implements RequestSource {
  private readonly stretch: number
  private readonly spanMs: Ms
  private readonly firstRow: number
  private readonly maxBlock: number
  private readonly classOf: ReadonlyMap<string, number>
  private taken = 0

  constructor(private readonly trace: Trace, classNames: readonly string[], private readonly maxPromptTokens: Tokens, ratePerSecond: number, random: Random) {
    const rows = trace.rows
    // One mean gap after the last row, before the first comes again.
    const lastMs = rows.at(-1)!.arrivalMs
    this.spanMs = rows.length > 1 ? lastMs * rows.length / (rows.length - 1) : 1000
    this.stretch = rows.length * 1000 / (ratePerSecond * this.spanMs)
    this.firstRow = Math.floor(random.next() * rows.length)
    this.maxBlock = rows.reduce((max, row) => row.prefixBlocks.reduce((a, b) => Math.max(a, b), max), 0) + 1
    this.classOf = new Map(classNames.map((name, index) => [name, index]))
  }

  next(): SourcedRequest {
    const rows = this.trace.rows
    const position = this.firstRow + this.taken++
    const round = Math.floor(position / rows.length)
    const row = rows[position % rows.length]!
    const promptTokens = Math.max(1, Math.min(row.promptTokens, this.maxPromptTokens))
    const fullBlocks = Math.floor(promptTokens / this.trace.blockTokens)
    const prefixBlocks = row.prefixBlocks.slice(0, fullBlocks).map(block => block + round * this.maxBlock)
    return {
      arrivalMs: (row.arrivalMs + round * this.spanMs - rows[this.firstRow]!.arrivalMs) * this.stretch,
      classIndex: this.classOf.get(row.className ?? '') ?? 0,
      promptTokens, outputTokens: Math.max(1, row.outputTokens), prefixBlocks,
      sessionKey: row.sessionKey === undefined ? undefined : `${row.sessionKey}.${round}`,
    }
  }
}
