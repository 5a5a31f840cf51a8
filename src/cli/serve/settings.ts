import { ENGINES, nearest } from '../../config/index.js'
import { UsageError } from '../command.js'
import { choiceFlag, numberFlag, parseFlags } from '../flags.js'

/** What the flags of `serve` say. */
export interface ServeSettings {
  readonly file: string | undefined
  readonly demo: boolean
  /** In the shape of the file, to be written over it. */
  readonly overrides: Readonly<Record<string, unknown>>
}

const ADMISSION_MODES = ['off', 'observe', 'enforce'] as const
const LOG_LEVELS = ['silent', 'error', 'warn', 'info', 'debug', 'trace'] as const

/** @throws UsageError */
export const readServeFlags = (args: string[]): ServeSettings => {
  const { values } = parseFlags(args, {
    config: { type: 'string', short: 'c' },
    backend: { type: 'string', multiple: true, short: 'b' },
    engine: { type: 'string' },
    demo: { type: 'boolean' },
    host: { type: 'string' },
    port: { type: 'string', short: 'p' },
    'admin-port': { type: 'string' },
    admission: { type: 'string' },
    'log-level': { type: 'string' },
  })
  const { config: file, backend: backends = [], demo = false } = values
  if (file === undefined && backends.length === 0 && !demo) {
    throw new UsageError('nothing to stand in front of; give --config FILE, --backend URL (as often as you like), or --demo')
  }
  if (backends.length > 0 && (file !== undefined || demo)) throw new UsageError(`--backend goes without ${demo ? '--demo' : '--config; add the server to the pools of the file'}`)
  if (values.engine !== undefined && backends.length === 0) throw new UsageError('--engine says what the servers of --backend are; there are none')
  for (const url of backends) {
    if (!/^https?:\/\//.test(url)) throw new UsageError(`'--backend' takes an address such as http://localhost:8000, got '${url}'${nearest(url.split(':')[0]!, ['http', 'https']) === undefined ? `; did you mean 'http://${url}'?` : ''}`)
  }
  const engine = values.engine === undefined ? undefined : choiceFlag('engine', values.engine, ENGINES)
  const port = (flag: 'port' | 'admin-port') => values[flag] === undefined ? undefined : numberFlag(flag, values[flag], { min: 0, max: 65535, integer: true })
  return {
    file,
    demo,
    overrides: defined({
      listen: defined({ host: values.host, port: port('port') }),
      admin: defined({ port: port('admin-port') }),
      admission: defined({ mode: values.admission === undefined ? undefined : choiceFlag('admission', values.admission, ADMISSION_MODES) }),
      log: defined({ level: values['log-level'] === undefined ? undefined : choiceFlag('log-level', values['log-level'], LOG_LEVELS) }),
      pools: backends.length === 0 ? undefined : { default: { backends: backends.map(url => defined({ url, engine })!) } },
    }) ?? {},
  }
}

/** The members that are there; undefined when none is. */
const defined = (members: Readonly<Record<string, unknown>>): Record<string, unknown> | undefined => {
  const there = Object.entries(members).filter(([, value]) => value !== undefined)
  return there.length === 0 ? undefined : Object.fromEntries(there)
}
