import { createHash } from 'node:crypto'
import t, { type Test } from 'tap'
import { configFrom, ConfigError, parseConfig, type ParseOptions } from '../../src/config/index.js'

const contract = `
listen: { host: 127.0.0.1, port: 8080 }
pools:
  interactive:
    role: latency
    backends:
      - { url: "http://10.0.0.1:8000/", engine: vllm, cost_per_hour: 2.5 }
  bulk:
    role: throughput
    backends: [{ url: "http://10.0.0.3:8080", engine: tgi }]
classes:
  chat:  { ttft: 500ms, tpot: 50ms, objective: 0.95, pools: [interactive, bulk] }
  code:  { ttft: 200ms, tpot: 30ms, objective: 0.95, pools: [interactive] }
  batch: { deadline: 10m, sheddable: true, pools: [bulk, interactive] }
auth:   { keys: [{ name: ide-team, key: "\${IDE_KEY}", classes: [code, chat] }] }
routes:
  - { match: { path: /v1/chat/completions, header: { X-Workload: ide } }, class: code }
  - { match: { path: /v1/completions, model: "llama-*", method: post }, class: batch }
`

/** The problems of a text as `line:column path: message`. */
const problemsOf = (t: Test, text: string, options: ParseOptions = {}): string[] => {
  try {
    parseConfig(text, options)
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error
    return error.problems.map(({ path, at, message }) => `${at === undefined ? '' : `${at.line}:${at.column} `}${path}: ${message}`)
  }
  t.fail('the configuration was taken for valid', { text })
  return []
}

t.test('the shape of the contract loads', async t => {
  const config = parseConfig(contract, { environment: { IDE_KEY: 'sk-1' } })
  t.match(config.classes['chat'], { ttft: 500, tpot: 50, objective: 0.95, weight: 1, max_queue: 60_000 })
  t.equal(config.classes['batch']?.deadline, 600_000)
  t.match(config.classes['default'], { pools: [], objective: 0.95 }, 'the default class is always there')
  t.equal(config.classes['default']?.ttft, undefined)
  t.match(config.pools['interactive']?.backends[0], { url: 'http://10.0.0.1:8000', name: '10.0.0.1:8000', engine: 'vllm' })
  t.match(config.routes, [{ name: '1', match: { header: { 'x-workload': 'ide' } } }, { name: '2', match: { method: 'POST' }, continuation: false }])
  t.equal(config.limits.body, 32 * 1024 * 1024)
  t.equal(config.timeouts.total, 1_800_000)
  t.same(config.auth, { keys: [{ name: 'ide-team', classes: ['code', 'chat'], sha256: createHash('sha256').update('sk-1').digest('hex') }] }, 'a hash in place of the secret')
  t.throws(() => { (config.classes as Record<string, unknown>)['new'] = {} }, TypeError, 'frozen')
  t.throws(() => { config.routes.push(config.routes[0]!) }, TypeError, 'frozen all the way down')
})

t.test('nothing at all is a configuration', async t => {
  const config = parseConfig('')
  t.match(config, { listen: { host: '127.0.0.1', port: 8080 }, pools: {}, routes: [], admission: { mode: 'observe' } })
  t.same(Object.keys(config.classes), ['default'])
  t.same(configFrom({}), config)
})

t.test('every problem is told, with its place', async t => {
  t.same(problemsOf(t, `pools:
  main:
    role: latancy
    backends:
      - { urll: "http://a" }
classes:
  chat: { ttft: 500, objective: 2, pools: [mian] }
  other: { ttft: 0ms }
routes:
  - { match: { path: v1/x }, class: chta }
timeout: {}
`), [
    '3:5 pools.main.role: expected one of latency, throughput; got "latancy"; did you mean `latency`?',
    '5:9 pools.main.backends[0]: `url` is missing',
    '5:11 pools.main.backends[0].urll: unknown key; did you mean `url`?',
    '7:11 classes.chat.ttft: expected a duration such as 500ms, 2s or 10m; got 500; for milliseconds write 500ms',
    '7:22 classes.chat.objective: must be at most 1; got 2',
    '7:44 classes.chat.pools[0]: there is no pool `mian`; did you mean `main`?',
    '8:3 classes.other: `other` is a reserved name; choose another',
    '8:12 classes.other.ttft: must be more than zero; got "0ms"',
    '10:16 routes[0].match.path: starts with `/` and may end in `*`; got "v1/x"',
    '10:30 routes[0].class: there is no class `chta`; did you mean `chat`?',
    '11:1 timeout: unknown key; did you mean `timeouts`?',
  ])
})

