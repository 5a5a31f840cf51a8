import type { Socket } from 'node:net'
import Fastify, { LogController, type FastifyInstance } from 'fastify'
import type { DataPlaneOptions } from './context.js'
import { sendError } from './errors.js'
import { Calls } from './calls.js'
import { body } from './plugins/body.js'
import { generation } from './plugins/generation.js'
import { identity } from './plugins/identity.js'
import { models } from './plugins/models.js'
import { passthrough } from './plugins/passthrough.js'
import { unknown } from './plugins/unknown.js'
import { clientError } from './client-error.js'
import { unscheduledRecord } from './record.js'
import { Settings } from './settings.js'
import { cutStalled } from './write-stall.js'

export interface DataPlane {
  readonly app: FastifyInstance
  /** Routes, classes, keys and limits of the new configuration hold for requests that come from now on. Listener, TLS and passthrough paths stay. */
  configure(config: DataPlaneOptions['config']): void
  /** Resolves when no call that is passed through runs any more. */
  passedThrough(): Promise<void>
}

/** The data plane. The list of plugins is the pipeline, in order. */
export function createDataPlane(options: DataPlaneOptions): DataPlane {
  const { config } = options
  const settings = new Settings(config, options.clock.now())
  const calls = new Calls()
  const { cert, key, ca } = options.tls ?? {}
  const bodyTimeoutMs = config.timeouts.request_body
  const http = {
    maxHeaderSize: config.limits.headers,
    // Node checks the request as a whole only where the head's limit is not larger.
    requestTimeout: bodyTimeoutMs,
    headersTimeout: bodyTimeoutMs,
    connectionsCheckingInterval: Math.min(5000, bodyTimeoutMs),
    // `identity` answers for a Host that is missing, with a body that says so.
    requireHostHeader: false,
    noDelay: true,
  }
  const app = Fastify({
    // One line per request at its end (telemetry), not two from the framework.
    logController: new LogController({ disableRequestLogging: true }),
    // What the framework logs are faults. With a logger of its own it would listen for the end of each answer, and so keep what it made of its request until then.
    childLoggerFactory: () => options.telemetry.log as never,
    bodyLimit: config.limits.body,
    requestTimeout: bodyTimeoutMs,
    // Longer than the idle time of usual load balancers and SDK pools: the client's side closes first.
    keepAliveTimeout: 75_000,
    connectionTimeout: 0,
    forceCloseConnections: 'idle',
    return503OnClosing: false,
    exposeHeadRoutes: false,
    trustProxy: false,
    // Ids come from `identity`, which validates the client's.
    requestIdHeader: false,
    genReqId: () => '',
    http,
    ...(cert === undefined || key === undefined ? {} : { https: { ...http, cert, key, ...(ca === undefined ? {} : { ca, requestCert: true }) } }),
    clientErrorHandler: clientError,
    frameworkErrors: (error, request, reply) => { sendError(error, request, reply.header('x-request-id', options.newId())) },
  }) as unknown as FastifyInstance
  // What it says of the server as a whole.
  app.log = options.telemetry.log as never
  app.server.maxConnections = config.limits.connections
  cutStalled(app.server, options.tls !== undefined, () => settings.current.config.timeouts.write_stall, options.clock)
  // Without listeners Node would answer these two with nothing, or with a status alone.
  app.server.on('connect', (_request: unknown, socket: Socket) => { clientError(Object.assign(new Error(), { code: 'CONNECT' }), socket) })
  app.server.on('checkExpectation', (request, response) => { app.server.emit('request', request, response) })
  app.setErrorHandler((error, request, reply) => {
    const { code } = sendError(error, request, reply)
    const status = reply.statusCode
    if (request.passthrough === undefined) options.telemetry.finished(unscheduledRecord(request, options.clock, { route: 'refused', status, ending: status < 500 ? 'rejected' : 'failed', code }))
  })

  // Node's word for what is written after an answer's end; without a listener it would be the process's.
  const failed = (error: Error) => { options.telemetry.log.error({ err: error }, 'an answer was written to after its end') }
  app.server.on('request', (_request, response) => { response.on('error', failed) })

  // Every request first gets its time, its id and its tenant: all that follows is measured, named and allowed by them.
  app.register(identity, { ...options, settings })
  // Bodies are read once, as bytes: what is forwarded is what came.
  app.register(body)
  // Generation and scored requests: classified, scheduled, relayed, metered.
  app.register(generation, options)
  // The one answer that the gateway makes itself.
  app.register(models, options)
  // Everything on the allow-list, as it is.
  app.register(passthrough, { ...options, calls })
  // Last, what nothing above knows: 404, or 405 where only the method is wrong.
  app.register(unknown, options)

  return { app, configure: next => { settings.apply(next, options.clock.now()) }, passedThrough: () => calls.none() }
}
