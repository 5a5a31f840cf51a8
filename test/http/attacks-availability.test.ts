// Attacks on whether the gateway serves at all, by their numbers in docs/security.md.
import { connect } from 'node:net'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import t from 'tap'
import OpenAI from 'openai'
import { configFrom } from '../../src/config/index.js'
import { createTelemetry, type RequestRecord } from '../../src/telemetry/index.js'
import { bearer, post, statusOf, underAttack } from '../helpers/attack.js'
import { CHAT, send, STREAMED } from '../helpers/client.js'
import { IDLE } from '../helpers/gateway.js'
import { heapMiB } from '../helpers/heap.js'
import { chatEvents, event, goodChat, STREAM_HEAD, type Script } from '../helpers/upstream.js'

const MIB = 2 ** 20

const until = async (test: () => boolean) => {
  const deadline = performance.now() + 20_000
  while (!test()) {
    if (performance.now() > deadline) throw new Error(`not within 20 s: ${test.toString()}`)
    await new Promise(resolve => setTimeout(resolve, 10))
  }
}

t.test('18: slow heads, slow bodies and idle connections hold nothing up, and are ended', async t => {
  const { upstream, gateway, chat } = await underAttack(t, { timeouts: { request_body: '1s' }, limits: { connections: 400 } })
  const open = async (text: string) => {
    const socket = connect(gateway.port, '127.0.0.1')
    let got = ''
    socket.on('data', piece => { got += String(piece) })
    socket.on('error', () => {})
    await once(socket, 'connect')
    if (text !== '') socket.write(text)
    return { socket, closed: once(socket, 'close').then(() => got) }
  }
  const slow = await Promise.all(Array.from({ length: 60 }, (_, i) => open(i % 3 === 0 ? 'POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\nx-a' : i % 3 === 1 ? post('/v1/chat/completions', [], '{"model"', 1000).replace('connection: close\r\n', '') : '')))
  const drip = setInterval(() => { for (const [i, { socket }] of slow.entries()) if (i % 3 !== 2) socket.write(' ') }, 200)
  t.teardown(() => { clearInterval(drip); for (const { socket } of slow) socket.destroy() })
  for (let i = 0; i < 5; i++) t.equal((await send(chat, CHAT()).answer).status, 200, 'others are served meanwhile')
  for (const [i, { closed }] of slow.entries()) if (i % 3 !== 2) t.equal(statusOf(await closed), 400, 'never 408')
  clearInterval(drip)
  t.equal(upstream.seen.length, 5)
  const idle = await Promise.all(Array.from({ length: 450 }, () => open('')))
  t.teardown(() => { for (const { socket } of idle) socket.destroy() })
  await Promise.race(idle.slice(-60).map(({ closed }) => closed))
  for (const { socket } of idle) socket.destroy()
  await until(() => true)
  await new Promise(resolve => setTimeout(resolve, 100))
  t.equal((await send(chat, CHAT()).answer).status, 200, 'and after them')
})

t.test('18: connections that come and go by the thousand leave nothing behind', async t => {
  const { gateway, upstream, chat } = await underAttack(t)
  const sockets = () => process.getActiveResourcesInfo().filter(name => name === 'TCPSocketWrap').length
  t.equal((await send(chat, CHAT()).answer).status, 200)
  const before = sockets()
  for (let round = 0; round < 20; round++) {
    await Promise.all(Array.from({ length: 100 }, (_, i) => new Promise<void>(resolve => {
      const socket = connect(gateway.port, '127.0.0.1', () => {
        if (i % 3 === 1) socket.write('POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\n')
        if (i % 3 === 2) socket.write(post('/v1/chat/completions', [], '{"model"', 1000))
        if (i % 2 === 0) socket.resetAndDestroy()
        else socket.destroy()
      })
      socket.on('error', () => {})
      socket.on('close', () => { resolve() })
    })))
  }
  await until(() => sockets() <= before + 10)
  t.same(gateway.runtime.gauges, IDLE)
  t.equal(upstream.seen.length, 1)
  t.equal((await send(chat, CHAT()).answer).status, 200)
})

