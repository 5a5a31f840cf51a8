import type { Attributes, HrTime, SpanContext } from '@opentelemetry/api'
import type { Resource } from '@opentelemetry/resources'
import type { ReadableSpan } from '@opentelemetry/sdk-trace'
import type { Ms } from '../../core/index.js'
import type { AttemptRecord, RequestRecord } from '../record.js'
import { operationOf, SYSTEM } from './names.js'
import { attemptSpanId, childSpanId } from './ids.js'

/** Of OpenTelemetry's SpanKind and SpanStatusCode. */
const INTERNAL = 0, SERVER = 1, CLIENT = 2
const UNSET = 0, ERROR = 2
const SCOPE = { name: 'sluice' }
/** A client's text is cut to this. */
const MAX_TEXT = 200

/**
 * The spans of one request, made from its record at its end: the request, its wait, each attempt, and of the last one the
 * prefill and the decode. Empty where nobody wants its trace.
 */
export function spansOf(record: RequestRecord, resource: Resource): ReadableSpan[] {
  const { trace, timeline, attempts = [] } = record
  if (trace === undefined) return []
  const wall = (atMs: Ms): Ms => record.wallTimeMs + atMs - timeline.receivedAtMs
  const endedAtMs = timeline.endedAtMs ?? timeline.receivedAtMs
  const spans: ReadableSpan[] = []
  const add = (name: string, kind: number, spanId: string, parentId: string | undefined, fromMs: Ms, toMs: Ms, attributes: Attributes, failed = false) => {
    const context = (id: string): SpanContext => ({ traceId: trace.traceId, spanId: id, traceFlags: Number.parseInt(trace.flags, 16) })
    const from = wall(fromMs), to = wall(Math.max(fromMs, toMs))
    spans.push({
      name, kind, attributes, resource,
      spanContext: () => context(spanId),
      ...(parentId === undefined ? {} : { parentSpanContext: { ...context(parentId), isRemote: spanId === trace.spanId } }),
      startTime: hrTime(from), endTime: hrTime(to), duration: hrTime(to - from),
      status: { code: failed ? ERROR : UNSET },
      links: [], events: [], ended: true, instrumentationScope: SCOPE,
      droppedAttributesCount: 0, droppedEventsCount: 0, droppedLinksCount: 0,
    })
  }

  const operation = operationOf(record.path)
  const model = record.model?.slice(0, MAX_TEXT)
  add(model === undefined ? operation : `${operation} ${model}`, SERVER, trace.spanId, trace.parentId, timeline.receivedAtMs, endedAtMs, rootAttributes(record, operation, model), record.status >= 500)
  const leftQueueMs = attempts[0]?.dispatchedAtMs ?? endedAtMs
  if (timeline.queuedAtMs !== undefined) add('queue', INTERNAL, childSpanId(trace.spanId, 'queue'), trace.spanId, timeline.queuedAtMs, leftQueueMs, {})
  for (const [index, attempt] of attempts.entries()) {
    add('attempt', CLIENT, attemptSpanId(trace.spanId, index + 1), trace.spanId, attempt.dispatchedAtMs, attempt.endedAtMs, attemptAttributes(attempt, index + 1), attempt.verdict === 'fault')
  }
  const { firstTokenAtMs, lastTokenAtMs } = timeline
  const last = attempts.at(-1)
  if (last !== undefined && firstTokenAtMs !== undefined && firstTokenAtMs >= last.dispatchedAtMs) {
    const parent = attemptSpanId(trace.spanId, attempts.length)
    add('prefill', INTERNAL, childSpanId(trace.spanId, 'prefill'), parent, last.dispatchedAtMs, firstTokenAtMs, present({ 'sluice.cached_tokens': timeline.cachedTokens }))
    add('decode', INTERNAL, childSpanId(trace.spanId, 'decode'), parent, firstTokenAtMs, lastTokenAtMs ?? firstTokenAtMs, {})
  }
  return spans
}

function rootAttributes(record: RequestRecord, operation: string, model: string | undefined): Attributes {
  const { timeline, explanation } = record
  return present({
    'gen_ai.operation.name': operation,
    'gen_ai.system': SYSTEM,
    'gen_ai.request.model': model,
    'gen_ai.usage.input_tokens': timeline.promptTokens,
    'gen_ai.usage.output_tokens': timeline.outputTokens,
    'http.request.method': 'POST',
    'url.path': record.path.slice(0, MAX_TEXT),
    'http.response.status_code': record.status,
    'error.type': record.code,
    'sluice.request_id': timeline.id,
    'sluice.class': record.class,
    'sluice.route': record.route,
    'sluice.tenant': record.tenant,
    'sluice.pool': timeline.pool,
    'sluice.backend': timeline.backend,
    'sluice.outcome': record.outcome,
    'sluice.attempts': timeline.attempts,
    'sluice.policy': explanation?.policy,
    'sluice.verdict': explanation?.verdict,
    'sluice.predicted_ttft_ms': explanation?.predictedTtftMs,
    'sluice.target_ttft_ms': record.targets.ttftMs,
    'sluice.target_tpot_ms': record.targets.tpotMs,
  })
}

function attemptAttributes({ backend, pool, verdict }: AttemptRecord, number: number): Attributes {
  return { 'sluice.backend': backend, 'sluice.pool': pool, 'sluice.attempt': number, 'sluice.attempt.result': verdict }
}

function present(attributes: Readonly<Record<string, string | number | undefined>>): Attributes {
  return Object.fromEntries(Object.entries(attributes).filter(([, value]) => value !== undefined))
}

/** Seconds and nanoseconds. */
function hrTime(ms: Ms): HrTime {
  const seconds = Math.floor(ms / 1000)
  return [seconds, Math.round((ms - seconds * 1000) * 1e6)]
}
