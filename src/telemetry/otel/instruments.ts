import type { Histogram, Meter } from '@opentelemetry/api'
import { e2eMs, tpotMs, ttftMs } from '../../core/index.js'
import type { LabelNames } from '../labels.js'
import type { RequestRecord } from '../record.js'
import { INSTRUMENTS, operationOf, SYSTEM } from './names.js'

const MS_PER_SECOND = 1000

/** The GenAI metrics, recorded once at a request's end. Attribute values are bounded like Prometheus labels. */
export class Instruments {
  readonly #histograms: Readonly<Record<keyof typeof INSTRUMENTS, Histogram>>

  constructor(meter: Meter) {
    this.#histograms = Object.fromEntries(Object.entries(INSTRUMENTS).map(([name, { unit, description, bounds }]) =>
      [name, meter.createHistogram(name, { unit, description, advice: { explicitBucketBoundaries: [...bounds] } })])) as Record<keyof typeof INSTRUMENTS, Histogram>
  }

  record(record: RequestRecord, labels: LabelNames): void {
    const { timeline } = record
    const attributes = {
      'gen_ai.operation.name': operationOf(record.path),
      'gen_ai.system': SYSTEM,
      'gen_ai.request.model': labels.model(record.model),
      'sluice.class': labels.className(record.class),
      'sluice.pool': labels.pool(timeline.pool),
    }
    const seconds = (name: keyof typeof INSTRUMENTS, ms: number | undefined, more = {}) => {
      if (ms !== undefined) this.#histograms[name].record(ms / MS_PER_SECOND, { ...attributes, ...more })
    }
    seconds('gen_ai.server.time_to_first_token', ttftMs(timeline))
    seconds('gen_ai.server.time_per_output_token', tpotMs(timeline))
    seconds('gen_ai.server.request.duration', e2eMs(timeline), record.code === undefined ? {} : { 'error.type': record.code })
    for (const [type, tokens] of [['input', timeline.promptTokens], ['output', timeline.outputTokens]] as const) {
      if (tokens !== undefined) this.#histograms['gen_ai.client.token.usage'].record(tokens, { ...attributes, 'gen_ai.token.type': type })
    }
  }
}
