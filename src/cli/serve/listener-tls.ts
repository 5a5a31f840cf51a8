import { readFileSync } from 'node:fs'
import type { Server as HttpServer } from 'node:http'
import { Server as TlsServer } from 'node:tls'
import type { Config } from '../../config/index.js'

type TlsFiles = Config['listen']['tls']

/** PEM of a listener; `ca` makes client certificates required. */
export interface ListenerTls {
  readonly cert: Buffer
  readonly key: Buffer
  readonly ca?: Buffer
}

/** Undefined: plain HTTP. Throws where a file cannot be read. */
export const readListenerTls = (tls: TlsFiles): ListenerTls | undefined => tls?.cert === undefined || tls.key === undefined
  ? undefined
  : { cert: readFileSync(tls.cert), key: readFileSync(tls.key), ...(tls.ca !== undefined && { ca: readFileSync(tls.ca) }) }

/** New connections get the new material, running ones keep theirs. */
export const renewListenerTls = (server: HttpServer | TlsServer, tls: ListenerTls | undefined): void => {
  if (tls !== undefined && server instanceof TlsServer) server.setSecureContext(tls)
}

/** What of it cannot change while running: whether there is TLS, and whether clients must show a certificate. */
export const tlsKind = (tls: TlsFiles): string => tls === undefined ? 'http' : tls.ca === undefined ? 'tls' : 'mutual tls'
