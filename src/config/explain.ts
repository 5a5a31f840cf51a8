/** What a valid configuration means, for people: what is doubtful in it, and what of it may be shown. */
import { isLoopback } from './check.js'
import { writePath, type Path } from './problems.js'
import type { Config, RouteConfig, ServiceClassConfig } from './schema.js'
import { formatDuration } from './units.js'

export interface ConfigWarning {
  readonly path: string
  readonly message: string
}

/** Nothing here stops the gateway; each may be meant. */
export const warningsOf = (config: Config): ConfigWarning[] => {
  const warnings: ConfigWarning[] = []
  const warn = (path: Path, message: string) => warnings.push({ path: writePath(path), message })
  if (Object.keys(config.pools).length === 0) warn(['pools'], 'no backends: every request will be refused')
  if (config.auth === 'none' && !isLoopback(config.listen.host)) warn(['auth'], `anybody who reaches ${config.listen.host}:${config.listen.port} may use the backends`)
  if (config.admin.token === undefined && !isLoopback(config.admin.host)) warn(['admin', 'token'], `the admin plane listens on ${config.admin.host} and has no token: metrics and request summaries are open to whoever reaches it`)
  for (const [name, service] of Object.entries(config.classes)) warnOfClass(name, service, config, warn)
  const catchAll = config.routes.findIndex(({ match }) => Object.keys(match).length === 0 || (Object.keys(match).length === 1 && match.path === '/*'))
  for (const [index, route] of config.routes.entries()) {
    if (catchAll !== -1 && index > catchAll) warn(['routes', index], `is never reached: route ${config.routes[catchAll]!.name} matches everything`)
    else if (config.routes.slice(0, index).some(before => JSON.stringify(before.match) === JSON.stringify(route.match))) warn(['routes', index], 'is never reached: an earlier route has the same match')
  }
  return warnings
}

const warnOfClass = (name: string, service: ServiceClassConfig, config: Config, warn: (path: Path, message: string) => void): void => {
  const path: Path = ['classes', name]
  const targeted = hasTargets(service)
  const byKey = typeof config.auth === 'object' && config.auth.keys.some(key => key.classes === undefined || key.classes.includes(name))
  if (name !== 'default' && !byKey && !config.routes.some(route => route.class === name)) warn(path, 'no route leads to this class; it is used only by requests that ask for it with x-slo-class')
  if (name !== 'default' && !targeted) warn(path, 'has no targets (ttft, tpot, deadline): its objective says nothing')
  if (targeted && service.objective === 1) warn([...path, 'objective'], 'is 1: a single miss breaks it')
  if (service.deadline !== undefined && service.deadline > config.timeouts.total) warn([...path, 'deadline'], `is longer than \`timeouts.total\` (${formatDuration(config.timeouts.total)}), which ends requests before`)
  if (service.queue_limit === 0 || service.max_queue === 0) warn(path, 'cannot wait: what finds no free backend is refused')
}

export const hasTargets = ({ ttft, tpot, deadline }: ServiceClassConfig): boolean => ttft !== undefined || tpot !== undefined || deadline !== undefined

/** `ttft 500ms, tpot 50ms for 95 % of requests`. */
export const targetsInWords = (service: ServiceClassConfig): string => {
  const targets = (['ttft', 'tpot', 'deadline'] as const).flatMap(name => service[name] === undefined ? [] : `${name} ${formatDuration(service[name])}`)
  return targets.length === 0 ? 'no targets' : `${targets.join(', ')} for ${Number((service.objective * 100).toPrecision(6))} % of requests`
}

/** `POST /v1/chat/completions, header x-workload: ide`. */
export const matchInWords = ({ path, method, model, header, tenant }: RouteConfig['match']): string => [
  [method, path].filter(part => part !== undefined).join(' '),
  model === undefined ? '' : `model ${model}`,
  ...Object.entries(header ?? {}).map(([name, value]) => `header ${name}: ${value}`),
  tenant === undefined ? '' : `tenant ${tenant}`,
].filter(part => part !== '').join(', ') || 'everything'

/** A copy that may be shown and logged: secrets are `(set)`, hashes of them left out. */
export const withoutSecrets = (config: Config): unknown => JSON.parse(JSON.stringify(config, (key, value: unknown) =>
  key === 'api_key' || key === 'token' ? '(set)' : key === 'sha256' ? undefined : value))