t.test('18: clients that do not read cost bounded memory, hold their backend back, and are cut', async t => {
  let written = 0
  const { gateway, chat } = await underAttack(t, { timeouts: { write_stall: '1s' } }, (_seen, response) => {
    response.writeHead(200, STREAM_HEAD)
    const piece = chatEvents(['x'.repeat(60_000)])[1]!
    const more = () => {
      while (!response.destroyed) {
        written += piece.length
        if (!response.write(piece)) return void response.once('drain', more)
      }
    }
    more()
  })
  const before = process.memoryUsage().rss
  const sockets = Array.from({ length: 20 }, () => {
    const socket = connect(gateway.port, '127.0.0.1', () => { socket.write(post('/v1/chat/completions', [], STREAMED)) })
    socket.on('error', () => {})
    socket.pause()
    return socket
  })
  // Some take a byte now and then: that is no reading either.
  const sip = setInterval(() => { for (const socket of sockets.slice(0, 5)) socket.read(1) }, 50)
  t.teardown(() => { clearInterval(sip); for (const socket of sockets) socket.destroy() })
  await until(() => gateway.records.length === 20)
  t.ok(gateway.records.every(({ outcome }) => outcome === 'cancelled'), 'cut by the write-stall timeout')
  t.ok(written / 20 < 16 * 2 ** 20, `the backend was held back: ${Math.round(written / 20 / 1024)} KiB per stream`)
  t.ok(process.memoryUsage().rss - before < 400 * 2 ** 20)
  t.same(gateway.runtime.gauges, IDLE)
  t.ok(chat)
})

t.test('18: who does not read the end of an answer, or a call that is passed through, is cut as well', async t => {
  let piece = 0
  const { gateway } = await underAttack(t, { timeouts: { write_stall: '1s' } }, (seen, response) => {
    if (seen.url === '/tokenize') return void response.writeHead(200, { 'content-type': 'application/json' }).end(Buffer.alloc(32 * MIB, 0x20))
    // One of these sizes is what the system's own buffers hold, and a little more: it is through, and its last bytes are not.
    response.writeHead(200, { 'content-type': 'application/json' }).end(Buffer.alloc(++piece * 128 * 1024, 0x20))
  })
  const silent = (request: string) => {
    const socket = connect(gateway.port, '127.0.0.1', () => { socket.write(request) })
    socket.on('error', () => {})
    socket.pause()
    t.teardown(() => { socket.destroy() })
  }
  for (let i = 0; i < 48; i++) silent(post('/v1/chat/completions', ['connection: close'], CHAT()))
  await until(() => gateway.records.length === 48)
  for (let i = 0; i < 100 && await gateway.connections() > 0; i++) await new Promise(resolve => setTimeout(resolve, 50))
  t.equal(await gateway.connections(), 0)
  for (let i = 0; i < 4; i++) silent(post('/tokenize', ['connection: close'], '{}'))
  for (let i = 0; i < 100 && gateway.records.length < 52; i++) await new Promise(resolve => setTimeout(resolve, 50))
  t.match(gateway.records.slice(48).map(({ status }) => status), [499, 499, 499, 499])
  t.equal(await gateway.connections(), 0)
})

t.test('19: clients that leave, at any phase, leave nothing behind', async t => {
  const { upstream, gateway, chat } = await underAttack(t, { auth: { keys: [{ name: 'k', key: 'k', max_inflight: 1000, tokens_per_minute: 1_000_000 }] } })
  const phases: [string, Script, string, (call: ReturnType<typeof send>) => Promise<unknown>][] = [
    ['before the head', () => {}, STREAMED, () => until(() => upstream.open === 1)],
    ['before the first token', (_seen, response) => { response.writeHead(200, STREAM_HEAD); response.write(': ping\n\n') }, STREAMED, () => until(() => upstream.open === 1)],
    ['mid-stream', (_seen, response) => { response.writeHead(200, STREAM_HEAD); response.write(chatEvents(['a', 'b']).slice(0, 3).join('')) }, STREAMED, call => call.firstBytes],
    ['unstreamed', () => {}, CHAT(), () => until(() => upstream.open === 1)],
  ]
  for (const [name, script, body, reached] of phases) {
    for (let i = 0; i < 5; i++) {
      upstream.script = script
      const call = send(chat, body, bearer('k'))
      await reached(call)
      call.leave()
      await upstream.seen.at(-1)!.aborted
      await until(() => gateway.runtime.gauges.requests === 0 && upstream.open === 0)
      t.match(gateway.records.at(-1), { outcome: 'cancelled', status: name === 'mid-stream' ? 200 : 499 }, name)
    }
  }
  await new Promise(resolve => setImmediate(resolve))
  t.same(gateway.runtime.gauges, IDLE)
  upstream.script = goodChat()
  t.equal((await send(chat, CHAT(), bearer('k')).answer).status, 200)
})

