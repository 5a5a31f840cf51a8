import fp from 'fastify-plugin'
import type { AdminPlaneOptions } from './deps.js'

/** `/metrics`. Scrapes that overlap share one text: a second reader costs nothing. */
export const metrics = fp<AdminPlaneOptions>(async (app, { telemetry }) => {
  let rendering: Promise<Buffer> | undefined
  app.get('/metrics', async (_request, reply) => {
    rendering ??= telemetry.metricsText().finally(() => { rendering = undefined })
    return reply.header('content-type', telemetry.registry.contentType).send(await rendering)
  })
}, { name: 'admin-metrics' })
