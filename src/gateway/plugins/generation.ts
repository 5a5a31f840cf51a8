import type { IncomingHttpHeaders } from 'node:http'
import type { FastifyPluginAsync, FastifyReply, FastifyRequest } from 'fastify'
import type { BackendId, Clock, RequestSpec } from '../../core/index.js'
import {
  checkLimits, endpointOf, headersToBackend, readRequestFields, readTraceContext, SCHEDULED_PATHS, traceparentOf,
  type Dialect, type Endpoint, type RequestFields, type RequestProblem, type TraceContext,
} from '../../protocol/index.js'
import { ClientStream } from '../../relay/index.js'
import type { Job } from '../../runtime/index.js'
import type { TraceIds } from '../../telemetry/index.js'
import { assertModelAllowed } from '../auth.js'
import type { DataPlaneOptions } from '../context.js'
import { admit, chargeOf, settle } from '../limits/admit.js'
import { GatewayError } from '../errors.js'
import { promise, type Promised } from '../slo.js'
import { unfitFor } from '../unfit.js'

const NO_BODY = Buffer.alloc(0)
const NO_HEADERS: readonly string[] = []
const NO_RAW_HEADERS: string[] = []
const NO_PARSED_HEADERS: IncomingHttpHeaders = {}

/** Everything that is scheduled: read, classify, promise, and over to the runtime, which answers. */
export const generation: FastifyPluginAsync<DataPlaneOptions> = async (app, { runtime, fleet, clock, newId }) => {
  const unfit = (dialect: Dialect) => unfitFor(dialect, () => fleet.backends)
  for (const path of SCHEDULED_PATHS) {
    const endpoint = endpointOf('POST', path)!
    app.post(path, (request, reply) => {
      const job = jobOf(request, reply, path, endpoint, { clock, newId, unfit })
      // From here on the answer is the runtime's: it writes to the socket, past the framework.
      reply.hijack()
      // The framework and Node keep their request until the answer has ended, and what the job has of it is needed until that has begun.
      request.body = undefined
      request.raw.rawHeaders = NO_RAW_HEADERS
      request.raw.headers = NO_PARSED_HEADERS
      runtime.submit(job)
    })
  }
}

interface Means {
  readonly clock: Clock
  newId(): string
  unfit(dialect: Dialect): readonly BackendId[] | undefined
}

/** All that is known of a request before it is scheduled; throws where it is not valid. */
function jobOf(request: FastifyRequest, reply: FastifyReply, path: string, endpoint: Endpoint, { clock, newId, unfit }: Means): Job {
  const bodyReadAtMs = clock.now()
  const { tenant, settings: current, requestId, receivedAtMs, wallTimeMs } = request
  const { headers } = request.raw
  const read = readRequestFields(endpoint, (request.body as Buffer | undefined) ?? NO_BODY)
  if (!read.ok) throw invalid(read.problem)
  const { fields, body } = read
  const overLimit = checkLimits(fields, current.limits)
  if (overLimit !== undefined) throw invalid(overLimit)
  assertModelAllowed(tenant, fields.model)
  const classified = current.classify({ method: 'POST', path, model: fields.model, tenant: tenant.name, header: name => Object.hasOwn(headers, name) ? headers[name] : undefined })
  const promised = promise(classified.class, current.config, headers, tenant)
  const query = request.raw.url!.indexOf('?')
  const caller = readTraceContext(headers)
  const trace = current.config.telemetry.otlp_endpoint === undefined ? undefined : traceOf(caller, newId)
  // Last of all checks: what is refused for any other reason uses nothing of the tenant's limits.
  const permit = admit(tenant, chargeOf(fields), clock)
  return {
    spec: specOf(requestId, tenant.name, receivedAtMs, fields, promised, unfit(fields.dialect)),
    outbound: {
      method: 'POST',
      target: query < 0 ? path : path + request.raw.url!.slice(query),
      headers: upstreamHeaders(request, current.credentialsPassed, trace !== undefined),
      credentialsPassed: current.credentialsPassed,
      fields,
      body,
    },
    errorShape: endpoint.errorShape,
    route: classified.route,
    continuation: classified.continuation,
    path,
    client: new ClientStream(reply.raw),
    givesUpAtMs: promised.clientTimeoutMs === undefined ? undefined : receivedAtMs + promised.clientTimeoutMs,
    requestId,
    wallTimeMs,
    bodyReadAtMs,
    traceparent: trace !== undefined ? traceparentOf(trace.traceId, trace.spanId, trace.flags) : caller === undefined ? undefined : traceparentOf(caller.traceId, caller.parentId, caller.flags),
    trace,
    limitHeaders: tenant.limits?.headers(clock.now()) ?? NO_HEADERS,
    onEnd: permit === undefined ? undefined : timeline => { settle(permit, timeline, clock) },
  }
}

/** A span of the caller's trace, or the first of a new one. The caller's wish not to be sampled holds. */
function traceOf(caller: TraceContext | undefined, newId: () => string): TraceIds {
  const hex = () => newId().replaceAll('-', '')
  return { traceId: caller?.traceId ?? hex(), spanId: hex().slice(16), parentId: caller?.parentId, flags: caller?.flags ?? '01' }
}

function specOf(id: string, tenant: string, receivedAtMs: number, fields: RequestFields, promised: Promised, unfit: readonly BackendId[] | undefined): RequestSpec {
  return {
    id,
    kind: fields.dialect === 'scored' ? 'scored' : 'generation',
    class: promised.class,
    tenant,
    model: fields.model,
    receivedAtMs,
    targets: promised.targets,
    promptBytes: fields.promptBytes,
    promptShape: fields.promptShape,
    promptTokens: fields.promptTokens,
    maxOutputTokens: fields.maxOutputTokens,
    streamed: fields.stream,
    prefixHashes: fields.prefixHashes,
    prefixBlockBytes: fields.prefixBlockBytes,
    sessionKey: fields.sessionKey,
    unfit,
  }
}

/** Names and values in turn; a traced attempt brings a `traceparent` of its own. The answer must come uncompressed: its bytes are scanned. */
function upstreamHeaders(request: FastifyRequest, credentialsPassed: boolean, traced: boolean): string[] {
  const out = ['accept-encoding', 'identity', 'x-request-id', request.requestId]
  const passing = headersToBackend(request.raw.headers, credentialsPassed)
  for (let i = 0; i < passing.length; i += 2) {
    const name = passing[i]!
    if (name !== 'x-request-id' && !(traced && name === 'traceparent')) out.push(name, passing[i + 1]!)
  }
  return out
}

const invalid = ({ message, param }: RequestProblem): GatewayError => new GatewayError('invalid_request', message, { param })
