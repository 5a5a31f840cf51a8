import type { Target } from './types.js'

/** Reads `http://host:port`, with or without `/v1` at its end. @throws Error that says what is expected */
export function parseTarget(text: string): Target {
  let url: URL
  try {
    url = new URL(text)
  } catch {
    throw new Error(`expected an address such as http://127.0.0.1:8080, got '${text}'`)
  }
  if (url.protocol !== 'http:' && url.protocol !== 'https:') throw new Error(`expected an address that starts with http:// or https://, got '${text}'`)
  const tls = url.protocol === 'https:'
  return {
    label: text,
    host: url.hostname.replace(/^\[|\]$/g, ''),
    port: url.port === '' ? (tls ? 443 : 80) : Number(url.port),
    tls,
    basePath: url.pathname.replace(/\/+$/, '').replace(/\/v1$/, ''),
  }
}

/** Value of the `host` header. */
export const hostHeader = ({ host, port }: Target): string => `${host.includes(':') ? `[${host}]` : host}:${port}`
