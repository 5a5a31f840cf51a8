import { ANONYMOUS_TENANT, type AuthConfig, type KeyConfig } from '../../config/index.js'
import type { Ms, TenantName } from '../../core/index.js'
import type { Tenant } from '../context.js'
import { TenantLimits } from './tenant-limits.js'

export const ANONYMOUS: Tenant = { name: ANONYMOUS_TENANT, key: undefined, limits: undefined }

/** The tenants of the configuration. What each has used of its limits outlives a reload: a rotated key is no fresh start. */
export class Tenants {
  readonly #limits = new Map<TenantName, TenantLimits>()

  configure(auth: AuthConfig | undefined, nowMs: Ms): void {
    const keys = typeof auth === 'object' ? auth.keys : []
    const names = new Set(keys.map(({ name }) => name))
    for (const name of this.#limits.keys()) if (!names.has(name)) this.#limits.delete(name)
    for (const key of keys) {
      const known = this.#limits.get(key.name)
      if (known === undefined) this.#limits.set(key.name, new TenantLimits(key, nowMs))
      else known.configure(key, nowMs)
    }
  }

  of(key: KeyConfig): Tenant {
    return { name: key.name, key, limits: this.#limits.get(key.name) }
  }
}
