/** Everything that needs OpenTelemetry's own packages: loaded only where an endpoint is configured. */
import { resourceFromAttributes } from '@opentelemetry/resources'
import { BatchSpanProcessor } from '@opentelemetry/sdk-trace'
import { MeterProvider, PeriodicExportingMetricReader } from '@opentelemetry/sdk-metrics'
import { OTLPTraceExporter } from '@opentelemetry/exporter-trace-otlp-http'
import { OTLPMetricExporter } from '@opentelemetry/exporter-metrics-otlp-http'
import type { Ms } from '../../core/index.js'
import type { LabelNames } from '../labels.js'
import type { RequestRecord } from '../record.js'
import { Instruments } from './instruments.js'
import { spansOf } from './spans.js'

/** Spans that may wait for a slow receiver; what comes beyond is thrown away. */
const MAX_QUEUED_SPANS = 4096
/** Spans turned into JSON at once: small, since streams wait for it. */
const BATCH_SPANS = 128
const SPANS_EVERY_MS: Ms = 1_000
const METRICS_EVERY_MS: Ms = 10_000
const TIMEOUT_MS: Ms = 3_000

export type Signal = 'traces' | 'metrics'

export interface PipelineOptions {
  /** Base address of an OTLP/HTTP receiver. */
  readonly endpoint: string
  readonly version: string
  readonly labels: LabelNames
  /** What became of a batch. */
  onExport(signal: Signal, ok: boolean): void
}

export interface Pipeline {
  finished(record: RequestRecord): void
  /** Send what is left. */
  close(): Promise<void>
}

export function openPipeline({ endpoint, version, labels, onExport }: PipelineOptions): Pipeline {
  const base = endpoint.replace(/\/$/, '')
  const resource = resourceFromAttributes({ 'service.name': 'sluice', 'service.version': version })
  const settings = { timeoutMillis: TIMEOUT_MS, concurrencyLimit: 4 }
  const processor = new BatchSpanProcessor({
    exporter: watched(new OTLPTraceExporter({ url: `${base}/v1/traces`, ...settings }), 'traces', onExport),
    maxQueueSize: MAX_QUEUED_SPANS, maxExportBatchSize: BATCH_SPANS, scheduledDelayMillis: SPANS_EVERY_MS, exportTimeoutMillis: TIMEOUT_MS,
  })
  const reader = new PeriodicExportingMetricReader({
    exporter: watched(new OTLPMetricExporter({ url: `${base}/v1/metrics`, ...settings }), 'metrics', onExport),
    exportIntervalMillis: METRICS_EVERY_MS, exportTimeoutMillis: TIMEOUT_MS,
  })
  const provider = new MeterProvider({ resource, readers: [reader] })
  const instruments = new Instruments(provider.getMeter('sluice', version))
  return {
    finished(record) {
      instruments.record(record, labels)
      for (const span of spansOf(record, resource)) processor.onEnd(span)
    },
    async close() {
      await Promise.allSettled([processor.shutdown(), provider.shutdown()])
    },
  }
}

/** The same exporter, whose results are told. */
function watched<B, E extends { export(batch: B, done: (result: { code: number }) => void): void }>(exporter: E, signal: Signal, onExport: PipelineOptions['onExport']): E {
  const send = exporter.export.bind(exporter)
  exporter.export = (batch, done) => {
    send(batch, (result) => {
      onExport(signal, result.code === 0)
      done(result)
    })
  }
  return exporter
}
