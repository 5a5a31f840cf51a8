import type { Ms } from '../../core/index.js'
import type { RequestRecord } from '../record.js'
import type { Pipeline, PipelineOptions } from './pipeline.js'

/** Records that may wait while the packages load. */
const MAX_EARLY = 1_000
/** How long closing waits for a receiver. */
const CLOSE_MS: Ms = 2_000

/** Sends requests to an OTLP receiver. Nothing here waits for it, and whatever is wrong with it is nobody else's trouble. */
export class OtlpExport {
  readonly endpoint: string
  #early: RequestRecord[] = []
  #pipeline: Pipeline | undefined
  readonly #opened: Promise<void>

  constructor(options: PipelineOptions, onError: (error: unknown) => void) {
    this.endpoint = options.endpoint
    this.#opened = import('./pipeline.js').then(({ openPipeline }) => {
      this.#pipeline = openPipeline(options)
      for (const record of this.#early.splice(0)) this.#pipeline.finished(record)
    }).catch(onError)
  }

  finished(record: RequestRecord): void {
    if (this.#pipeline !== undefined) this.#pipeline.finished(record)
    else if (this.#early.length < MAX_EARLY) this.#early.push(record)
  }

  /** Send what is left, for a bounded time. */
  async close(): Promise<void> {
    let timer: NodeJS.Timeout | undefined
    await Promise.race([
      this.#opened.then(() => this.#pipeline?.close()),
      new Promise<void>((resolve) => { timer = setTimeout(resolve, CLOSE_MS) }),
    ])
    clearTimeout(timer)
  }
}
