/** Rules that no single value can break: names that refer to each other, duplicates, what is safe to expose. */
import { nearest } from './nearest.js'
import type { Path } from './problems.js'
import type { Config, RouteConfig } from './schema.js'
import { formatDuration } from './units.js'

/** In the message `{}` stands for the value, which is not shown where it came from the environment. */
export type Report = (path: Path, message: string, value?: string) => void

/** `other` stands in metrics for whatever the configuration does not name. */
const RESERVED = ['other']
const METHODS = ['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS']
export const ANONYMOUS_TENANT = 'anonymous'

/** Only this machine can reach a listener bound there. */
export const isLoopback = (host: string): boolean => host === 'localhost' || host === '::1' || host === '[::1]' || /^127(\.\d{1,3}){3}$/.test(host)

/**
 * Checks a configuration whose values are valid one by one. Parts that were not valid have been cut out, so every member may be
 * missing here, whatever its type says.
 * @param intact whether nothing under this top-level key was cut out: only then is a name missing there truly unknown
 */
export const crossCheck = (config: Config, intact: (key: keyof Config) => boolean, report: Report): void => {
  checkListeners(config, report)
  checkPools(config, report)
  checkClasses(config, intact, report)
  checkKeys(config, intact, report)
  checkRoutes(config, intact, report)
  checkTimeouts(config, report)
  checkOutliers(config, report)
}

const checkListeners = ({ listen, admin, auth }: Config, report: Report): void => {
  if (auth === undefined && !isLoopback(listen.host)) {
    report(['listen', 'host'], '{} can be reached from other machines, so `auth` must be said: `keys`, or `none` or `passthrough` where that is meant', listen.host)
  }
  if (listen.port !== 0 && listen.port === admin.port && listen.host === admin.host) report(['admin', 'port'], 'is also the port of `listen`; the two planes need one each')
  for (const [name, { tls }] of [['listen', listen], ['admin', admin]] as const) {
    if (tls !== undefined && (tls.cert === undefined) !== (tls.key === undefined)) report([name, 'tls'], 'needs both `cert` and `key`')
    else if (tls !== undefined && tls.cert === undefined) report([name, 'tls'], 'a listener with TLS needs `cert` and `key`')
  }
}

const checkPools = ({ pools }: Config, report: Report): void => {
  const names = new Map<string, string>()
  const urls = new Map<string, string>()
  for (const [pool, { backends = [] }] of Object.entries(pools)) {
    reserved(pool, ['pools', pool], report)
    for (const [index, backend] of backends.entries()) {
      if (backend?.url === undefined) continue
      const path: Path = ['pools', pool, 'backends', index]
      const fault = urlFault(backend.url)
      if (fault !== undefined) {
        report([...path, 'url'], fault, backend.url)
        continue
      }
      const gpuFault = backend.gpu_metrics?.url === undefined ? undefined : urlFault(backend.gpu_metrics.url)
      if (gpuFault !== undefined) report([...path, 'gpu_metrics', 'url'], gpuFault, backend.gpu_metrics!.url)
      once(urls, backend.url, pool, [...path, 'url'], 'this server is already a backend of pool', report)
      if (backend.name === undefined) continue
      reserved(backend.name, [...path, 'name'], report)
      once(names, backend.name, pool, [...path, 'name'], '`{}` is already the name of a backend of pool', report)
    }
  }
}

/** Why this cannot be the address of a server, or undefined; `{}` stands for the address, where that cannot hold a password. */
export const urlFault = (text: string): string | undefined => {
  if (!URL.canParse(text) || !/^https?:$/.test(new URL(text).protocol)) {
    return `expected an address such as http://10.0.0.1:8000${text.includes('@') ? '' : '; got "{}"'}`
  }
  const url = new URL(text)
  if (url.username !== '' || url.password !== '') return 'must not carry credentials; use `api_key`'
  if (url.search !== '' || url.hash !== '') return 'must end with host, port or path: no `?` and no `#`'
  return undefined
}

const checkClasses = ({ classes, pools, timeouts }: Config, intact: (key: keyof Config) => boolean, report: Report): void => {
  for (const [name, { ttft, tpot, deadline, pools: wanted = [] }] of Object.entries(classes)) {
    const path: Path = ['classes', name]
    reserved(name, path, report)
    if (ttft !== undefined && deadline !== undefined && ttft >= deadline) report([...path, 'ttft'], `must be less than \`deadline\` (${formatDuration(deadline)})`)
    if (tpot !== undefined && deadline !== undefined && tpot >= deadline) report([...path, 'tpot'], `must be less than \`deadline\` (${formatDuration(deadline)})`)
    if (ttft !== undefined && timeouts.first_token !== undefined && ttft > timeouts.first_token) {
      report([...path, 'ttft'], `cannot be met: attempts are given up after \`timeouts.first_token\` (${formatDuration(timeouts.first_token)})`)
    }
    for (const [index, pool] of wanted.entries()) {
      if (intact('pools')) refersTo(pool, Object.keys(pools), 'pool', [...path, 'pools', index], report)
      if (wanted.indexOf(pool) !== index) report([...path, 'pools', index], '`{}` is already in the list', pool)
    }
  }
}

