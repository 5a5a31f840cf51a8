import fp from 'fastify-plugin'
import { isValidHost, validRequestId } from '../../protocol/index.js'
import type { DataPlaneOptions, Tenant } from '../context.js'
import { GatewayError } from '../errors.js'
import type { Settings } from '../settings.js'

export interface IdentityOptions extends DataPlaneOptions {
  readonly settings: Settings
}

const NOBODY: Tenant = { name: '', key: undefined, limits: undefined }

const SLASH = 0x2f

/** Node keeps the first of two such headers and drops the other, which a proxy in front may have gone by. */
function isRepeated(name: string, rawHeaders: readonly string[]): boolean {
  let seen = 0
  for (let i = 0; i < rawHeaders.length; i += 2) {
    const given = rawHeaders[i]!
    if (given.length === name.length && given.toLowerCase() === name) seen++
  }
  return seen > 1
}

/** When did it come, what is it called, whose is it. */
export const identity = fp<IdentityOptions>(async (app, { clock, wallClock, newId, settings }) => {
  app.decorateRequest('receivedAtMs', 0)
  app.decorateRequest('wallTimeMs', 0)
  app.decorateRequest('requestId', '')
  app.decorateRequest('tenant')
  app.decorateRequest('settings')
  app.decorateRequest('passthrough')
  /** The host that the latest request named validly: nearly all name the same. */
  let knownHost: string | undefined
  app.addHook('onRequest', (request, reply, done) => {
    const { headers } = request.raw
    request.receivedAtMs = clock.now()
    request.wallTimeMs = wallClock()
    request.requestId = validRequestId(headers['x-request-id']) ?? newId()
    request.tenant = NOBODY
    request.settings = settings.current
    void reply.header('x-request-id', request.requestId)
    if (request.raw.url!.charCodeAt(0) !== SLASH) return done(new GatewayError('invalid_request', 'The request target must be a path, such as /v1/chat/completions; the gateway is no forward proxy.'))
    if ((headers.host === undefined || headers.host !== knownHost) && !isValidHost(headers.host) || isRepeated('host', request.raw.rawHeaders)) return done(new GatewayError('invalid_request', 'There must be one Host header, a host name or address with or without a port.'))
    knownHost = headers.host
    try {
      request.tenant = request.settings.authenticate(headers)
    } catch (error) {
      return done(error as GatewayError)
    }
    done()
  })
}, { name: 'identity' })
