import type { FleetBackend } from '../fleet/index.js'
import { lengthOf, traceparentOf, withIncludeUsage } from '../protocol/index.js'
import type { AttemptRequest } from '../relay/index.js'
import { attemptSpanId } from '../telemetry/index.js'
import type { Run } from './run.js'
import type { Outbound } from './types.js'

/** Dialects whose streams say the usage when asked by `stream_options`. */
const USAGE_ON_DEMAND = new Set(['openai-chat', 'openai-completions'])

/**
 * The body as it came, but for the question about usage where the engine answers it and the client did not ask, and for
 * what a continuation needs. Undefined: this backend cannot take the answer over.
 */
export function attemptRequest({ job, timeline, continuation }: Run, backend: FleetBackend): AttemptRequest | undefined {
  const { trace } = job
  const outbound = job.outbound!
  const { fields } = outbound
  const ask = fields.stream && !fields.includeUsage && USAGE_ON_DEMAND.has(fields.dialect) && backend.adapter.reportsUsageWhenAsked
  const body = continuation === undefined ? asked(outbound, ask) : continuation.body(backend.adapter.continuation, ask)
  if (body === undefined) return undefined
  const headers = [...outbound.headers]
  if (backend.apiKey !== undefined && !outbound.credentialsPassed) headers.push('authorization', `Bearer ${backend.apiKey}`)
  if (trace !== undefined) headers.push('traceparent', traceparentOf(trace.traceId, attemptSpanId(trace.spanId, timeline.attempts), trace.flags))
  return { method: outbound.method, path: outbound.target, headers, body, dialect: fields.dialect, stripUsage: ask }
}

/** The body, with the question about usage where it is to be asked. */
function asked({ body, fields }: Outbound, ask: boolean): Buffer | undefined {
  if (body === undefined || !ask) return body
  const pieces = withIncludeUsage(body, fields)
  return Buffer.concat(pieces, lengthOf(pieces))
}
