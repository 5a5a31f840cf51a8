import fp from 'fastify-plugin'
import type { FastifyReply } from 'fastify'
import type { PoolMode } from '../../core/index.js'
import { GatewayError } from '../errors.js'
import type { AdminPlaneOptions } from './deps.js'
import { readFilter, requestView } from './requests.js'
import { stateView } from './state.js'

const POOL_MODES: readonly PoolMode[] = ['lowest-ttft', 'balanced', 'highest-throughput']

/** What programs and people read. */
export const views = fp<AdminPlaneOptions>(async (app, options) => {
  const startedAtMs = options.clock.now()
  app.get('/api/state', () => stateView(options, startedAtMs))
  app.get('/api/requests', (request) => {
    const { limit, keep } = readFilter(request.query)
    return { requests: options.telemetry.recent.list(limit, keep).map(requestView) }
  })
}, { name: 'admin-views' })

/** What operators do. Each action is in the audit log, whatever came of it. */
export const actions = fp<AdminPlaneOptions>(async (app, { fleet, telemetry, reload }) => {
  const act = (reply: FastifyReply, action: string, subject: string | undefined, done: boolean, missing: string) => {
    telemetry.audit({ action, actor: 'operator', ...(subject === undefined ? {} : { subject }), result: done ? 'done' : 'refused', ...(done ? {} : { detail: missing }) })
    if (!done) throw new GatewayError('invalid_request', missing, { status: 404 })
    return reply.send({ status: 'ok' })
  }
  const noBackend = (id: string) => `There is no backend "${id.slice(0, 100)}"; GET /api/state lists them.`
  app.post<{ Params: { id: string } }>('/api/backends/:id/drain', ({ params: { id } }, reply) => act(reply, 'drain', id, fleet.drain(id), noBackend(id)))
  app.post<{ Params: { id: string } }>('/api/backends/:id/undrain', ({ params: { id } }, reply) => act(reply, 'undrain', id, fleet.undrain(id), noBackend(id)))
  app.post<{ Params: { name: string }, Body: unknown }>('/api/pools/:name/mode', ({ params: { name }, body }, reply) => {
    const mode = typeof body === 'object' && body !== null && 'mode' in body ? body.mode : undefined
    if (!(POOL_MODES as readonly unknown[]).includes(mode)) throw new GatewayError('invalid_request', `Send {"mode": MODE}, where MODE is one of ${POOL_MODES.join(', ')}.`, { param: 'mode' })
    return act(reply, `mode ${String(mode)}`, name, fleet.setPoolMode(name, mode as PoolMode), `There is no pool "${name.slice(0, 100)}"; GET /api/state lists them.`)
  })
  app.post('/api/reload', async (_request, reply) => {
    try {
      await reload()
    } catch (error) {
      const message = error instanceof Error ? error.message : String(error)
      telemetry.audit({ action: 'reload', actor: 'operator', result: 'refused', detail: message })
      throw new GatewayError('invalid_request', `The configuration was not applied; the old one is in force. ${message}`)
    }
    return act(reply, 'reload', undefined, true, '')
  })
}, { name: 'admin-actions' })
