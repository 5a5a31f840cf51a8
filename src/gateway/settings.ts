import type { Config } from '../config/index.js'
import type { RequestLimits } from '../protocol/index.js'
import { authenticator, type Authenticator } from './auth.js'
import { compileRoutes } from './classify.js'

/** What the configuration means to the data plane, made ready once per configuration and replaced as a whole. */
export class Settings {
  #current: Current

  constructor(config: Config) {
    this.#current = compile(config)
  }

  get current(): Current {
    return this.#current
  }

  apply(config: Config): void {
    this.#current = compile(config)
  }
}

export interface Current {
  readonly config: Config
  readonly authenticate: Authenticator
  readonly credentialsPassed: boolean
  readonly classify: ReturnType<typeof compileRoutes>
  readonly limits: RequestLimits
}

function compile(config: Config): Current {
  const { limits } = config
  return {
    config,
    authenticate: authenticator(config.auth),
    credentialsPassed: config.auth === 'passthrough',
    classify: compileRoutes(config),
    limits: { maxN: limits.max_n, maxOutputTokens: limits.max_tokens, maxPrompts: limits.max_prompts, denyFields: new Set(limits.deny_fields) },
  }
}
