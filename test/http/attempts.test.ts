// What an attempt's end says of its backend, and where the next attempt may go: lines of docs/reliability.md over the wire.
import { connect, createServer, type AddressInfo } from 'node:net'
import { once } from 'node:events'
import t, { type Test } from 'tap'
import { startGateway as startWhole } from '../../src/cli/serve/gateway.js'
import { configFrom } from '../../src/config/index.js'
import type { Clock } from '../../src/core/index.js'
import type { Fleet } from '../../src/fleet/index.js'
import { CHAT, raw, send, STREAMED } from '../helpers/client.js'
import { IDLE, startGateway } from '../helpers/gateway.js'
import { liveIo } from '../helpers/io.js'
import { chatEvents, event, goodChat, scriptedUpstream, STREAM_HEAD, type Script } from '../helpers/upstream.js'

const EVENTS = chatEvents(['a', 'b', 'c'])

const setUp = async (t: Test, scripts: readonly Script[], more: Record<string, unknown> = {}, options: { clock?: Clock } = {}) => {
  const upstreams = await Promise.all(scripts.map(script => scriptedUpstream(script)))
  t.teardown(() => Promise.all(upstreams.map(upstream => upstream.close())))
  const gateway = await startGateway(t, { pools: { main: { backends: upstreams.map(({ url }, i) => ({ url, name: `b${i + 1}`, engine: 'vllm', models: ['m'] })) } }, ...more }, options)
  return { gateway, upstreams, chat: `${gateway.url}/v1/chat/completions` }
}

t.test('R17, R20: bad requests and full servers take no backend out, faults do, and few requests ask whether it is back', async t => {
  let answer: Script = goodChat()
  let asked = 0
  let most = 0
  let open = 0
  const upstream = await scriptedUpstream((seen, response) => {
    if (seen.method === 'GET') return void response.writeHead(200, { 'content-type': 'application/json' }).end('{"object":"list","data":[{"id":"m"}]}')
    asked++
    most = Math.max(most, ++open)
    response.once('close', () => { open-- })
    void answer(seen, response)
  })
  t.teardown(() => upstream.close())
  const gateway = await startWhole(configFrom({
    listen: { port: 0 }, admin: { port: 0 }, log: { level: 'silent' }, limits: { event_loop_lag: '0s' }, retries: { max_attempts: 1 },
    pools: { main: { backends: [{ url: upstream.url, name: 'b0', models: ['m'] }] } }, breaker: { faults: 5, open: '300ms', probes: 2 }, health: { interval: '10m' },
  }), liveIo(), '0', async () => {})
  t.teardown(() => gateway.stop())
  const chat = `${gateway.dataUrl}/v1/chat/completions`
  const state = async () => (JSON.parse((await send(`${gateway.adminUrl}/api/state`, undefined, {}, 'GET').answer).text) as { backends: { state: string, breaker: string }[] }).backends[0]!
  const status = (code: number, headers = {}): Script => (_seen, response) => { response.writeHead(code, { 'content-type': 'application/json', ...headers }).end('{"error":{"message":"no"}}') }
  const burst = async (script: Script, count = 20) => {
    answer = script
    for (let i = 0; i < count; i++) await send(chat, CHAT()).answer
  }
  for (const code of [400, 404, 422, 429, 503]) {
    await burst(status(code))
    t.match(await state(), { state: 'up', breaker: 'closed' }, `${code} twenty times`)
  }
  await new Promise(resolve => setTimeout(resolve, 100))
  for (const [name, script] of [['500', status(500)], ['a reset', (_seen, response) => { response.destroy() }]] as const satisfies readonly (readonly [string, Script])[]) {
    await burst(script, 5)
    t.match(await state(), { state: 'down', breaker: 'open' }, name)
    const before = asked
    t.match(await send(chat, CHAT()).answer, { status: 503, text: /no_healthy_backend/ })
    t.equal(asked, before, 'it is left alone')
    // Half open: many want to know, two may ask.
    while ((await state()).breaker === 'open') await new Promise(resolve => setTimeout(resolve, 20))
    let release!: () => void
    const held = new Promise<void>(resolve => { release = resolve })
    answer = (seen, response) => { void held.then(() => goodChat()(seen, response)) }
    most = 0
    const waiting = Array.from({ length: 20 }, () => send(chat, STREAMED).answer)
    while (asked < before + 2) await new Promise(resolve => setTimeout(resolve, 5))
    await new Promise(resolve => setTimeout(resolve, 100))
    t.equal(most, 2, 'as many probes as are configured')
    release()
    for (const { status } of await Promise.all(waiting)) t.equal(status, 200)
    t.match(await state(), { breaker: 'closed' })
  }
})

t.test('R16: a hung backend delays nobody else', async t => {
  const { gateway, upstreams, chat } = await setUp(t, [() => {}, goodChat(['a', 'b', 'c'])], { timeouts: { first_token: '60s' } })
  const calls = Array.from({ length: 20 }, () => send(chat, STREAMED))
  while (gateway.records.length < 10) await new Promise(resolve => setTimeout(resolve, 5))
  t.ok(gateway.records.every(({ status, timeline }) => status === 200 && timeline.backend === 'b2'))
  t.equal(upstreams[0]!.open, 10, 'those that hang still do')
  for (const { call } of calls) call.destroy()
  while (gateway.runtime.gauges.requests > 0) await new Promise(resolve => setTimeout(resolve, 5))
  t.same(gateway.runtime.gauges, IDLE)
})

