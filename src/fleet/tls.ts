import { readFileSync } from 'node:fs'
import type { TlsMaterial } from './types.js'

interface TlsFiles {
  readonly ca?: string
  readonly cert?: string
  readonly key?: string
}

/** Read the PEM files of a backend. Throws with the path where one cannot be read. */
export function readTls(files: TlsFiles | undefined): TlsMaterial | undefined {
  if (files === undefined) return undefined
  return {
    ...(files.ca === undefined ? {} : { ca: readFileSync(files.ca) }),
    ...(files.cert === undefined ? {} : { cert: readFileSync(files.cert) }),
    ...(files.key === undefined ? {} : { key: readFileSync(files.key) }),
  }
}

export function sameTls(a: TlsMaterial | undefined, b: TlsMaterial | undefined): boolean {
  const same = (x: Buffer | undefined, y: Buffer | undefined) => x === undefined ? y === undefined : y !== undefined && x.equals(y)
  return same(a?.ca, b?.ca) && same(a?.cert, b?.cert) && same(a?.key, b?.key)
}
