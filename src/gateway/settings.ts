import type { Config } from '../config/index.js'
import type { Ms } from '../core/index.js'
import type { RequestLimits } from '../protocol/index.js'
import { authenticator, type Authenticator } from './auth.js'
import { compileRoutes } from './classify.js'
import { Tenants } from './limits/tenants.js'

/** What the configuration means to the data plane, made ready once per configuration and replaced as a whole. */
export class Settings {
  readonly #tenants = new Tenants()
  #current: Current

  constructor(config: Config, nowMs: Ms) {
    this.#current = this.#compile(config, nowMs)
  }

  get current(): Current {
    return this.#current
  }

  apply(config: Config, nowMs: Ms): void {
    this.#current = this.#compile(config, nowMs)
  }

  #compile(config: Config, nowMs: Ms): Current {
    const { limits } = config
    this.#tenants.configure(config.auth, nowMs)
    return {
      config,
      authenticate: authenticator(config.auth, key => this.#tenants.of(key)),
      credentialsPassed: config.auth === 'passthrough',
      classify: compileRoutes(config),
      limits: { maxN: limits.max_n, maxOutputTokens: limits.max_tokens, maxPrompts: limits.max_prompts, denyFields: new Set(limits.deny_fields) },
    }
  }
}

export interface Current {
  readonly config: Config
  readonly authenticate: Authenticator
  readonly credentialsPassed: boolean
  readonly classify: ReturnType<typeof compileRoutes>
  readonly limits: RequestLimits
}