t.test('20: whatever a backend does, the client is told and nothing is counted that cannot be', async t => {
  const { upstream, gateway, chat } = await underAttack(t, { retries: { max_attempts: 1 }, timeouts: { idle: '500ms', first_token: '500ms', connect: '400ms' } })
  const [, first = '', second = ''] = chatEvents(['Hello', 'w\u00f6rld'])
  const start = (more: string | Buffer, then?: 'end' | 'cut'): Script => (_seen, response) => {
    response.writeHead(200, STREAM_HEAD)
    response.write(first)
    response.write(more, () => { if (then === 'end') response.end(); else if (then === 'cut') setTimeout(() => response.destroy(), 20) })
  }
  const umlaut = Buffer.from(second)
  const mid: [string, Script][] = [
    ['a reset after the first event', start('', 'cut')],
    ['a reset in an event', start(second.slice(0, 30), 'cut')],
    ['a reset in a character', start(umlaut.subarray(0, umlaut.indexOf(0xc3) + 1), 'cut')],
    ['silence', start(second)],
    ['an end without [DONE]', start(second, 'end')],
    ['an error event', start(event({ error: { message: 'boom', code: 500 } }), 'end')],
    ['an event without an end', (_seen, response) => { response.writeHead(200, STREAM_HEAD); response.write(`${first}data: `); for (let i = 0; i < 64; i++) response.write('x'.repeat(65_536)); response.end() }],
  ]
  for (const [name, script] of mid) {
    upstream.script = script
    const { status, text } = await send(chat, STREAMED).answer
    t.equal(status, 200, name)
    t.match(text, /data: \{"error":\{[^]*\n\n$/, `${name}: an error event ends it`)
    t.notMatch(text, /\[DONE\]/, name)
    t.match(gateway.records.at(-1), { outcome: 'failed', status: 200 }, name)
  }
  const absurd: Record<string, unknown>[] = [
    { prompt_tokens: -5, completion_tokens: -1 }, { prompt_tokens: 1e300, completion_tokens: 1e300 }, { prompt_tokens: 'x', completion_tokens: null }, { prompt_tokens: 1.5, completion_tokens: {} }, { prompt_tokens: 7, completion_tokens: 2 },
  ]
  for (const usage of absurd) {
    upstream.script = (_seen, response) => {
      response.writeHead(200, STREAM_HEAD)
      response.end([...chatEvents(['a', 'b']).slice(0, -1), event({ choices: [], usage }), event({ choices: [], usage }), event('[DONE]')].join('').replaceAll('\n', '\r\n'))
    }
    const { text } = await send(chat, CHAT({ stream: true, stream_options: { include_usage: true } })).answer
    t.match(text, /\[DONE\]\r\n\r\n$/, JSON.stringify(usage))
    const { timeline: { promptTokens = 0, outputTokens = 0 } } = gateway.records.at(-1)!
    t.ok(promptTokens >= 0 && Number.isSafeInteger(promptTokens), `prompt tokens ${promptTokens}`)
    t.ok(outputTokens >= 0 && Number.isSafeInteger(outputTokens), `output tokens ${outputTokens}`)
  }
  t.match(gateway.records.at(-1)?.timeline, { promptTokens: 7, outputTokens: 2 }, 'usage said twice counts once')
  t.same(gateway.runtime.gauges, IDLE)
})

t.test('21: 100,000 names that nobody configured make no series', async t => {
  const config = configFrom({ pools: { main: { backends: [{ url: 'http://127.0.0.1:1', models: ['m'] }] } }, classes: { chat: { ttft: '1s' } }, auth: { keys: [{ name: 'team', key: 'k' }] }, log: { requests: false } })
  const telemetry = createTelemetry({ config, version: '0', now: () => 0, wallNow: () => 0, logStream: { write: () => {} } })
  t.teardown(() => telemetry.close())
  const hostile = (i: number): RequestRecord => {
    const name = `${['__proto__', 'constructor', '"}\n', '\u2028', 'a'.repeat(300)][i % 5]}${i}`
    return {
      wallTimeMs: 0, route: 'default', class: 'chat', tenant: name, model: name, path: `/${name}`, targets: { ttftMs: i, tpotMs: i / 7 }, outcome: 'met', status: 200, code: undefined, detail: undefined,
      timeline: {
        id: name, receivedAtMs: 0, classifiedAtMs: 0, queuedAtMs: 0, dispatchedAtMs: 1, connectedAtMs: 2, firstTokenAtMs: 3, lastTokenAtMs: 4, endedAtMs: 5, ending: 'completed', streamed: true,
        promptTokens: 1, cachedTokens: 0, outputTokens: 2, outputTokensEstimated: false, attempts: 1, pool: 'main', backend: 'b', maxLatenessMs: 0,
      },
      explanation: undefined, estimatedPromptTokens: 1, gatewayOverheadMs: 0.1, traceparent: undefined,
    }
  }
  const run = (from: number, to: number) => {
    for (let i = from; i < to; i++) {
      const record = hostile(i)
      telemetry.offered(record.route, record.class, record.model)
      telemetry.admission(record.class, 'dispatch', '')
      telemetry.intervals(record.class, record.timeline.pool!, 'b').record(1)
      telemetry.finished(record)
    }
  }
  const series = async () => (await telemetry.metricsText()).toString().split('\n').filter(line => line.startsWith('sluice_')).length
  run(0, 10)
  const before = await series()
  const heapBefore = heapMiB()
  run(10, 100_010)
  t.equal(await series(), before)
  const grownMiB = heapMiB() - heapBefore
  // The latest requests are kept, and no more.
  t.ok(grownMiB < 5, `${grownMiB.toFixed(1)} MiB`)
  t.notMatch((await telemetry.metricsText()).toString(), /__proto__|constructor/)
})

t.test('22: a storm of retries has a bound', async t => {
  const { upstream, gateway } = await underAttack(t, { auth: { keys: [{ name: 'k', key: 'k', requests_per_minute: 1 }] } })
  t.equal((await send(`${gateway.url}/v1/chat/completions`, CHAT(), bearer('k')).answer).status, 200)
  let tries = 0
  const client = (maxRetries: number) => new OpenAI({ baseURL: `${gateway.url}/v1`, apiKey: 'k', maxRetries, fetch: (...call) => { tries++; return fetch(...call) } })
  await Promise.all(Array.from({ length: 30 }, () => client(0).chat.completions.create({ model: 'm', messages: [] }).catch((error: unknown) => error)))
  t.equal(tries, 30)
  t.equal(upstream.seen.length, 1, 'what is shed costs the backends nothing')

  // Everything is shed, and SDKs retry as they do by default; the times that they are told are written down and cut short.
  const full = await underAttack(t, { classes: { default: { queue_limit: 0 } } }, () => {})
  const backends = [{ url: full.upstream.url, name: 'b1', models: ['m'], max_inflight: 1 }]
  const shed = await underAttack(t, { pools: { main: { backends } }, classes: { default: { queue_limit: 0 } } })
  const holder = send(shed.chat, CHAT())
  await until(() => full.upstream.open === 1)
  const told: number[] = []
  tries = 0
  const eager = () => new OpenAI({
    baseURL: `${shed.gateway.url}/v1`, apiKey: 'k', fetch: async (...call) => {
      tries++
      const { status, headers, body } = await fetch(...call)
      told.push(Number(headers.get('retry-after-ms')))
      const quick = new Headers(headers)
      quick.set('retry-after-ms', '1')
      return new Response(body, { status, headers: quick })
    },
  })
  await Promise.all(Array.from({ length: 30 }, () => eager().chat.completions.create({ model: 'm', messages: [] }).catch((error: unknown) => error)))
  t.ok(tries > 30 && tries <= 90, `${tries} tries of 30 calls: as often as the SDK itself allows`)
  t.equal(full.upstream.seen.length, 1, 'and none of them reached the backend')
  t.ok(new Set(told).size > 20, `they are told ${new Set(told).size} different times, so that they do not come back together`)
  t.ok(Math.max(...told) / Math.min(...told) > 1.2)
  holder.leave()

  const failing = await underAttack(t, { retries: { max_attempts: 3, budget_ratio: 0.1, min_per_second: 0 } }, (_seen, response) => { response.writeHead(500).end('{}') })
  const pools = { main: { backends: [1, 2, 3].map(n => ({ url: `${failing.upstream.url}/${n}`, name: `f${n}`, models: ['m'] })) } }
  const storm = await underAttack(t, { pools, retries: { max_attempts: 3, budget_ratio: 0.1, min_per_second: 0 } })
  for (let i = 0; i < 200; i++) await send(storm.chat, CHAT()).answer
  t.ok(failing.upstream.seen.length <= 200 * 1.1 + 10, `${failing.upstream.seen.length} attempts for 200 requests that all fail`)
})

t.test('23: clocks that jump and absurd targets', async t => {
  let offsetMs = 0
  const { gateway, chat } = await underAttack(t, { classes: { fast: { ttft: '1s', tpot: '100ms' } }, auth: { keys: [{ name: 'k', key: 'k', requests_per_minute: 1000 }] } }, goodChat(), { clock: { now: () => performance.now() + offsetMs } })
  for (const jumpMs of [0, -3_600_000, 86_400_000, -1e9, 1e12]) {
    offsetMs = jumpMs
    const { status, text } = await send(chat, STREAMED, { ...bearer('k'), 'x-slo-class': 'fast' }).answer
    t.equal(status, 200, String(jumpMs))
    t.match(text, /\[DONE\]/)
  }
  t.same(gateway.runtime.gauges, IDLE)
  for (const value of ['0', '-1', 'NaN', 'Infinity', '1e15', '0x10', '', ' ', '99999999999999999999', '1,5', '\u0663', '1;2', 'null', '86400001']) {
    for (const name of ['x-slo-ttft-ms', 'x-slo-tpot-ms', 'x-slo-deadline-ms', 'x-llm-d-slo-ttft-ms', 'x-sgl-ttft-slo-ms']) {
      if (/[^\x20-\x7e]/.test(value)) continue
      const { status, text } = await send(chat, STREAMED, { ...bearer('k'), [name]: value }).answer
      t.equal(status, 400, `${name}: ${value}`)
      t.match(text, /"code":"invalid_slo"/)
    }
    const ignored = await send(chat, STREAMED, { ...bearer('k'), 'x-stainless-timeout': value.replace(/[^\x20-\x7e]/g, 'x'), 'x-stainless-retry-count': value.replace(/[^\x20-\x7e]/g, 'x') }).answer
    t.equal(ignored.status, 200, `what SDKs send by themselves is never refused: ${value}`)
  }
})

t.test('25: a reload touches no running stream, and a removed backend finishes its own', async t => {
  let more!: () => void
  const { upstream, gateway, written, chat } = await underAttack(t, { auth: { keys: [{ name: 'k', key: 'old' }] } }, (_seen, response) => {
    const events = chatEvents(['a', 'b'])
    response.writeHead(200, STREAM_HEAD)
    response.write(events.slice(0, 2).join(''))
    more = () => { response.end(events.slice(2).join('')) }
  })
  const stream = send(chat, STREAMED, bearer('old'))
  await stream.firstBytes
  t.throws(() => configFrom({ ...written, auth: { keys: [{ name: 'k' }] } }))
  gateway.configure(configFrom({ ...written, auth: { keys: [{ name: 'k', key: 'new' }] } }))
  t.equal((await send(chat, CHAT(), bearer('old')).answer).status, 401)
  more()
  t.match((await stream.answer).text, /\[DONE\]/)
  upstream.script = goodChat()
  t.equal((await send(chat, CHAT(), bearer('new')).answer).status, 200)
})

t.test('26: sinks that do not take anything hold nothing up', async t => {
  const config = configFrom({ pools: { main: { backends: [{ url: 'http://127.0.0.1:1' }] } }, log: { request_file: '/dev/full', audit_file: '/nonexistent/folder/audit' }, telemetry: { otlp_endpoint: 'http://127.0.0.1:1' } })
  const telemetry = createTelemetry({ config, version: '0', now: () => 0, wallNow: () => 0, logStream: { write: () => {} } })
  const startedAt = performance.now()
  for (let i = 0; i < 2000; i++) telemetry.refused(`r${i}`, 'k', 'queue_full')
  t.ok(performance.now() - startedAt < 5000)
  await telemetry.close()
  t.pass('and the end is not held up either')
})

t.test('27: what is published is pinned, and runs nothing when it is installed', async t => {
  const read = (name: string) => JSON.parse(readFileSync(new URL(`../../${name}`, import.meta.url), 'utf8')) as Record<string, never>
  const { scripts, dependencies, files } = read('package.json') as unknown as { scripts: Record<string, string>, dependencies: Record<string, string>, files: string[] }
  for (const name of ['preinstall', 'install', 'postinstall']) t.notOk(name in scripts, name)
  for (const [name, version] of Object.entries(dependencies)) t.match(version, /^\d+\.\d+\.\d+$/, name)
  t.notOk(files.some(name => /test|src|\.env/.test(name)))
  t.ok(files.includes('npm-shrinkwrap.json'), 'who installs it gets the versions that were tested')
  const { packages } = read('npm-shrinkwrap.json') as unknown as { packages: Record<string, { dev?: boolean, optional?: boolean, hasInstallScript?: boolean, integrity?: string, link?: boolean }> }
  const shipped = Object.entries(packages).filter(([name, { dev }]) => name !== '' && dev !== true)
  t.same(shipped.filter(([, { hasInstallScript }]) => hasInstallScript === true).map(([name]) => name), [], 'nor does anything that it needs')
  t.same(shipped.filter(([, { integrity }]) => !integrity?.startsWith('sha512-')).map(([name]) => name), [], 'each with its hash')
  t.ok(shipped.length < 120, `${shipped.length} packages in all`)
})
