import { createHash, timingSafeEqual } from 'node:crypto'
import fp from 'fastify-plugin'
import { isLoopback } from '../../config/index.js'
import { PAGE_PATHS } from '../../dashboard/index.js'
import { GatewayError, pathOf } from '../errors.js'
import type { AdminPlaneOptions } from './deps.js'
import { HEALTH_PATHS } from './health.js'

const ASK = 'Send the admin token as "authorization: Bearer TOKEN".'
const SET = 'Set `admin.token` in the configuration.'

/**
 * Who may see and do what. Health is for everybody. On loopback everything may be read; off loopback reading needs the
 * token. Actions always need it: a page in a browser on the same machine reaches loopback too, but has no token.
 */
export const access = fp<AdminPlaneOptions>(async (app, { config, telemetry }) => {
  app.addHook('onRequest', (request, _reply, done) => {
    if (HEALTH_PATHS.has(pathOf(request.url))) return done()
    const { host, token } = config().admin
    const acts = request.method !== 'GET' && request.method !== 'HEAD'
    const local = isLoopback(host)
    // A name that a stranger's DNS points at 127.0.0.1 must not make a browser read what loopback protects.
    if (local && !isLoopback(hostName(request.headers.host))) return done(new GatewayError('not_allowed', 'This listener answers on loopback names only; use http://127.0.0.1 or http://localhost.'))
    // The page without its figures is no secret, and a browser that opens it cannot send a token yet.
    if (!acts && (local || PAGE_PATHS.has(pathOf(request.url)))) return done()
    const error = token === undefined
      ? new GatewayError('not_allowed', acts ? `Actions are off, since no admin token is configured. ${SET}` : `Off loopback everything but health needs the admin token, and none is configured. ${SET}`)
      : isToken(request.headers.authorization, token) ? undefined : new GatewayError('invalid_api_key', `The admin token is missing or not valid. ${ASK}`)
    if (error !== undefined && acts) telemetry.audit({ action: `${request.method} ${pathOf(request.url).slice(0, 200)}`, actor: 'unknown', result: 'refused', detail: error.code })
    done(error)
  })
}, { name: 'admin-access' })

/** Compares digests of equal length in constant time. */
function isToken(header: string | undefined, token: string): boolean {
  const given = /^Bearer +(\S+)$/i.exec(header ?? '')?.[1] ?? ''
  const digest = (text: string) => createHash('sha256').update(text).digest()
  return timingSafeEqual(digest(given), digest(token))
}

function hostName(host: string | undefined): string {
  return (host ?? '').replace(/:\d+$/, '')
}
