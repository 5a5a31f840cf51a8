import { Readable } from 'node:stream'
import httpProxy from '@fastify/http-proxy'
import type { FastifyPluginAsync, FastifyRequest } from 'fastify'
import type { FleetBackend } from '../../fleet/index.js'
import { headersToBackend, headersToClient } from '../../protocol/index.js'
import { PassthroughClient, TICKET_HEADER } from '../../relay/index.js'
import type { DataPlaneOptions } from '../context.js'
import { GatewayError } from '../errors.js'
import { unscheduledRecord } from '../record.js'

/** Paths of the allow-list go to a healthy backend, bytes as they are, by the proxy plugin. */
export const passthrough: FastifyPluginAsync<DataPlaneOptions> = async (app, { config, fleet, runtime, telemetry, clock }) => {
  if (config.passthrough.paths.length === 0) return
  const client = new PassthroughClient()
  const credentialsPassed = config.auth === 'passthrough'
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
      const backend = pick()
      const gone = new AbortController()
      const ticket = client.register({ upstream: runtime.upstreamOf(backend), signal: gone.signal })
      request.passthrough = { backend, ticket }
      reply.raw.once('close', () => {
        client.discard(ticket)
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
        const { backend, ticket } = (request as FastifyRequest).passthrough!
        const length = headers['content-length']
        return {
          ...headersToBackend(request.headers, credentialsPassed),
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

/** The plugin's own mapping makes a reset a 500. */
function upstreamError(error: Error & { cause?: unknown }): GatewayError {
  const cause = error.cause as { code?: string } | undefined
  const code = cause?.code ?? (error as { code?: string }).code
  const timedOut = code === 'UND_ERR_CONNECT_TIMEOUT' || code === 'UND_ERR_HEADERS_TIMEOUT' || code === 'FST_REPLY_FROM_GATEWAY_TIMEOUT'
  return new GatewayError('backend_error', `The backend could not be reached or broke off (${code ?? 'unknown cause'}).`, timedOut ? { status: 504 } : {})
}