const wrong: Record<string, [text: string, problem: RegExp]> = {
  'a key twice': ['listen: {}\nlisten: {}', /^2:1 : this key is given twice/],
  'two documents': ['listen: {}\n---\nlisten: {}', /more than one YAML document/],
  'a broken bracket': ['listen: { port: 1', /^\d+:\d+ : /],
  'a bare reference in braces': ['listen: { port: ${PORT} }', /needs quotes: "\$\{NAME\}"/],
  'a list for a mapping': ['pools: []', /pools: expected a mapping; got a list/],
  'an empty part': ['listen:', /listen: expected a mapping; got nothing/],
  'a number for text': ['classes: { a: { pools: [1] } }', /expected text; got 1; put quotes around it: "1"/],
  'a name that cannot be a label': ['classes: { "a b": {} }', /is not a possible name/],
  'an empty pool': ['pools: { a: { backends: [] } }', /must not be empty/],
  'a public listener without auth': ['listen: { host: 0.0.0.0 }', /listen\.host: 0\.0\.0\.0 can be reached.*`auth` must be said/],
  'a public IPv6 listener': ['listen: { host: "::" }', /`auth` must be said/],
  'one port for both planes': ['listen: { port: 9090 }', /admin\.port: is also the port of `listen`/],
  'a server twice': ['pools: { a: { backends: [{ url: "http://h:1" }] }, b: { backends: [{ url: "http://h:1/" }] } }', /already a backend of pool `a`/],
  'a backend name twice': ['pools: { a: { backends: [{ url: "http://h:1", name: x }, { url: "http://h:2", name: x }] } }', /`x` is already the name/],
  'an address that is not http': ['pools: { a: { backends: [{ url: "ftp://h" }] } }', /expected an address such as .*; got "ftp:\/\/h"/],
  'an address with a query': ['pools: { a: { backends: [{ url: "http://h/?a=1" }] } }', /no `\?` and no `#`/],
  'a ttft beyond the deadline': ['classes: { a: { ttft: 2s, deadline: 1s } }', /classes\.a\.ttft: must be less than `deadline` \(1s\)/],
  'a pool twice in a class': ['pools: { p: { backends: [{ url: "http://h" }] } }\nclasses: { a: { pools: [p, p] } }', /already in the list/],
  'a key without secret': ['auth: { keys: [{ name: a }] }', /needs one of `key`, `sha256`, `file`/],
  'a key with two secrets': ['auth: { keys: [{ name: a, key: x, file: /nowhere }] }', /has `key` and `file`/],
  'a secret file that is not there': ['auth: { keys: [{ name: a, file: /nowhere/at/all }] }', /cannot read \/nowhere\/at\/all: no such file/],
  'one secret for two': ['auth: { keys: [{ name: a, key: x }, { name: b, key: x }] }', /this secret is already the one of key `1`/],
  'the name of those without a key': ['auth: { keys: [{ name: anonymous, key: x }] }', /reserved/],
  'auth that is a word': ['auth: nobody', /auth: expected `none`, or `passthrough`, or a mapping with `keys`; got "nobody"/],
  'a slip inside auth': ['auth: { keys: [{ name: a, kee: b }] }', /auth\.keys\[0\]\.kee: unknown key; did you mean `key`\?/],
  'a tenant without keys': ['routes: [{ match: { tenant: a }, class: default }]', /`auth` has no `keys`/],
  'a star in the middle of a path': ['routes: [{ match: { path: "/a*b" }, class: default }]', /may end in `\*`/],
  'an unknown method': ['routes: [{ match: { method: FETCH }, class: default }]', /expected one of GET/],
  'the reserved route name': ['routes: [{ name: default, match: {}, class: default }]', /reserved/],
  'timeouts out of order': ['timeouts: { first_token: 1h }', /must be less than `total` \(30m\)/],
  'half of a certificate': ['listen: { tls: { cert: /nowhere/c.pem } }', /needs both `cert` and `key`/],
  'a prototype': ['__proto__: { listen: {} }', /a key must be a plain name/],
  'nested aliases': [`a: &a [x,x,x,x,x,x,x,x,x,x]\n${[...'bcdefg'].map((name, i) => `${name}: &${name} [${Array(10).fill(`*${'abcdef'[i]!}`).join(',')}]`).join('\n')}`, /too deep or too large/],
}
for (const [what, [text, problem]] of Object.entries(wrong)) {
  t.test(`refused: ${what}`, async t => {
    const problems = problemsOf(t, text)
    t.ok(problems.some(line => problem.test(line)), 'says what is wrong', { problems, wanted: String(problem) })
  })
}

