// Attack 5 of docs/security.md: keys and prompts are looked for in everything that the whole program tells, at its most talkative. And 21, over the wire.
import { execFileSync, spawn } from 'node:child_process'
import { createHash } from 'node:crypto'
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t from 'tap'
import { bearer } from '../helpers/attack.js'
import { CHAT, raw, send } from '../helpers/client.js'
import { goodChat, scriptedUpstream, STREAM_HEAD, type Script } from '../helpers/upstream.js'

const CANARIES = { client: 'canary-client-key', wrong: 'canary-wrong-key', backend: 'canary-backend-key', admin: 'canary-admin-token', prompt: 'canary-prompt-text', answer: 'canary-answer-text', cookie: 'canary-cookie', hashed: 'canary-hashed-key' }
const HASHES = Object.values(CANARIES).map(text => createHash('sha256').update(text).digest('hex'))

t.test('5: no key and no prompt in logs, errors, metrics, state or traces of requests', async t => {
  const folder = await mkdtemp(join(tmpdir(), 'sluice-canary-'))
  t.teardown(() => rm(folder, { recursive: true }))
  const upstream = await scriptedUpstream((seen, response) => {
    if (seen.method === 'GET') response.writeHead(200, { 'content-type': 'application/json' }).end('{"object":"list","data":[{"id":"m"}]}')
    else void goodChat([CANARIES.answer])(seen, response)
  })
  t.teardown(() => upstream.close())
  const config = join(folder, 'sluice.yaml')
  await writeFile(join(folder, 'key'), `${CANARIES.client}\n`)
  const keys = `{ keys: [{ name: team, file: key, requests_per_minute: 100000 }, { name: second, key: "${CANARIES.hashed}", classes: [fast] }] }`
  const write = (more = '') => writeFile(config, `
pools: { main: { backends: [{ url: "${upstream.url}", name: b1, engine: vllm, models: [m], api_key: "${CANARIES.backend}" }] } }
classes: { fast: { ttft: 200ms } }
auth: ${keys}
admin: { token: "${CANARIES.admin}" }
timeouts: { first_token: 1s, idle: 1s, connect: 500ms, drain: 1s }
retries: { max_attempts: 1 }
breaker: { faults: 1000 }
health: { interval: 1h }
log: { level: trace, request_file: "${join(folder, 'requests')}", audit_file: "${join(folder, 'audit')}" }
${more}`)
  await write()
  const told: string[] = [execFileSync(process.execPath, ['dist/cli/main.js', 'check', config], { encoding: 'utf8' })]
  const child = spawn(process.execPath, ['dist/cli/main.js', '--config', config, '--port', '0', '--admin-port', '0'], { stdio: ['ignore', 'pipe', 'pipe'] })
  t.teardown(() => child.kill('SIGKILL'))
  const ended = new Promise(resolve => child.once('exit', resolve))
  let out = ''
  for (const stream of [child.stdout, child.stderr]) stream.on('data', piece => { out += String(piece) })
  const until = async (pattern: RegExp) => {
    while (!pattern.test(out)) {
      if (child.exitCode !== null) throw new Error(out)
      await new Promise(resolve => setTimeout(resolve, 20))
    }
    return pattern.exec(out)![1]!
  }
  const url = await until(/data plane +(http:\S+)/)
  const admin = await until(/admin plane +(http:[^\s]+)/)

  const body = (more: object = {}) => CHAT({ messages: [{ role: 'user', content: CANARIES.prompt }], stream: true, ...more })
  const call = async (path: string, text: string | undefined, headers: Record<string, string> = bearer(CANARIES.client), method = 'POST') => {
    const answer = await send(`${url}${path}`, text, { cookie: CANARIES.cookie, ...headers }, method).answer
    // What a model server says may hold what it was asked; the gateway's own words may not.
    if (!path.startsWith('/tokenize')) told.push(JSON.stringify(answer.headers), answer.status === 200 ? '' : answer.text)
    return answer.status
  }
  t.equal(await call('/v1/chat/completions', body()), 200)
  t.equal(await call('/v1/chat/completions', body({ stream: false })), 200)
  t.equal(await call('/v1/chat/completions', body(), bearer(CANARIES.wrong)), 401)
  t.equal(await call('/v1/chat/completions', body(), { authorization: `Basic ${CANARIES.wrong}`, 'x-api-key': CANARIES.wrong }), 401)
  t.equal(await call('/v1/chat/completions', body(), { ...bearer(CANARIES.hashed), 'x-slo-class': 'default' }), 403)
  t.equal(await call('/v1/chat/completions', body().slice(0, -1)), 400)
  t.equal(await call('/v1/chat/completions', `${body()}${CANARIES.prompt}`), 400)
  t.equal(await call('/v1/chat/completions', body({ n: 1e9 })), 400)
  t.equal(await call('/v1/chat/completions', body({ model: 'nobody-has-it' })), 404)
  t.equal(await call('/v1/chat/completions', body(), { ...bearer(CANARIES.client), 'content-type': 'text/plain' }), 415)
  t.equal(await call('/v1/messages', JSON.stringify({ model: 'm', max_tokens: 'x', messages: [{ role: 'user', content: CANARIES.prompt }] })), 400)
  t.equal(await call('/generate', JSON.stringify({ inputs: CANARIES.prompt, parameters: 'x' })), 400)
  t.equal(await call(`/v1/models?key=${CANARIES.client}&prompt=${CANARIES.prompt}`, undefined, bearer(CANARIES.client), 'GET'), 200)
  t.equal(await call(`/nope?key=${CANARIES.client}`, body()), 404)
  t.equal(await call(`/tokenize?key=${CANARIES.client}`, JSON.stringify({ prompt: CANARIES.prompt })), 200)
  const broken: Script[] = [
    (_seen, response) => { response.destroy() },
    (_seen, response) => { response.writeHead(500).end(`{"error":"${CANARIES.prompt} ${CANARIES.backend}"}`) },
    (_seen, response) => { response.writeHead(401).end(`{"error":"bad key ${CANARIES.backend}"}`) },
    (_seen, response) => { response.writeHead(503).end(CANARIES.prompt) },
    (_seen, response) => { response.writeHead(200, STREAM_HEAD).end(`data: {"error":{"message":"${CANARIES.prompt}","code":500}}\n\n`) },
    (_seen, response) => { response.writeHead(200, { 'content-type': 'application/json' }).end(`{"half":"${CANARIES.prompt}`) },
    (_seen, response) => { response.writeHead(302, { location: `http://x/${CANARIES.backend}` }).end() },
    () => {},
  ]
  const script = upstream.script
  for (const each of broken) {
    upstream.script = each
    t.ok(await call('/v1/chat/completions', body()) >= 500)
    if (each !== broken.at(-1)) await call('/tokenize', JSON.stringify({ prompt: CANARIES.prompt }))
  }
  upstream.script = script
  await raw(Number(new URL(url).port), `POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\nauthorization: Bearer ${CANARIES.client}\r\ncontent-length: nonsense ${CANARIES.prompt}\r\n\r\n`).then(answer => told.push(answer))
  const left = send(`${url}/v1/chat/completions`, body(), bearer(CANARIES.client))
  await left.firstBytes
  left.leave()

  for (const [path, method, token] of [['/api/reload', 'POST', CANARIES.wrong], ['/api/backends/b1/drain', 'POST', CANARIES.admin], ['/api/backends/b1/undrain', 'POST', CANARIES.admin], [`/api/backends/b1/undrain?token=${CANARIES.admin}`, 'POST', CANARIES.wrong]] as const) {
    told.push(await (await fetch(admin.replace(/\/$/, '') + path, { method, headers: bearer(token) })).text())
  }
  await write(`listen: { prot: 1 }\n# ${CANARIES.prompt}`)
  child.kill('SIGHUP')
  await until(/(the configuration in force stays)/)

  // 21, over the wire: whatever is named, the number of series stays.
  const metrics = async () => await (await fetch(`${admin.replace(/\/$/, '')}/metrics`)).text()
  const seriesOf = (text: string) => [...new Set(text.split('\n').filter(line => line.startsWith('sluice_')).map(line => line.slice(0, line.lastIndexOf(' '))))]
  const names = async (from: number) => {
    for (let i = from; i < from + 40; i++) {
      await call(`/random/${i}`, body())
      await call('/v1/chat/completions', body({ model: `model-${i}`, user: `user-${i}` }))
      await call('/v1/chat/completions', body(), { ...bearer(CANARIES.client), 'x-slo-class': `class-${i}`, 'x-request-id': `id-${i}` })
      await call('/v1/chat/completions', body(), { ...bearer(CANARIES.client), 'x-slo-ttft-ms': String(i + 1000) })
    }
    return seriesOf(await metrics())
  }
  const before = await names(0)
  t.ok(before.length > 50)
  t.same((await names(1000)).filter(name => !before.includes(name)), [], 'no new series')

  for (const path of ['/metrics', '/api/state', '/api/requests?limit=1000', '/health/ready', '/livez', '/nothing', '/']) told.push(await (await fetch(`${admin.replace(/\/$/, '')}${path}`)).text())
  child.kill('SIGTERM')
  await ended
  told.push(out, await readFile(join(folder, 'requests'), 'utf8'), await readFile(join(folder, 'audit'), 'utf8'))
  const all = told.join('\n')
  t.ok(out.split('\n').length > 50 && all.includes('"tenant":"team"'), 'there was something to look through')
  for (const [name, canary] of Object.entries(CANARIES)) t.notOk(all.includes(canary), `${name}: ${all.slice(Math.max(0, all.indexOf(canary) - 200), all.indexOf(canary) + 60)}`)
  for (const hash of HASHES) t.notOk(all.includes(hash.slice(0, 12)), 'nor the hash of one')
})
