import { createHash, timingSafeEqual } from 'node:crypto'
import type { AuthConfig, KeyConfig } from '../config/index.js'
import type { Tenant } from './context.js'
import { GatewayError } from './errors.js'
import { wildcard } from './classify.js'
import { ANONYMOUS } from './limits/tenants.js'

/** Longer ones are refused unread: hashing them would be work for nothing. */
const MAX_KEY_CHARS = 1024

/** Headers in, tenant out; throws `invalid_api_key`. */
export type Authenticator = (headers: NodeJS.Dict<string | string[]>) => Tenant

/** `none`, `passthrough` and silence let everybody in; keys are compared by their full hash, each in constant time. */
export function authenticator(auth: AuthConfig | undefined, tenantOf: (key: KeyConfig) => Tenant): Authenticator {
  if (auth === undefined || typeof auth === 'string') return () => ANONYMOUS
  const keys = auth.keys.map(key => ({ hash: Buffer.from(key.sha256, 'hex'), tenant: tenantOf(key) }))
  return headers => {
    const given = presented(headers)
    if (given === undefined || given.length > MAX_KEY_CHARS) throw new GatewayError('invalid_api_key')
    const hash = createHash('sha256').update(given).digest()
    let found: Tenant | undefined
    for (const key of keys) if (timingSafeEqual(key.hash, hash)) found = key.tenant
    if (found === undefined) throw new GatewayError('invalid_api_key')
    return found
  }
}

function presented({ authorization, 'x-api-key': apiKey }: NodeJS.Dict<string | string[]>): string | undefined {
  if (typeof authorization === 'string' && /^bearer /i.test(authorization)) return authorization.slice(7).trim() || undefined
  return typeof apiKey === 'string' && apiKey !== '' ? apiKey : undefined
}

/** May the tenant use the model? What no backend serves is the scheduler's to refuse. */
export function assertModelAllowed(tenant: Tenant, model: string | undefined): void {
  const allowed = tenant.key?.models
  if (allowed === undefined || (model !== undefined && allowed.some(pattern => wildcard(pattern)(model)))) return
  throw new GatewayError('not_allowed', model === undefined ? 'The API key allows certain models only: name one.' : 'The API key does not allow this model.', { param: 'model' })
}