t.test('the environment', async t => {
  const environment = { PORT: '81', EMPTY: '', HOST: '127.0.0.2', ON: 'false', SHARE: '0.5' }
  const config = parseConfig('listen: { host: "${HOST}", port: "${PORT}" }\nadmin: { port: "${NO:-82}" }\nlog: { requests: "${ON}" }\nadmission: { probe_share: "${SHARE}" }\nroutes: [{ match: { model: "$${x}-${EMPTY:-y}${EMPTY}" }, class: default }]', { environment })
  t.match(config, { listen: { host: '127.0.0.2', port: 81 }, admin: { port: 82 }, log: { requests: false }, admission: { probe_share: 0.5 } })
  t.equal(config.routes[0]?.match.model, '${x}-y')
  t.same(problemsOf(t, 'listen:\n  port: ${NOPE}'), ['2:3 listen.port: environment variable NOPE is not set; set it, or write ${NOPE:-default}'])
  t.match(problemsOf(t, 'listen: { host: "${a b}" }'), [/a reference to the environment is/])
})

t.test('no secret is ever told', async t => {
  const secret = 's3cr3t-value'
  const texts = [
    `auth: { keys: [{ name: a, key: ${secret}, sha256: ${secret} }] }`,
    `auth: { keys: [{ name: a, key: [${secret}] }, { name: a, key: ${secret} }] }`,
    `admin: { token: { x: ${secret} } }`,
    'listen: { port: "${S}", host: "${S}", tls: "${S}" }',
    'routes: [{ name: "${S}", match: { path: "${S}", method: "${S}", tenant: "${S}" }, class: "${S}" }, { name: "${S}", match: {}, class: default }]',
    'pools: { a: { backends: [{ url: "${S}", name: "${S}" }, { url: "http://h", name: "${S}" }, { url: "http://h2", name: "${S}", tls: { ca: "/${S}" } }] } }',
    'admission: { mode: "${S}" }\ntimeouts: { total: "${S}" }\nlimits: { body: "${S}" }',
    `pools: { a: { backends: [{ url: "http://me:${secret}@h" }, { url: "me:${secret}@h" }, { url: "http://h", api_key: 12 }] } }`,
    `auth: { keys: [{ name: a, key: "x" ${secret} }] }`,
    `auth: { keys: [{ name: a, key: "${secret} }] }`,
    `admin:\n\ttoken: ${secret}\n`,
    `admin: { token: "\\q${secret}" }`,
    `admin: { token: *${secret} }`,
    `admin: { token: !${secret} x }`,
    `admin: { token: @${secret} }`,
  ]
  for (const text of texts) {
    try {
      parseConfig(text, { environment: { S: secret } })
      t.match(text, /!s3cr3t/, 'only an unknown tag is let through')
    } catch (error) {
      t.type(error, ConfigError)
      t.notMatch((error as Error).message, /s3cr3t/, text)
    }
  }
})

t.test('overrides', async t => {
  const config = parseConfig('listen: { port: 1, host: 127.0.0.2 }\npools: { a: { backends: [{ url: "http://h" }] } }', { overrides: { listen: { port: 0 }, admin: undefined } })
  t.match(config.listen, { port: 0, host: '127.0.0.2' })
})

t.test('whatever comes, it is a configuration or a ConfigError', async t => {
  const pieces = ['pools:', ' a:', '  backends:', '   - url: x', 'classes: {', '}', '[', ']', '"', "'", '&a', '*a', '${A', '}', '\n', '\t', ': ', '- ', '#', '|', '>', '%', '@', '!!binary x', '? ', 'null', '1e400', '.nan', '\u0000', '\u2028', '<<: ']
  let state = 7
  const next = () => (state = (state * 1103515245 + 12345) % 2147483648) / 2147483648
  for (let i = 0; i < 1500; i++) {
    const text = Array.from({ length: 1 + Math.floor(next() * 12) }, () => pieces[Math.floor(next() * pieces.length)]).join('')
    try {
      parseConfig(text)
    } catch (error) {
      if (!(error instanceof ConfigError)) t.fail('threw something else', { text, error })
    }
  }
})
