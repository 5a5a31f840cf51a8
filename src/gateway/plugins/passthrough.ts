import { Readable } from 'node:stream'
import httpProxy from '@fastify/http-proxy'
import type { FastifyPluginAsync, FastifyRequest } from 'fastify'
import type { FleetBackend } from '../../fleet/index.js'
import { endpointOf, headersToBackend, headersToClient, readRequestFields } from '../../protocol/index.js'
import { PassthroughClient, TICKET_HEADER } from '../../relay/index.js'
import { assertModelAllowed } from '../auth.js'
import type { Calls } from '../calls.js'
import type { DataPlaneOptions, Tenant } from '../context.js'
import { GatewayError, pathOf } from '../errors.js'
import { admit, NO_TOKENS } from '../limits/admit.js'
import { unscheduledRecord } from '../record.js'

const ANY_JSON = endpointOf('POST', '/v1/embeddings')!

/** Paths of the allow-list go to a healthy backend, bytes as they are, by the proxy plugin. */
export const passthrough: FastifyPluginAsync<DataPlaneOptions & { readonly calls: Calls }> = async (app, { config, fleet, runtime, telemetry, clock, calls }) => {
  if (config.passthrough.paths.length === 0) return
  const client = new PassthroughClient()
  let turn = 0

  // The same account as for scheduled requests: one record each, at its end. The framework's own hook stays silent when a client leaves early.
  const finished = (request: FastifyRequest, { pool, id }: FleetBackend, status: number): void => {
    const ending = status === 499 ? 'cancelled' : status < 400 ? 'completed' : status < 500 ? 'rejected' : 'failed'
    telemetry.finished(unscheduledRecord(request, clock, { route: 'passthrough', status, ending, pool, backend: id }))
  }

  const pick = (): FleetBackend => {
    if (runtime.draining) throw new GatewayError('draining')
    const up = fleet.backends.filter(({ state }) => state === 'up')
    const usable = up.length > 0 ? up : fleet.backends.filter(({ state }) => state === 'degraded')
    const backend = usable[turn++ % Math.max(1, usable.length)]
    if (backend === undefined) throw new GatewayError('no_healthy_backend')
    return backend
  }

  await app.register(httpProxy, {
    upstream: '',
    routes: config.passthrough.paths as string[],
    httpMethods: ['GET', 'POST'],
    disableRequestLogging: true,
    // Bodies have been read as buffers; the plugin would encode them anew.
    proxyPayloads: false,
    undici: client as never,
    preHandler: (request, reply, done) => {
      const { tenant } = request as FastifyRequest
      // The path goes on as it was written: only as it is written on the list may it be.
      if (pathOf(request.url) !== request.routeOptions.url) throw new GatewayError('invalid_request', 'This path must be written without percent-encoding.', { status: 404 })
      checkModel(tenant, request.body)
      const backend = pick()
      const permit = admit(tenant, NO_TOKENS, clock)
      const state = tenant.limits?.headers(clock.now()) ?? []
      for (let i = 0; i < state.length; i += 2) void reply.header(state[i]!, state[i + 1]!)
      const gone = new AbortController()
      const { first_token: headMs, idle: idleMs } = (request as FastifyRequest).settings.config.timeouts
      const ticket = client.register({ upstream: runtime.upstreamOf(backend), signal: gone.signal, headMs, idleMs })
      request.passthrough = { backend, ticket }
      calls.begin()
      reply.raw.once('close', () => {
        calls.end()
        client.discard(ticket)
        permit?.settle({ promptTokens: 0, outputTokens: undefined }, clock.now())
        if (!reply.raw.writableFinished) gone.abort()
        finished(request as FastifyRequest, backend, reply.raw.writableFinished ? reply.statusCode : 499)
      })
      const bytes = request.body
      if (Buffer.isBuffer(bytes)) (request as { body: unknown }).body = bytes.length === 0 ? undefined : Readable.from([bytes])
      done()
    },
    replyOptions: {
      getUpstream: request => {
        const { backend } = (request as FastifyRequest).passthrough!
        return backend.origin + backend.basePath
      },
      rewriteRequestHeaders: (request, headers) => {
        const { passthrough, settings: { credentialsPassed } } = request as FastifyRequest
        const { backend, ticket } = passthrough!
        const length = headers['content-length']
        return {
          ...byName(headersToBackend(request.headers, credentialsPassed)),
          'accept-encoding': 'identity',
          'x-request-id': (request as FastifyRequest).requestId,
          ...(length === undefined ? {} : { 'content-length': String(length) }),
          ...(backend.apiKey === undefined || credentialsPassed ? {} : { authorization: `Bearer ${backend.apiKey}` }),
          [TICKET_HEADER]: ticket,
        }
      },
      rewriteHeaders: headers => {
        const length = headers['content-length']
        return { ...headersToClient(headers as Record<string, string>), ...(length === undefined ? {} : { 'content-length': length }) } as typeof headers
      },
      onError: (reply, { error }) => { void reply.send(upstreamError(error)) },
    },
  })
}

/** @param pairs names and values in turn. */
function byName(pairs: readonly string[]): Record<string, string> {
  const out = Object.create(null) as Record<string, string>
  for (let i = 0; i < pairs.length; i += 2) out[pairs[i]!] = pairs[i + 1]!
  return out
}

/** Bodies of the allow-list are nobody's business, unless the tenant may use certain models only. */
function checkModel(tenant: Tenant, body: unknown): void {
  if (tenant.key?.models === undefined || !Buffer.isBuffer(body) || body.length === 0) return
  const read = readRequestFields(ANY_JSON, body)
  if (!read.ok) throw new GatewayError('invalid_request', read.problem.message, { param: read.problem.param })
  assertModelAllowed(tenant, read.fields.model)
}

/** The plugin's own mapping makes a reset a 500. */
function upstreamError(error: Error & { cause?: unknown }): GatewayError {
  const cause = error.cause as { code?: string } | undefined
  const code = cause?.code ?? (error as { code?: string }).code
  const timedOut = code === 'UND_ERR_CONNECT_TIMEOUT' || code === 'UND_ERR_HEADERS_TIMEOUT' || code === 'FST_REPLY_FROM_GATEWAY_TIMEOUT'
  return new GatewayError('backend_error', `The backend could not be reached or broke off (${code ?? 'unknown cause'}).`, timedOut ? { status: 504 } : {})
}
