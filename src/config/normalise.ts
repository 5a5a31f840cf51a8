/** What is said briefly in a file, spelled out: names, addresses, hashes in place of secrets. */
import { createHash } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { isAbsolute, resolve as resolvePath } from 'node:path'
import { createSecureContext } from 'node:tls'
import type { Report } from './check.js'
import type { Path } from './problems.js'
import type { BackendConfig, Config, KeyConfig, RouteConfig } from './schema.js'

export interface Files {
  /** Paths in the file are relative to this folder. */
  readonly folder: string
  /** Called with each file that was read, whether that went well or not. */
  readonly onRead: (file: string) => void
}

interface WrittenKey extends Omit<KeyConfig, 'sha256'> {
  key?: string
  sha256?: string
  file?: string
}

/** In place, on a configuration that nobody else has yet. Members may be missing, as in `crossCheck`. */
export const normalise = (config: Config, files: Files, report: Report): void => {
  const absolute = (path: string) => isAbsolute(path) ? path : resolvePath(files.folder, path)
  const tlsFiles = (tls: Config['listen']['tls'], path: Path) => {
    if (tls === undefined) return
    const material: { cert?: string, key?: string, ca?: string } = {}
    let whole = true
    for (const member of ['cert', 'key', 'ca'] as const) {
      const file = tls[member]
      if (file === undefined) continue
      tls[member] = absolute(file)
      const text = readNamed(tls[member], [...path, 'tls', member], files, report)
      if (text === undefined) whole = false
      else material[member] = text
    }
    const fault = whole ? tlsFault(material) : undefined
    if (fault !== undefined) report([...path, 'tls'], fault)
  }
  tlsFiles(config.listen.tls, ['listen'])
  tlsFiles(config.admin.tls, ['admin'])
  for (const [pool, { backends = [] }] of Object.entries(config.pools)) {
    for (const [index, backend] of backends.entries()) {
      if (backend === undefined) continue
      nameBackend(backend)
      tlsFiles(backend.tls, ['pools', pool, 'backends', index])
    }
  }
  config.routes.forEach((route, index) => {
    if (route !== undefined) nameRoute(route, index)
  })
  if (typeof config.auth === 'object') {
    for (const [index, key] of (config.auth.keys ?? []).entries()) {
      if (key !== undefined) hashKey(key, ['auth', 'keys', index], absolute, files, report)
    }
  }
}

const nameBackend = (backend: BackendConfig): void => {
  if (backend.url === undefined || !URL.canParse(backend.url)) return
  const { host, origin, pathname, search, hash } = new URL(backend.url)
  if (search === '' && hash === '' && !backend.url.includes('@')) backend.url = `${origin}${pathname.replace(/\/+$/, '')}`
  backend.name ??= host
}

const nameRoute = (route: RouteConfig, index: number): void => {
  route.name ??= String(index + 1)
  if (route.match?.method !== undefined) route.match.method = route.match.method.toUpperCase()
  if (route.match?.header !== undefined) route.match.header = Object.fromEntries(Object.entries(route.match.header).map(([name, value]) => [name.toLowerCase(), value]))
}

const hashKey = (key: WrittenKey, path: Path, absolute: (path: string) => string, files: Files, report: Report): void => {
  const given = (['key', 'sha256', 'file'] as const).filter(member => key[member] !== undefined)
  if (given.length !== 1) {
    report(path, given.length === 0 ? 'needs one of `key`, `sha256`, `file`' : `has ${given.map(member => `\`${member}\``).join(' and ')}; exactly one of them says what the secret is`)
  }
  const secret = key.key ?? (key.file === undefined ? undefined : readNamed(absolute(key.file), [...path, 'file'], files, report)?.trim())
  if (secret === '') report([...path, key.key === undefined ? 'file' : 'key'], 'the secret is empty')
  if (secret !== undefined && secret !== '') key.sha256 ??= createHash('sha256').update(secret).digest('hex')
  delete key.key
  delete key.file
}

/** Found out now, and not by the first client that connects. */
const tlsFault = (material: { readonly cert?: string, readonly key?: string, readonly ca?: string }): string | undefined => {
  try {
    createSecureContext(material)
    return undefined
  } catch (error) {
    const { code = 'unknown reason' } = error as NodeJS.ErrnoException
    return code === 'ERR_OSSL_X509_KEY_VALUES_MISMATCH' ? '`key` is not the key of `cert`' : `the files cannot be used: each must be PEM, the key without a passphrase (${code})`
  }
}

const readNamed = (file: string, path: Path, files: Files, report: Report): string | undefined => {
  files.onRead(file)
  try {
    return readFileSync(file, 'utf8')
  } catch (error) {
    report(path, `cannot read {}: ${(error as NodeJS.ErrnoException).code === 'ENOENT' ? 'no such file' : (error as NodeJS.ErrnoException).code ?? 'unknown reason'}`, file)
    return undefined
  }
}
