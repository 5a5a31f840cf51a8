import { deepEqual, equal, ok } from 'node:assert/strict'
import fc from 'fast-check'
import { stringify } from 'yaml'
import { ConfigError, configFrom, formatDuration, parseConfig, parseDuration, type Config } from '../../src/config/index.js'
import { treacherous } from '../support/stream-arbitraries.js'
import { property, type Property } from './property.js'

const BASE = {
  pools: { main: { backends: [{ url: 'http://10.0.0.1:8000', name: 'b1', engine: 'vllm', models: ['m'] }] } },
  classes: { chat: { ttft: '300ms', tpot: '50ms' }, batch: { deadline: '1h', sheddable: true } },
  routes: [{ match: { path: '/v1/chat/completions' }, class: 'chat' }],
  auth: { keys: [{ name: 'k', key: 'secret-of-the-key' }] },
  timeouts: { idle: '60s' }, retries: { max_attempts: 3 }, limits: { max_n: 8 }, listen: { host: '127.0.0.1', port: 8080 },
}
const names = fc.constantFrom('pools', 'main', 'backends', '0', 'url', 'name', 'engine', 'models', 'classes', 'chat', 'batch', 'ttft', 'tpot', 'deadline', 'sheddable', 'objective', 'weight', 'routes', 'match', 'class',
  'auth', 'keys', 'key', 'timeouts', 'idle', 'retries', 'max_attempts', 'limits', 'max_n', 'body', 'listen', 'host', 'port', 'admission', 'mode', 'tls', 'log', 'level', '__proto__', 'constructor', 'toString', 'nonsense')
const values: fc.Arbitrary<unknown> = fc.oneof(treacherous, fc.double(), fc.integer(), fc.string({ maxLength: 20 }), fc.jsonValue({ maxDepth: 2 }),
  fc.constantFrom(null, true, '', '0s', '1h30m', '1e9s', '99999999999d', '-1s', '64KiB', '${NOBODY}', '${', 'enforce', 'http://user:x@h', 'http://h:99999', '0.0.0.0', 'none', 'passthrough', [], {}, ['m', 'm'], 1e308, -0, 2 ** 53))
const edits = fc.array(fc.tuple(fc.array(names, { minLength: 1, maxLength: 5 }), values), { maxLength: 3 })

function edited (changes: readonly (readonly [readonly string[], unknown])[]): Record<string, unknown> {
  const root = structuredClone(BASE) as Record<string, unknown>
  for (const [path, value] of changes) {
    let at = root
    for (const name of path.slice(0, -1)) {
      const next = Object.hasOwn(at, name) ? at[name] : undefined
      if (typeof next !== 'object' || next === null) break
      at = next as Record<string, unknown>
    }
    Object.defineProperty(at, path.at(-1)!, { value, enumerable: true, configurable: true, writable: true })
  }
  return root
}

/** The configuration, or what is wrong with it; nothing else may come of it. */
function read (make: () => Config): Config | string {
  try {
    return make()
  } catch (error) {
    ok(error instanceof ConfigError, String(error))
    ok(error.problems.length > 0)
    for (const { message } of error.problems) ok(message.length > 0 && message.length < 2000)
    ok(!error.message.includes('secret-of-the-key'))
    return 'refused'
  }
}

function checkEdited (changes: readonly (readonly [readonly string[], unknown])[]): void {
  const json = JSON.stringify(edited(changes))
  const written = JSON.parse(json) as Record<string, unknown>
  const config = read(() => configFrom(written))
  // References to the environment are those of a text alone.
  if (!json.includes('$')) deepEqual(read(() => parseConfig(stringify(written))), config)
  if (typeof config === 'string') return
  equal(({} as Record<string, unknown>)['polluted'], undefined)
  for (const ms of Object.values(config.timeouts)) ok(Number.isFinite(ms) && ms >= 0)
  const { max_n, max_tokens, max_prompts, connections, body, headers } = config.limits
  for (const count of [max_n, max_tokens, max_prompts, connections, body, headers, config.retries.max_attempts]) ok(Number.isInteger(count) && count >= 1)
  for (const route of config.routes) ok(Object.hasOwn(config.classes, route.class))
  for (const { backends } of Object.values(config.pools)) for (const { url } of backends) ok(/^https?:\/\/[^@]+$/.test(url))
  ok(config.auth !== undefined || ['127.0.0.1', 'localhost', '::1'].includes(config.listen.host) || config.listen.host.startsWith('127.'))
}

export const configProperties: readonly Property[] = [
  property('a configuration is whole or refused, from text as from data', 0.3, edits, checkEdited),
  property('any text is a configuration or refused', 1, fc.oneof(treacherous, fc.string(), fc.tuple(names, fc.constantFrom(': ', ':\n  ', ':\n - ', ': &a ', ': *a', ': !!binary '), treacherous).map(parts => parts.join(''))), text => { read(() => parseConfig(text)) }),
  property('durations are read as they are written', 1, fc.nat(10_000_000), ms => { equal(parseDuration(formatDuration(ms)), ms) }),
]
