import { pino, type Logger } from 'pino'
import type { Config } from '../config/index.js'

/** Members that are blanked wherever a careless caller puts them into a line, at the top or one level down. */
const SECRETS = ['authorization', 'cookie', 'api_key', 'apiKey', 'key', 'token', 'x-api-key', 'proxy-authorization']

/**
 * JSON lines for programs: `level` by name, `time` in ISO form. `redacted: false` is for lines whose members are all made
 * by us, one per request: looking for secrets in each of them is work for nothing.
 */
export function createLogger(level: Config['log']['level'], wallNow: () => number, stream: { write(line: string): void }, { redacted = true } = {}): Logger {
  return pino({
    level,
    base: null,
    timestamp: () => `,"time":"${new Date(wallNow()).toISOString()}"`,
    formatters: { level: (label) => ({ level: label }) },
    messageKey: 'message',
    errorKey: 'error',
    ...redacted && { redact: { paths: SECRETS.flatMap((name) => name.includes('-') ? [`["${name}"]`, `*["${name}"]`] : [name, `*.${name}`]), censor: '[redacted]' } },
  }, stream)
}
