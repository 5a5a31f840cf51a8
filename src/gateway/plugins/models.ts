import type { FastifyPluginAsync } from 'fastify'
import type { ModelEntry } from '../../fleet/index.js'
import type { DataPlaneOptions } from '../context.js'
import { wildcard } from '../classify.js'
import type { Tenant } from '../context.js'
import { GatewayError } from '../errors.js'

/** Models of all backends that can serve, as one list. Which backend, which pool and how it fares are not the client's to know. */
export const models: FastifyPluginAsync<DataPlaneOptions> = async (app, { fleet }) => {
  app.get('/v1/models', request => ({ object: 'list', data: visible(fleet.models(), request.tenant).map(modelObject) }))
  // Names of models hold slashes.
  app.get<{ Params: { '*': string } }>('/v1/models/*', request => {
    const name = request.params['*']
    const found = visible(fleet.models(), request.tenant).find(({ id }) => id === name)
    if (found === undefined) throw new GatewayError('model_not_found', undefined, { param: 'model' })
    return modelObject(found)
  })
}

function visible(all: readonly ModelEntry[], { key }: Tenant): readonly ModelEntry[] {
  const allowed = key?.models?.map(wildcard)
  return allowed === undefined ? all : all.filter(({ id }) => allowed.some(matches => matches(id)))
}

function modelObject({ id, created, ownedBy, maxModelTokens }: ModelEntry) {
  return { id, object: 'model', created: created ?? 0, owned_by: ownedBy ?? 'sluice', ...(maxModelTokens === undefined ? {} : { max_model_len: maxModelTokens }) }
}
