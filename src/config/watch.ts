import { stat } from 'node:fs/promises'
import type { Ms } from '../core/index.js'
import { loadConfig, type ParseOptions } from './load.js'
import type { Config } from './schema.js'

export interface WatchOptions extends Pick<ParseOptions, 'environment' | 'overrides'> {
  /** Between two looks at the file. Default: 1 s. */
  readonly everyMs?: Ms
  /** A new configuration, whole and valid. */
  readonly onChange: (config: Config) => void
  /** The file has changed and is not valid; what was loaded before stays in force. Told once per change. */
  readonly onError: (error: Error) => void
}

export interface ConfigWatch {
  /** As it was first loaded; later ones go to `onChange`. */
  readonly config: Config
  /** Loads now, changed or not (SIGHUP, the admin plane). Resolves with whether the file was valid. */
  reload(): Promise<boolean>
  /** Looks now; loads if the file has changed and has then stayed as it is for one look. */
  look(): Promise<void>
  close(): void
}

/**
 * Loads a configuration file and follows it and the files that it names (secrets, TLS material).
 *
 * It looks at size, time and inode at an interval rather than waiting for notices of the file system: that sees what a path
 * leads to through any number of links (a ConfigMap is swapped by one), survives editors that write a new file and rename it,
 * and works on network mounts. A change counts once two looks in a row agree, so a file that is still being written is left alone.
 * @throws ConfigError where the file is not valid to begin with
 */
export const watchConfig = async (file: string, options: WatchOptions): Promise<ConfigWatch> => {
  let named: readonly string[] = []
  let loaded: string | undefined
  let seen: string | undefined
  let closed = false
  let busy: Promise<unknown> = Promise.resolve()

  /** Records what it loads from, changed or not, valid or not: the same fault is not told again at the next look. */
  const load = async (): Promise<Config> => {
    const read = new Set<string>()
    const before = await fingerprint([file, ...named])
    try {
      return await loadConfig(file, {
        ...(options.environment !== undefined && { environment: options.environment }),
        ...(options.overrides !== undefined && { overrides: options.overrides }),
        onRead: path => read.add(path),
      })
    } finally {
      const same = read.size === named.length && named.every(path => read.has(path))
      named = [...read]
      loaded = seen = same ? before : await fingerprint([file, ...named])
    }
  }

  const reload = async (): Promise<boolean> => {
    try {
      const config = await load()
      if (!closed) options.onChange(config)
      return true
    } catch (error) {
      if (!closed) options.onError(error as Error)
      return false
    }
  }

  const inTurn = <T>(work: () => Promise<T>): Promise<T> => {
    const done = busy.then(work)
    busy = done.catch(() => {})
    return done
  }

  const look = () => inTurn(async () => {
    const now = await fingerprint([file, ...named])
    const settled = now === seen
    seen = now
    if (settled && now !== loaded) await reload()
  })

  const config = await load()
  const timer = setInterval(() => { void look() }, options.everyMs ?? 1_000)
  timer.unref()
  return {
    config,
    reload: () => inTurn(reload),
    look,
    close () {
      closed = true
      clearInterval(timer)
    },
  }
}

/** Changes when the content of any of the files may have. */
const fingerprint = async (paths: readonly string[]): Promise<string> => {
  const marks = await Promise.all(paths.map(async path => {
    const found = await stat(path, { bigint: true }).catch(() => undefined)
    return found === undefined ? 'none' : `${found.dev}:${found.ino}:${found.size}:${found.mtimeNs}`
  }))
  return marks.join(' ')
}
