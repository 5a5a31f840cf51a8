import { ConfigError, formatDuration, loadConfig, matchInWords, targetsInWords, warningsOf, withoutSecrets, type Config } from '../../config/index.js'
import { parseFlags } from '../flags.js'
import type { Io } from '../process.js'

export const name = 'check'
export const summary = 'validate a configuration file and explain what it does'
export const help = `Usage: sluice check FILE [--json]

Validates the file as the gateway would load it, with the environment of this shell, and explains the result:
pools, classes and routes in the order in which they are tried, and whatever looks doubtful.
All problems are listed at once, with line, path and what was expected. Secrets are never shown.

  --json      for programs: {"valid","file","warnings","config"} or {"valid","file","problems"}
  -h, --help  this page

Exit codes: 0 valid (warnings included), 1 not valid, 2 wrong arguments.
`

export const run = async (args: string[], io: Io): Promise<number> => {
  const { values, positionals } = parseFlags(args, { json: { type: 'boolean' } }, { min: 1, max: 1, what: 'FILE' })
  const file = positionals[0]!
  let config: Config
  try {
    config = await loadConfig(file, { environment: io.env })
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error
    if (values.json === true) io.out(`${JSON.stringify({ valid: false, file, problems: error.problems.map(({ at, ...problem }) => ({ ...problem, ...at })) }, null, 2)}\n`)
    else io.err(`${error.message}\n`)
    return 1
  }
  const warnings = warningsOf(config)
  io.out(values.json === true
    ? `${JSON.stringify({ valid: true, file, warnings, config: withoutSecrets(config) }, null, 2)}\n`
    : [`${file} is valid.`, ...explain(config), ...warnings.map(({ path, message }) => `warning: ${path}: ${message}`), ''].join('\n'))
  return 0
}

const explain = (config: Config): string[] => [
  '',
  `Data plane   ${address(config.listen)}, ${authInWords(config)}`,
  `Admin plane  ${address(config.admin)}, ${config.admin.token === undefined ? 'actions refused (no token)' : 'actions with the token'}`,
  `Scheduling   policy ${config.scheduling.policy}, admission ${config.admission.mode}`,
  '',
  'Pools',
  ...table(Object.entries(config.pools).flatMap(([pool, { role, mode, backends }]) => backends.map((backend, index) => [
    index === 0 ? pool : '', index === 0 ? `${role}, ${mode}` : '', backend.url, backend.engine,
    backend.name === new URL(backend.url).host ? '' : backend.name, backend.models === undefined ? '' : `models ${backend.models.join(', ')}`,
  ]))),
  '',
  'Classes',
  ...table(Object.entries(config.classes).map(([name, service]) => [
    name, targetsInWords(service), `pools ${service.pools.length === 0 ? 'all' : service.pools.join(', then ')}`,
    service.sheddable ? 'sheddable' : '', `waits up to ${formatDuration(service.max_queue)}`,
  ])),
  '',
  'Routes, first match wins',
  ...table([...config.routes.map(({ name, match, class: service }) => [name, matchInWords(match), `→ ${service}`]), ['', 'whatever is left', '→ default']]),
  '',
]

const address = ({ host, port, tls }: Config['listen']): string =>
  `${tls === undefined ? 'http' : 'https'}://${host.includes(':') ? `[${host}]` : host}:${port === 0 ? '(a free port)' : port}`

const authInWords = ({ auth }: Config): string => {
  if (auth === undefined || auth === 'none') return 'no authentication'
  return auth === 'passthrough' ? 'the backends authenticate' : `keys of ${auth.keys.map(key => key.name).join(', ')}`
}

/** Columns in line; columns that are empty throughout are left out. */
const table = (rows: string[][]): string[] => {
  if (rows.length === 0) return ['  none']
  const widths = rows[0]!.map((_, column) => Math.max(...rows.map(row => row[column]!.length)))
  return rows.map(row => `  ${row.flatMap((cell, column) => widths[column] === 0 ? [] : cell.padEnd(widths[column]!)).join('  ')}`.trimEnd())
}
