import { pino, type Logger } from 'pino'
import type { Config } from '../config/index.js'

/** Members that are blanked wherever a careless caller puts them into a line, at the top or one level down. */
const SECRETS = ['authorization', 'cookie', 'api_key', 'apiKey', 'key', 'token', 'x-api-key', 'proxy-authorization']

/** JSON lines for programs: `level` by name, `time` in ISO form. The line of a request is made apart (request-line.ts). */
export function createLogger(level: Config['log']['level'], wallNow: () => number, stream: { write(line: string): void }): Logger {
  return pino({
    level,
    base: null,
    timestamp: () => `,"time":"${new Date(wallNow()).toISOString()}"`,
    formatters: { level: (label) => ({ level: label }) },
    messageKey: 'message',
    errorKey: 'error',
    redact: { paths: SECRETS.flatMap((name) => name.includes('-') ? [`["${name}"]`, `*["${name}"]`] : [name, `*.${name}`]), censor: '[redacted]' },
  }, stream)
}
