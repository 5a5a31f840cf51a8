import fp from 'fastify-plugin'
import type { Config } from '../../config/index.js'
import type { FleetBackend } from '../../fleet/index.js'
import { errorBody } from '../../protocol/index.js'
import type { AdminPlaneOptions } from './deps.js'

/** Does the process answer? Restarting it because model servers are away would help nobody, so these never look at them. */
const LIVE = ['/health/live', '/livez', '/healthz', '/health', '/ping']
/** Can it serve? */
const READY = ['/health/ready', '/readyz']
export const HEALTH_PATHS: ReadonlySet<string> = new Set([...LIVE, ...READY])

export const health = fp<AdminPlaneOptions>(async (app, { config, fleet, runtime }) => {
  for (const path of LIVE) app.get(path, () => ({ status: 'ok' }))
  for (const path of READY) {
    app.get(path, (_request, reply) => {
      const reasons = notReady(config(), fleet.backends, runtime.draining)
      if (reasons.length === 0) return reply.send({ status: 'ok' })
      const error = JSON.parse(errorBody('openai', runtime.draining ? 'draining' : 'no_healthy_backend', reasons.join(' '))) as object
      return reply.code(503).send({ status: 'unavailable', reasons, ...error })
    })
  }
}, { name: 'admin-health' })

/**
 * Why it cannot serve; empty when it can. Required are the models that the configuration names: each needs a backend that
 * takes new requests. Where it names none, any such backend will do.
 */
export function notReady(config: Pick<Config, 'pools'>, backends: readonly Pick<FleetBackend, 'state' | 'models'>[], draining: boolean): readonly string[] {
  if (draining) return ['The gateway is shutting down.']
  const serving = backends.filter(({ state }) => state === 'up' || state === 'degraded')
  if (serving.length === 0) return [backends.length === 0 ? 'No backend is configured.' : 'No backend is healthy; /api/state says why.']
  const required = new Set(Object.values(config.pools).flatMap((pool) => pool.backends.flatMap((backend) => backend.models ?? [])))
  return [...required].filter((model) => !serving.some(({ models }) => models === undefined || models.includes(model)))
    .map((model) => `No healthy backend serves the model "${model}".`)
}
