import { readFile } from 'node:fs/promises'
import { dirname, resolve as resolvePath } from 'node:path'
import { crossCheck } from './check.js'
import { parseDocument, type SourceDocument } from './document.js'
import type { Environment } from './interpolate.js'
import { normalise } from './normalise.js'
import { ConfigError, writePath, type ConfigProblem, type Path } from './problems.js'
import { ConfigSchema, type Config } from './schema.js'
import { coerce, cut, resolve } from './shape.js'
import { validate } from './validate.js'

export interface ParseOptions {
  /** What `${NAME}` refers to. Default: nothing. */
  readonly environment?: Environment
  /** How messages call the source. */
  readonly source?: string
  /** Files that the configuration names are relative to this folder. Default: the current one. */
  readonly folder?: string
  /** Written over the file's own, key by key; a list or a plain value replaces what is there. */
  readonly overrides?: Readonly<Record<string, unknown>>
  /** Called with each further file that was read (TLS material, secrets). */
  readonly onRead?: (file: string) => void
}

/** Reads, validates and completes a configuration. @throws ConfigError with all problems at once */
export const parseConfig = (text: string, options: ParseOptions = {}): Config => build(parseDocument(text, options.environment ?? {}), options)

/** The same for a configuration that is plain data in the shape of the file (`{ pools: { main: { backends: [...] } } }`). @throws ConfigError */
export const configFrom = (written: Readonly<Record<string, unknown>>, options: ParseOptions = {}): Config =>
  build({ value: structuredClone(written), problems: [], at: () => undefined, fromEnvironment: () => false, unresolved: () => false }, options)

/** `parseConfig` of a file. @throws ConfigError, also where the file cannot be read */
export const loadConfig = async (file: string, options: Omit<ParseOptions, 'source' | 'folder'> = {}): Promise<Config> => {
  let text: string
  try {
    text = await readFile(file, 'utf8')
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException
    const why = code === 'ENOENT' ? 'no such file' : code === 'EISDIR' ? 'is a folder; a configuration is one YAML file' : code === 'EACCES' ? 'no permission to read it' : message
    throw new ConfigError(file, [{ path: '', at: undefined, message: why }])
  }
  return parseConfig(text, { ...options, source: file, folder: dirname(resolvePath(file)) })
}

const build = (document: SourceDocument, { source = 'configuration', folder = '.', overrides = {}, onRead = () => {} }: ParseOptions): Config => {
  const problems: ConfigProblem[] = [...document.problems]
  const report = (path: Path, message: string, value = '') => problems.push({
    path: writePath(path), at: document.at(path), message: message.replace('{}', () => document.fromEnvironment(path) ? '(from the environment)' : value),
  })
  const written = coerce(ConfigSchema, merge(document.value, overrides), document.fromEnvironment)
  const violations = validate(written, document.fromEnvironment)
  for (const { path, message } of violations) {
    if (!document.unresolved(path)) report(path, message)
  }

  const bad = violations.filter(({ missing }) => !missing).map(({ path }) => path)
  const config = resolve(ConfigSchema, cut(written, bad) ?? {}) as Config
  config.classes = { ...resolve(ConfigSchema.properties.classes, { default: {} }) as Config['classes'], ...config.classes }
  normalise(config, { folder, onRead }, report)
  crossCheck(config, key => !bad.some(path => path.length === 0 || (path[0] === key && path.length <= 2)), report)
  if (problems.length > 0) throw new ConfigError(source, problems)
  return freeze(config)
}

const isObject = (value: unknown): value is Record<string, unknown> => typeof value === 'object' && value !== null && !Array.isArray(value)

const merge = (under: unknown, over: unknown): unknown => isObject(under) && isObject(over)
  ? { ...under, ...Object.fromEntries(Object.entries(over).map(([key, value]) => [key, Object.hasOwn(under, key) ? merge(under[key], value) : value])) }
  : over === undefined ? under : over

const freeze = <T>(value: T): T => {
  if (typeof value === 'object' && value !== null) {
    Object.values(value).forEach(freeze)
    Object.freeze(value)
  }
  return value
}
