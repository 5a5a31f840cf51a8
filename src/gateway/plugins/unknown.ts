import type { FastifyRequest } from 'fastify'
import fp from 'fastify-plugin'
import { isScheduledPath } from '../../protocol/index.js'
import type { DataPlaneOptions } from '../context.js'
import { GatewayError, pathOf } from '../errors.js'

/** 404 for a path that there is not, 405 for a method that it does not take. */
export const unknown = fp<DataPlaneOptions>(async (app, { config }) => {
  const passed = new Set(config.passthrough.paths)
  app.setNotFoundHandler((request: FastifyRequest) => {
    const path = pathOf(request.url)
    const allow = isScheduledPath(path) ? 'POST' : path === '/v1/models' || path.startsWith('/v1/models/') ? 'GET' : passed.has(path) ? 'GET, POST' : undefined
    if (allow !== undefined) {
      throw new GatewayError('invalid_request', `This path takes ${allow} only.`, { status: 405, headers: { allow } })
    }
    throw new GatewayError('invalid_request', 'There is no such path here. Served are the OpenAI, Anthropic and TGI paths, such as POST /v1/chat/completions, and GET /v1/models.', { status: 404 })
  })
}, { name: 'unknown' })
