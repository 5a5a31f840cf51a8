import fp from 'fastify-plugin'
import type { AdminPlaneOptions } from './deps.js'

/** `/metrics`. Scrapes that overlap share one text: a second reader costs nothing. */
export const metrics = fp<AdminPlaneOptions>(async (app, { telemetry }) => {
  app.get('/metrics', async (_request, reply) => reply.header('content-type', telemetry.registry.contentType).send(await telemetry.metricsText()))
}, { name: 'admin-metrics' })