const checkKeys = ({ auth, classes }: Config, intact: (key: keyof Config) => boolean, report: Report): void => {
  if (typeof auth !== 'object' || auth.keys === undefined) return
  const names = new Map<string, string>()
  const secrets = new Map<string, string>()
  for (const [index, key] of auth.keys.entries()) {
    if (key?.name === undefined) continue
    const path: Path = ['auth', 'keys', index]
    reserved(key.name, [...path, 'name'], report, [...RESERVED, ANONYMOUS_TENANT])
    once(names, key.name, String(index + 1), [...path, 'name'], 'is already the name of key', report)
    if (key.sha256 !== undefined) once(secrets, key.sha256, String(index + 1), path, 'this secret is already the one of key', report)
    for (const [at, name] of (key.classes ?? []).entries()) {
      if (intact('classes')) refersTo(name, Object.keys(classes), 'class', [...path, 'classes', at], report)
    }
  }
}

const checkRoutes = (config: Config, intact: (key: keyof Config) => boolean, report: Report): void => {
  const names = new Map<string, string>()
  for (const [index, route] of config.routes.entries()) {
    if (route === undefined) continue
    const path: Path = ['routes', index]
    if (intact('classes') && route.class !== undefined) refersTo(route.class, Object.keys(config.classes), 'class', [...path, 'class'], report)
    reserved(route.name, [...path, 'name'], report, [...RESERVED, 'default'])
    once(names, route.name, String(index + 1), [...path, 'name'], 'is already the name of route', report)
    if (route.match !== undefined) checkMatch(route.match, config, [...path, 'match'], report)
  }
}

const checkMatch = ({ path, method, header, tenant }: RouteConfig['match'], { auth }: Config, at: Path, report: Report): void => {
  if (path !== undefined && !/^\/[^*]*\*?$/.test(path)) report([...at, 'path'], 'starts with `/` and may end in `*`; got "{}"', path)
  if (method !== undefined && !METHODS.includes(method)) report([...at, 'method'], `expected one of ${METHODS.join(', ')}; got "{}"`, method)
  for (const name of Object.keys(header ?? {})) {
    if (!/^[!#$%&'*+.^_`|~0-9a-z-]+$/.test(name)) report([...at, 'header', name], 'is not a possible header name')
  }
  if (tenant === undefined) return
  if (typeof auth !== 'object') report([...at, 'tenant'], 'tenants are the names of API keys, and `auth` has no `keys`')
  else refersTo(tenant, auth.keys.flatMap(key => key?.name ?? []), 'key', [...at, 'tenant'], report)
}

const checkOutliers = ({ outliers: { factor } }: Config, report: Report): void => {
  if (factor !== undefined && factor > 0 && factor < 2) report(['outliers', 'factor'], 'is at least 2, or 0 for never: what is half as fast is not broken; got "{}"', String(factor))
}

const checkTimeouts = ({ timeouts, telemetry, passthrough }: Config, report: Report): void => {
  const { connect, first_token: firstToken, total } = timeouts
  if (connect !== undefined && firstToken !== undefined && connect >= firstToken) report(['timeouts', 'connect'], `must be less than \`first_token\` (${formatDuration(firstToken)})`)
  if (firstToken !== undefined && total !== undefined && firstToken >= total) report(['timeouts', 'first_token'], `must be less than \`total\` (${formatDuration(total)})`)
  const fault = telemetry.otlp_endpoint === undefined ? undefined : urlFault(telemetry.otlp_endpoint)
  if (fault !== undefined) report(['telemetry', 'otlp_endpoint'], fault, telemetry.otlp_endpoint)
  for (const [index, path] of (passthrough.paths ?? []).entries()) {
    if (path !== undefined && !/^\/[^*]*$/.test(path)) report(['passthrough', 'paths', index], 'an exact path starts with `/` and has no `*`; got "{}"', path)
  }
}

const reserved = (name: string, path: Path, report: Report, names: readonly string[] = RESERVED): void => {
  if (names.includes(name)) report(path, '`{}` is a reserved name; choose another', name)
}

const once = (seen: Map<string, string>, value: string, owner: string, path: Path, message: string, report: Report): void => {
  const before = seen.get(value)
  if (before === undefined) seen.set(value, owner)
  else report(path, `${message} \`${before}\``, value)
}

const refersTo = (name: string, known: readonly string[], what: string, path: Path, report: Report): void => {
  if (name === undefined || known.includes(name)) return
  const near = nearest(name, known)
  report(path, `there is no ${what} \`{}\`${near === undefined ? `; known: ${known.length === 0 ? 'none' : known.join(', ')}` : `; did you mean \`${near}\`?`}`, name)
}