t.test('a refusal that tokens come after is a refusal, and what was asked goes to another backend whole', async t => {
  const refusal = event({ error: { message: 'overloaded', code: 503 } }) + EVENTS.join('')
  const refuses: Script = (_seen, response) => { response.writeHead(200, STREAM_HEAD).end(refusal) }
  const { gateway, upstreams, chat } = await setUp(t, [refuses, goodChat(['b', 'c'])])
  while (upstreams[0]!.seen.length === 0) {
    const { status, text } = await send(chat, STREAMED).answer
    t.equal(status, 200)
    t.notMatch(text, /"a"|error/)
    t.match(text, /\[DONE\]/)
  }
  t.equal(String(upstreams[1]!.seen.at(-1)!.body), String(upstreams[0]!.seen[0]!.body))
  t.same(gateway.runtime.gauges, IDLE)
})

t.test('R15: half a chunk is half an answer', async t => {
  const piece = EVENTS[0]! + EVENTS[1]!
  const head = 'HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n'
  const cases: Record<string, string> = {
    'a chunk shorter than it says': `${head}${(piece.length + 500).toString(16)}\r\n${piece}`,
    'a size without its chunk': `${head}${piece.length.toString(16)}\r\n${piece}\r\n1f`,
    'no last chunk': `${head}${EVENTS.join('').length.toString(16)}\r\n${EVENTS.slice(0, 4).join('')}`,
  }
  for (const [name, bytes] of Object.entries(cases)) {
    const server = createServer(socket => {
      socket.on('error', () => {})
      socket.once('data', () => { socket.end(bytes) })
    }).listen(0, '127.0.0.1')
    await once(server, 'listening')
    t.teardown(() => server.close())
    const gateway = await startGateway(t, { pools: { main: { backends: [{ url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, name: 'b1' }] } } })
    const { status, text, cutOff } = await send(`${gateway.url}/v1/chat/completions`, STREAMED).answer
    t.match([status, cutOff], [200, false], name)
    t.match(text, /data: \{"error":\{[^\n]*"code":"backend_error"[^\n]*\n\n$/, name)
    t.notMatch(text, /\[DONE\]/, name)
    t.match(await gateway.nextRecord(), { outcome: 'failed', code: 'backend_error' }, name)
    t.same(gateway.fleet.verdicts, ['b1 fault'], name)
    t.same(gateway.runtime.gauges, IDLE)
  }
})

t.test('R19: attempts are bounded, each is elsewhere, none begins after the deadline, and one at most is completed', async t => {
  const broken: Script = (_seen, response) => { response.destroy() }
  const bounded = await setUp(t, [broken, broken, broken, broken], { retries: { max_attempts: 3 } })
  for (let i = 0; i < 5; i++) {
    const before = bounded.upstreams.map(({ seen }) => seen.length)
    t.equal((await send(bounded.chat, STREAMED).answer).status, 502)
    const tries = bounded.upstreams.map(({ seen }, at) => seen.length - before[at]!)
    t.same([...tries].sort(), [0, 1, 1, 1], 'three, each on another backend')
  }

  let afterMs = 300
  const late: Script = (_seen, response) => { setTimeout(() => { response.destroy() }, afterMs) }
  const hurried = await setUp(t, [late, late], { classes: { default: { deadline: '200ms' } } })
  t.equal((await send(hurried.chat, CHAT()).answer).status, 502)
  t.match(await hurried.gateway.nextRecord(), { timeline: { attempts: 1 } }, 'the deadline was over')
  const patient = await setUp(t, [late, late], { log: { request_file: '/dev/null' } })
  afterMs = 1200
  await send(patient.chat, CHAT(), { 'x-stainless-timeout': '1' }).answer
  t.match(await patient.gateway.nextRecord(), { timeline: { attempts: 1 } }, 'the client had given up')
  await send(patient.chat, CHAT()).answer
  const { attempts = [] } = await patient.gateway.nextRecord()
  t.equal(attempts.length, 3, 'without either there are as many as there may be')
  t.equal(attempts[0]!.backend, attempts[2]!.backend, 'where all have failed it, not on the one that did last')
  t.not(attempts[0]!.backend, attempts[1]!.backend)
  const alone = await setUp(t, [broken])
  await send(alone.chat, CHAT()).answer
  const unread = await alone.gateway.nextRecord()
  t.match(unread, { timeline: { attempts: 1 } }, 'nowhere else, no other attempt')
  t.same(unread.attempts, [], 'kept for nobody')

  let turn = 0
  const completed = new Map<string, number>()
  const fickle: Script = (seen, response) => {
    const id = String(seen.headers['x-request-id'])
    response.once('close', () => { if (response.writableFinished) completed.set(id, (completed.get(id) ?? 0) + 1) })
    const dice = ++turn % 3
    if (dice === 0) response.destroy()
    else if (dice === 1) void goodChat()(seen, response)
    // It answers in full, but only when another one has been asked.
    else setTimeout(() => { void goodChat()(seen, response) }, 1000)
  }
  const many = await setUp(t, [fickle, fickle, fickle], { timeouts: { connect: '150ms', first_token: '200ms' }, retries: { min_per_second: 100 } })
  const answers = await Promise.all(Array.from({ length: 60 }, () => send(many.chat, STREAMED).answer))
  await new Promise(resolve => setTimeout(resolve, 1100))
  t.ok(answers.filter(({ status }) => status === 200).length > 30)
  t.equal(completed.size, answers.filter(({ status }) => status === 200).length)
  t.ok([...completed.values()].every(count => count === 1), 'nobody computed an answer to its end for nothing')
})

t.test('R22: a slow client is not taken for a slow engine', async t => {
  const big = event({ choices: [{ index: 0, delta: { content: 'x'.repeat(65_536) } }] })
  const { gateway, upstreams } = await setUp(t, [(_seen, response) => {
    response.writeHead(200, STREAM_HEAD)
    // A few for the first client, so that none who is merely short of a processor counts as slow; for the second more than any buffer holds.
    let left = upstreams[0]!.seen.length === 1 ? 8 : 400
    const more = (): void => {
      while (left-- > 0) if (!response.write(big)) return void response.once('drain', more)
      response.end(EVENTS.slice(-2).join(''))
    }
    more()
  }])
  const paces: unknown[] = []
  gateway.fleet.attemptEnded = (...told: Parameters<Fleet['attemptEnded']>) => { paces.push(told[3]) }
  const chat = `${gateway.url}/v1/chat/completions`
  t.equal((await send(chat, STREAMED).answer).status, 200)
  const slow = send(chat, STREAMED)
  slow.call.on('response', response => {
    response.pause()
    setTimeout(() => { response.resume() }, 1000)
  })
  t.equal((await slow.answer).status, 200)
  t.type((paces[0] as { tookMs?: number } | undefined)?.tookMs, 'number')
  t.equal(paces[1], undefined, 'what the second stream took says nothing of the backend')
  t.equal(upstreams[0]!.seen.length, 2)
})

t.test('each token is judged by its own due time, however many were in time before', async t => {
  let nowMs = 0
  // When its events are seen; due are they at 100, 120, 140, 160, 180.
  const seenAtMs = [50, 115, 150, 155, 187]
  const { gateway, chat } = await setUp(t, [async (_seen, response) => {
    response.writeHead(200, STREAM_HEAD)
    for (const [i, atMs] of seenAtMs.entries()) {
      nowMs = atMs
      response.write(event({ choices: [{ index: 0, delta: { content: 'x' } }] }))
      await client.firstBytes
      while (gateway.gaps.length < i) await new Promise(setImmediate)
    }
    response.end(EVENTS.slice(-2).join(''))
  }], { classes: { default: { ttft: '100ms', tpot: '20ms' } } }, { clock: { now: () => nowMs } })
  const client = send(chat, STREAMED)
  t.equal((await client.answer).status, 200)
  t.equal((await gateway.nextRecord()).timeline.maxLatenessMs, 10)
  t.strictSame(gateway.gaps, [65, 35, 5, 32])
})

t.test('bytes that are no request cut off the answer that they come into, and are answered where there is none', async t => {
  const { gateway } = await setUp(t, [(seen, response) => {
    if (seen.body.includes('"stream"')) response.writeHead(200, STREAM_HEAD).write(EVENTS[0]!)
    else void goodChat()(seen, response)
  }])
  const request = (body: string): string => `POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: ${body.length}\r\n\r\n${body}`
  for (const [body, answered] of [[STREAMED, false], [CHAT(), true]] as const) {
    const socket = connect(gateway.port, '127.0.0.1', () => { socket.write(request(body)) }).setEncoding('latin1')
    let text = ''
    socket.on('data', (piece: string) => {
      text += piece
      if (text.includes('"finish_reason"') && !socket.writableEnded) socket.end('no request\r\n\r\n')
    })
    await once(socket, 'close')
    t.match(text, /^HTTP\/1\.1 200 /)
    t.equal(text.includes('HTTP/1.1 400 Bad Request'), answered, body)
  }
  await gateway.nextRecord()
  await gateway.nextRecord()
  t.same(gateway.runtime.gauges, IDLE)
})

t.test('a client that speaks HTTP/1.0 gets a stream without chunks, to the end of the connection', async t => {
  const { gateway } = await setUp(t, [goodChat()])
  const text = await raw(gateway.port, `POST /v1/chat/completions HTTP/1.0\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: ${STREAMED.length}\r\n\r\n${STREAMED}`)
  const [head = '', body = ''] = text.split(/\r\n\r\n([^]*)/)
  t.notMatch(head, /transfer-encoding/i)
  t.match(body, /^data: \{[^]*\n\ndata: \[DONE\]\n\n$/)
  t.ok(body.split('\n\n').slice(0, -1).every(piece => piece.startsWith('data: ')), 'events and nothing else')
})
