import type { SloTargets } from '../core/index.js'
import type { Config, ServiceClassConfig } from '../config/index.js'
import { readSloHeaders, type Headers } from '../protocol/index.js'
import { targetsOf } from '../runtime/index.js'
import type { Tenant } from './context.js'
import { GatewayError } from './errors.js'

export interface Promised {
  readonly class: string
  readonly targets: SloTargets
  /** Time after which the client does not listen any more, from t0; only SDKs say it. */
  readonly clientTimeoutMs: number | undefined
}

/**
 * The class and the targets of a request: the route's, changed by what the client asks for in headers, as far as its
 * tenant may ask for it. A target tighter than allowed is loosened to what is allowed; a class that is not is refused.
 */
export function promise(routeClass: string, config: Pick<Config, 'classes'>, headers: Headers, tenant: Tenant): Promised {
  const asked = readSloHeaders(headers)
  if (!asked.ok) throw new GatewayError('invalid_slo', asked.message, { param: asked.header })
  const name = asked.className ?? routeClass
  const known = Object.hasOwn(config.classes, name) ? config.classes[name] : undefined
  if (asked.className !== undefined && known === undefined) {
    throw new GatewayError('invalid_slo', `There is no service class "${name}"; ask for one of: ${Object.keys(config.classes).join(', ')}.`, { param: 'x-slo-class' })
  }
  if (tenant.key?.classes !== undefined && !tenant.key.classes.includes(name)) {
    throw new GatewayError('not_allowed', `The API key does not allow the service class "${name}".`)
  }
  const { ttftMs, tpotMs } = asked.targets
  const deadlineMs = asked.deadlineIsClientTimeout ? undefined : asked.targets.deadlineMs
  const clientTimeoutMs = asked.deadlineIsClientTimeout ? asked.targets.deadlineMs : undefined
  if (ttftMs === undefined && tpotMs === undefined && deadlineMs === undefined) return { class: name, targets: sharedTargets(known), clientTimeoutMs }
  const targets = targetsOf(known ?? {})
  const { key } = tenant
  if (ttftMs !== undefined) targets.ttftMs = Math.max(ttftMs, key?.min_ttft ?? 0)
  if (tpotMs !== undefined) targets.tpotMs = Math.max(tpotMs, key?.min_tpot ?? 0)
  if (deadlineMs !== undefined) targets.deadlineMs = Math.max(deadlineMs, key?.min_deadline ?? 0)
  return { class: name, targets, clientTimeoutMs }
}

const NO_TARGETS: SloTargets = {}
const ofClasses = new WeakMap<ServiceClassConfig, SloTargets>()

/** The class's own, one object for all its requests. */
function sharedTargets(known: ServiceClassConfig | undefined): SloTargets {
  if (known === undefined) return NO_TARGETS
  let targets = ofClasses.get(known)
  if (targets === undefined) ofClasses.set(known, targets = targetsOf(known))
  return targets
}
