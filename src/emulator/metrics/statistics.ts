import type { EmulatedSequence, TokenReceiver } from '../engine-driver.js'
import type { StepReport } from '../../simulator/engine/index.js'
import { BucketHistogram } from './histogram.js'

const TTFT_S = [0.001, 0.005, 0.01, 0.02, 0.04, 0.06, 0.08, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10, 20, 40, 80, 160, 640, 2560]
const TOKEN_S = [0.01, 0.025, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.75, 1, 2.5, 5, 7.5, 10, 20, 40, 80]
const REQUEST_S = [0.3, 0.5, 0.8, 1, 1.5, 2, 2.5, 5, 10, 15, 20, 30, 40, 50, 60, 120, 240, 480, 960, 1920, 7680]
const LENGTHS = [1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10_000, 20_000, 50_000, 100_000]
const STEP_TOKENS = [1, 8, 16, 32, 64, 128, 256, 512, 1024, 2048, 4096, 8192, 16_384]

export type FinishedReason = 'stop' | 'length' | 'abort' | 'error'

/** What a server measures about itself, in seconds and tokens; the engines' own names are given by the expositions. */
export class ServerStatistics {
  readonly ttft = new BucketHistogram(TTFT_S)
  readonly interToken = new BucketHistogram(TOKEN_S)
  readonly timePerOutputToken = new BucketHistogram(TOKEN_S)
  readonly endToEnd = new BucketHistogram(REQUEST_S)
  readonly queueTime = new BucketHistogram(REQUEST_S)
  readonly inferenceTime = new BucketHistogram(REQUEST_S)
  readonly prefillTime = new BucketHistogram(REQUEST_S)
  readonly decodeTime = new BucketHistogram(REQUEST_S)
  readonly promptLength = new BucketHistogram(LENGTHS)
  readonly outputLength = new BucketHistogram(LENGTHS)
  readonly cachedLength = new BucketHistogram(LENGTHS)
  readonly stepTokens = new BucketHistogram(STEP_TOKENS)
  readonly finished: Record<FinishedReason, number> = { stop: 0, length: 0, abort: 0, error: 0 }
  /** Counted at the first token, as servers do. */
  promptTokens = 0
  refused = 0
  #lastEndMs = NaN

  step (report: StepReport<TokenReceiver>): void {
    const { emitted, firstTokens, endedAtMs } = report
    if (Number.isNaN(endedAtMs)) return
    for (const sequence of firstTokens) {
      this.ttft.observe((endedAtMs - sequence.submittedAtMs) / 1000)
      this.promptTokens += sequence.promptTokens
    }
    // Steps follow each other without a gap while anything decodes, so the gap between tokens is the step.
    this.interToken.observe((endedAtMs - this.#lastEndMs) / 1000, emitted.length - firstTokens.length)
    this.stepTokens.observe(emitted.length)
    this.#lastEndMs = endedAtMs
  }

  sequenceFinished (sequence: EmulatedSequence, reason: 'stop' | 'length'): void {
    const { submittedAtMs, startedAtMs, firstTokenAtMs, lastTokenAtMs, endedAtMs, generated } = sequence
    this.finished[reason]++
    this.endToEnd.observe((endedAtMs - submittedAtMs) / 1000)
    this.queueTime.observe((startedAtMs - submittedAtMs) / 1000)
    this.inferenceTime.observe((endedAtMs - startedAtMs) / 1000)
    this.prefillTime.observe((firstTokenAtMs - startedAtMs) / 1000)
    this.decodeTime.observe((lastTokenAtMs - firstTokenAtMs) / 1000)
    if (generated > 1) this.timePerOutputToken.observe((lastTokenAtMs - firstTokenAtMs) / 1000 / (generated - 1))
    this.promptLength.observe(sequence.promptTokens)
    this.outputLength.observe(generated)
    this.cachedLength.observe(sequence.cachedTokens)
  }
}
