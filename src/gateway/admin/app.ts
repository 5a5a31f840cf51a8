import Fastify, { LogController, type FastifyInstance } from 'fastify'
import { clientError } from '../client-error.js'
import { GatewayError, pathOf, sendError } from '../errors.js'
import { access } from './access.js'
import { actions, views } from './api.js'
import { dashboard } from './dashboard.js'
import type { AdminPlaneOptions } from './deps.js'
import { health } from './health.js'
import { metrics } from './metrics.js'

/** Actions take a few words at most. */
const BODY_LIMIT = 64 * 1024
/** Paths that take POST. */
const ACTIONS = /^\/api\/(?:backends\/[^/]+\/(?:un)?drain|pools\/[^/]+\/mode|reload)$/

/** The admin plane: health, metrics, state, actions, on a listener of its own. The list of plugins is the pipeline, in order. */
export function createAdminPlane(options: AdminPlaneOptions): FastifyInstance {
  const { cert, key, ca } = options.tls ?? {}
  const app = Fastify({
    loggerInstance: options.telemetry.log as never,
    logController: new LogController({ disableRequestLogging: true }),
    bodyLimit: BODY_LIMIT,
    requestTimeout: 10_000,
    forceCloseConnections: true,
    trustProxy: false,
    clientErrorHandler: clientError,
    // Not the value of `sendError`: what such a handler returns is sent, a second time.
    frameworkErrors: (error, request, reply) => { sendError(error, request, reply) },
    ...(cert === undefined || key === undefined ? {} : { https: { cert, key, ...(ca === undefined ? {} : { ca, requestCert: true }) } }),
  }) as unknown as FastifyInstance
  app.setErrorHandler((error, request, reply) => { sendError(error, request, reply) })
  app.setNotFoundHandler((request, reply) => {
    const path = pathOf(request.url)
    const allow = ACTIONS.test(path) ? 'POST' : app.hasRoute({ method: 'GET', url: path }) ? 'GET, HEAD' : undefined
    const error = allow === undefined
      ? new GatewayError('invalid_request', 'Nothing is here. The admin plane has a dashboard at /, and /metrics, /health/live, /health/ready, /api/state, /api/requests and POST actions under /api.', { status: 404 })
      : new GatewayError('invalid_request', `This path takes ${allow} only.`, { status: 405, headers: { allow } })
    sendError(error, request, reply)
  })

  // Before everything, unknown paths included: who may see and do what.
  app.register(access, options)
  // For load balancers and orchestrators: open to everybody.
  app.register(health, options)
  // For Prometheus.
  app.register(metrics, options)
  // For programs and people.
  app.register(views, options)
  // For people at a screen.
  app.register(dashboard, options)
  // For operators with the token.
  app.register(actions, options)
  return app
}
