// What a request holds, and how long: bodies, sockets, places, patience. Each of these once outlived what it was for.
import { once } from 'node:events'
import { Agent, createServer, request as httpRequest } from 'node:http'
import { connect, type AddressInfo } from 'node:net'
import t, { type Test } from 'tap'
import { configFrom } from '../../src/config/index.js'
import { createScheduler } from '../../src/core/index.js'
import { CHAT, send, STREAMED } from '../helpers/client.js'
import { IDLE, startGateway } from '../helpers/gateway.js'
import { collect } from '../helpers/heap.js'
import { chatEvents, goodChat, scriptedUpstream, STREAM_HEAD, type Script } from '../helpers/upstream.js'

const EVENTS = chatEvents(['a', 'b', 'c'])
const MIB = 2 ** 20

const setUp = async (t: Test, scripts: readonly Script[], more: Record<string, unknown> = {}) => {
  const upstreams = await Promise.all(scripts.map(script => scriptedUpstream(script)))
  t.teardown(() => Promise.all(upstreams.map(upstream => upstream.close())))
  const written = { pools: { main: { backends: upstreams.map(({ url }, i) => ({ url, name: `b${i + 1}`, models: ['m'] })) } }, ...more }
  const gateway = await startGateway(t, written)
  return { upstreams, gateway, written, chat: `${gateway.url}/v1/chat/completions` }
}

// A busy machine takes minutes for what a quiet one does in seconds.
t.setTimeout(170_000)

t.test('a body is let go of when its answer begins, not when it ends', async t => {
  const held: (() => void)[] = []
  // Not the scripted one, which keeps what it was sent.
  const upstream = createServer((request, response) => {
    request.resume().once('end', () => {
      response.writeHead(200, STREAM_HEAD).write(EVENTS.slice(0, 2).join(''))
      held.push(() => { response.end(EVENTS.slice(2).join('')) })
    })
  }).listen(0, '127.0.0.1')
  await once(upstream, 'listening')
  t.teardown(() => { upstream.close() })
  const gateway = await startGateway(t, { pools: { main: { backends: [{ url: `http://127.0.0.1:${(upstream.address() as AddressInfo).port}`, name: 'b1' }] } } })
  const chat = `${gateway.url}/v1/chat/completions`
  const body = CHAT({ stream: true, user: 'u'.repeat(2 * MIB) })
  // Twice on the same connections: a request on a fresh one and on a used one are held by different hands.
  const agent = new Agent({ keepAlive: true })
  t.teardown(() => { agent.destroy() })
  for (const round of ['fresh connections', 'used connections']) {
    const answers = Array.from({ length: 20 }, () => new Promise<void>(resolve => {
      const call = httpRequest(chat, { method: 'POST', agent, headers: { 'content-type': 'application/json' } }, response => {
        response.resume()
        response.once('end', resolve)
      })
      call.end(body)
    }))
    while (held.length < 20 || gateway.runtime.gauges.leases < 20) await new Promise(resolve => setTimeout(resolve, 5))
    let bytes = Infinity
    for (let i = 0; i < 50 && bytes > 10 * MIB; i++) {
      await new Promise(resolve => setTimeout(resolve, 20))
      collect()
      bytes = process.memoryUsage().arrayBuffers
    }
    t.ok(bytes < 10 * MIB, `${round}: ${Math.round(bytes / MIB)} MiB while 20 answers to 2 MiB each run`)
    for (const end of held.splice(0)) end()
    await Promise.all(answers)
    for (let i = 0; i < 20; i++) t.equal((await gateway.nextRecord()).outcome, 'untargeted')
  }
})

t.test('R1: a client that leaves while the connection is being opened closes that as well', async t => {
  const { gateway, chat } = await setUp(t, [goodChat()], { timeouts: { connect: '60s' } })
  let looked!: () => void
  const looking = new Promise<void>(resolve => { looked = resolve })
  const backend = gateway.fleet.get('b1')!
  backend.origin = backend.origin.replace('127.0.0.1', 'gpu.test')
  backend.names = { lookup: () => { looked() }, holds: () => true }
  const client = send(chat, STREAMED)
  await looking
  t.equal(gateway.runtime.upstreamOf(backend).connections, 1)
  client.leave()
  t.match(await gateway.nextRecord(), { outcome: 'cancelled', status: 499 })
  t.same(gateway.runtime.gauges, IDLE)
  for (let i = 0; i < 100 && gateway.runtime.upstreamOf(backend).connections > 0; i++) await new Promise(resolve => setTimeout(resolve, 5))
  t.equal(gateway.runtime.upstreamOf(backend).connections, 0, 'long before its limit of a minute')
})

t.test('R16: a resolver that hangs costs its own backend the connect timeout, and others nothing', async t => {
  const { gateway, upstreams, chat } = await setUp(t, [goodChat(), goodChat()], { timeouts: { connect: '1s' } })
  const backend = gateway.fleet.get('b1')!
  backend.origin = backend.origin.replace('127.0.0.1', 'gpu.test')
  backend.names = { lookup: () => {}, holds: () => true }
  const answers = await Promise.all(Array.from({ length: 6 }, () => send(chat, STREAMED).answer))
  for (const { status, headers } of answers) t.match([status, headers['x-sluice-backend']], [200, 'b2'])
  t.equal(upstreams[0]!.seen.length, 0)
  t.same(gateway.fleet.verdicts.filter(verdict => verdict === 'b1 fault').length, 3, 'each failed attempt is a fault of that backend')
  for (const { timeline } of gateway.records) t.ok(timeline.attempts === 2 || timeline.connectedAtMs! - timeline.dispatchedAtMs! < 900, 'who was given the other one did not wait')
})

t.test('a backend that moves is followed while requests run', async t => {
  const { gateway, upstreams, chat } = await setUp(t, [goodChat(['old'])])
  const backend = gateway.fleet.get('b1')!
  const { port } = new URL(backend.origin)
  const moved = await scriptedUpstream(goodChat(['new']), { host: '127.0.0.2', port: Number(port) })
  t.teardown(() => moved.close())
  let address = '127.0.0.1'
  backend.origin = `http://gpu.test:${port}`
  backend.names = { lookup: (_host, options, done) => { if (options.all === true) done(null, [{ address, family: 4 }]); else done(null, address, 4) }, holds: (_host, known) => known === address }
  for (let i = 0; i < 3; i++) t.match((await send(chat, STREAMED).answer).text, /"old"/)
  let finish!: () => void
  upstreams[0]!.script = (_seen, response) => {
    response.writeHead(200, STREAM_HEAD).write(EVENTS.slice(0, 2).join(''))
    finish = () => { response.end(EVENTS.slice(2).join('')) }
  }
  const running = send(chat, STREAMED)
  await running.firstBytes
  upstreams[0]!.script = goodChat(['old'])
  t.match((await send(chat, STREAMED).answer).text, /"old"/, 'on a second connection, which is idle then')
  address = '127.0.0.2'
  for (let i = 0; i < 3; i++) t.match((await send(chat, STREAMED).answer).text, /"new"/)
  finish()
  t.equal((await running.answer).text, EVENTS.join(''), 'what ran at the old address has ended there')
  t.equal(upstreams[0]!.seen.length, 5)
})

t.test('R15: a refusal without an end is judged by its status', async t => {
  const endless: Script = (seen, response) => {
    response.writeHead(500, { 'content-type': 'application/json' })
    const more = () => { while (!response.destroyed) if (!response.write(Buffer.alloc(16_384, 0x20))) return void response.once('drain', more) }
    more()
    void seen.aborted.then(() => { ended++ })
  }
  let ended = 0
  const { gateway, upstreams, chat } = await setUp(t, [endless, goodChat(['a', 'b', 'c'])])
  t.equal((await send(chat, STREAMED).answer).text, EVENTS.join(''))
  while (ended === 0) await new Promise(resolve => setTimeout(resolve, 5))
  t.same(gateway.fleet.verdicts, ['b1 fault', 'b2 success'])
  const slow: Script = (_seen, response) => {
    response.writeHead(503, { 'content-type': 'application/json', 'retry-after': '99999' })
    const drip = setInterval(() => { response.write(' ') }, 20)
    response.on('close', () => { clearInterval(drip) })
  }
  const dripping = await setUp(t, [slow], { timeouts: { idle: '300ms' }, retries: { max_attempts: 1 } })
  const { status, headers } = await send(dripping.chat, STREAMED).answer
  t.equal(status, 503)
  t.equal(headers['retry-after'], '60', 'and no server takes itself out for a day')
  t.equal(upstreams[0]!.open, 0)
  t.same(dripping.gateway.runtime.gauges, IDLE)
})

t.test('R16: comments in the place of tokens are silence', async t => {
  const { upstreams, chat } = await setUp(t, [(_seen, response) => {
    response.writeHead(200, STREAM_HEAD).write(EVENTS[0]! + EVENTS[1]!)
    const ping = setInterval(() => { response.write(': ping\n\n') }, 30)
    response.on('close', () => { clearInterval(ping) })
  }], { timeouts: { idle: '400ms' } })
  t.match((await send(chat, STREAMED).answer).text, /"code":"stream_stalled"/)
  await upstreams[0]!.seen[0]!.aborted
})

t.test('R16: a call that is passed through has limits too', async t => {
  let flow = false
  const { gateway, upstreams } = await setUp(t, [(_seen, response) => { if (flow) response.writeHead(200, { 'content-type': 'application/json' }).write('{') }], { timeouts: { connect: '200ms', first_token: '300ms', idle: '300ms' } })
  const hung = await send(`${gateway.url}/tokenize`, '{}').answer
  t.equal(hung.status, 504)
  await upstreams[0]!.seen[0]!.aborted
  flow = true
  const broken = await send(`${gateway.url}/tokenize`, '{}').answer
  t.ok(broken.cutOff || broken.status === 504, 'an answer that stands still is cut')
  await upstreams[0]!.seen[1]!.aborted
})

t.test('many requests of one id are told apart at once', async t => {
  const open: (() => void)[] = []
  const { gateway, upstreams, chat } = await setUp(t, [(seen, response) => { open.push(() => { void goodChat()(seen, response) }) }])
  const calls = Array.from({ length: 100 }, () => send(chat, CHAT(), { 'x-request-id': 'mine' }))
  while (upstreams[0]!.seen.length < 100) await new Promise(resolve => setTimeout(resolve, 5))
  for (const end of open) end()
  for (const { answer } of calls) t.match(await answer, { status: 200, headers: { 'x-request-id': 'mine' } })
  t.equal(new Set(gateway.records.map(({ timeline }) => timeline.id)).size, 100)
  t.same(gateway.runtime.gauges, IDLE)
})

t.test('R11: a cap that a reload changes holds at once, in both directions', async t => {
  const open: (() => void)[] = []
  const { gateway, written, upstreams, chat } = await setUp(t, [(seen, response) => { open.push(() => { void goodChat()(seen, response) }) }], {})
  const capped = (max_inflight: number) => configFrom({ ...written, listen: { port: 0 }, admission: { mode: 'off' }, scheduling: { policy: 'round-robin' }, limits: { event_loop_lag: '0s' }, pools: { main: { backends: [{ url: upstreams[0]!.url, name: 'b1', models: ['m'], max_inflight }] } } })
  const soon = async (count: number) => { while (upstreams[0]!.seen.length < count) await new Promise(resolve => setTimeout(resolve, 5)) }
  const still = async () => { for (let i = 0; i < 10; i++) await new Promise(resolve => setTimeout(resolve, 5)) }
  gateway.configure(capped(1))
  const calls = Array.from({ length: 6 }, () => send(chat, CHAT()))
  await soon(1)
  await still()
  t.equal(upstreams[0]!.seen.length, 1)
  gateway.configure(capped(4))
  await soon(4)
  await still()
  t.equal(upstreams[0]!.seen.length, 4)
  t.match(gateway.runtime.gauges, { leases: 4, running: 4, waiting: 2 }, 'none waits in a second queue')
  gateway.configure(capped(2))
  open.shift()!()
  open.shift()!()
  await still()
  t.equal(upstreams[0]!.seen.length, 4, 'two run, no third begins')
  open.shift()!()
  await soon(5)
  for (const end of open.splice(0)) end()
  await soon(6)
  open.shift()!()
  for (const { answer } of calls) t.equal((await answer).status, 200)
  t.same(gateway.runtime.gauges, IDLE)
})

t.test('R20: a reload leaves a backend that is being probed its few requests', async t => {
  const open: (() => void)[] = []
  const { gateway, written, upstreams, chat } = await setUp(t, [(seen, response) => { open.push(() => { void goodChat()(seen, response) }) }], {})
  gateway.fleet.setState('b1', 'degraded', 1)
  const calls = Array.from({ length: 4 }, () => send(chat, CHAT()))
  while (upstreams[0]!.seen.length < 1) await new Promise(resolve => setTimeout(resolve, 5))
  gateway.configure(configFrom({ ...written, listen: { port: 0 }, admission: { mode: 'off' }, scheduling: { policy: 'round-robin' }, limits: { event_loop_lag: '0s' } }))
  for (let i = 0; i < 10; i++) await new Promise(resolve => setTimeout(resolve, 5))
  t.equal(upstreams[0]!.seen.length, 1, 'the reload has let no more through')
  gateway.fleet.setState('b1', 'up')
  while (upstreams[0]!.seen.length < 4) await new Promise(resolve => setTimeout(resolve, 5))
  for (const end of open) end()
  for (const { answer } of calls) t.equal((await answer).status, 200)
  t.same(gateway.runtime.gauges, IDLE)
})

t.test('R32: who is refused because the gateway leaves is sent to look for another one', async t => {
  const { gateway } = await setUp(t, [() => {}])
  void gateway.runtime.drain(60_000)
  for (const path of ['/v1/chat/completions', '/tokenize']) {
    const socket = connect(gateway.port, '127.0.0.1')
    await once(socket, 'connect')
    const body = CHAT()
    socket.write(`POST ${path} HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: ${body.length}\r\n\r\n${body}`)
    let text = ''
    socket.on('data', bytes => { text += String(bytes) })
    await once(socket, 'close')
    t.match(text, /^HTTP\/1\.1 503 [^]*\r\nconnection: close\r\n/i, path)
  }
})

t.test('R3: a place is held until the last byte', async t => {
  let finish!: () => void
  const upstream = await scriptedUpstream((_seen, response) => {
    response.writeHead(200, STREAM_HEAD).write(EVENTS.slice(0, -1).join(''))
    finish = () => { response.end(EVENTS.at(-1)) }
  })
  t.teardown(() => upstream.close())
  const one = await startGateway(t, { pools: { main: { backends: [{ url: upstream.url, name: 'b1', max_inflight: 1 }] } } })
  const first = send(`${one.url}/v1/chat/completions`, STREAMED)
  await first.firstBytes
  const second = send(`${one.url}/v1/chat/completions`, STREAMED)
  while (one.runtime.gauges.waiting === 0) await new Promise(resolve => setTimeout(resolve, 5))
  for (let i = 0; i < 20; i++) await new Promise(resolve => setTimeout(resolve, 5))
  t.match(one.runtime.gauges, { leases: 1, waiting: 1 }, 'head, tokens and finish reason have come, the end has not')
  t.equal(upstream.seen.length, 1)
  finish()
  t.match((await first.answer).text, /\[DONE\]/)
  await second.firstBytes
  finish()
  t.match((await second.answer).text, /\[DONE\]/)
  t.same(one.runtime.gauges, IDLE)
})

t.test('R5: whatever path is asked for, each request is one record', async t => {
  const { gateway } = await setUp(t, [goodChat()])
  const asked: [string, string, string][] = [
    ['POST', '/v1/chat/completions', CHAT()], ['POST', '/v1/chat/completions', STREAMED], ['POST', '/v1/chat/completions', '{"model"'], ['POST', '/v1/chat/completions', CHAT({ n: 1e9 })],
    ['POST', '/tokenize', '{}'], ['POST', '/no/such/path', '{}'], ['GET', '/v1/chat/completions', ''], ['POST', '/v1/models', '{}'],
  ]
  for (const [i, [method, path, body]] of asked.entries()) {
    const { status } = await send(gateway.url + path, body === '' ? undefined : body, { 'x-request-id': `ask-${i}` }, method).answer
    const record = await gateway.nextRecord()
    t.match(record, { status, timeline: { id: `ask-${i}` } }, `${method} ${path}`)
    t.type(record.outcome, 'string')
    t.equal(gateway.records.length, i + 1)
  }
  t.same(gateway.runtime.gauges, IDLE)
})

t.test('R18: a server that is full, and the only one, is asked again when it said, and not before', async t => {
  let busy = true
  const { gateway, upstreams, chat } = await setUp(t, [(seen, response) => {
    if (busy) response.writeHead(503, { 'content-type': 'application/json', 'retry-after': '1' }).end('{}')
    else void goodChat()(seen, response)
  }], { retries: { max_attempts: 1 } })
  const startedAtMs = performance.now()
  t.equal((await send(chat, CHAT()).answer).status, 503)
  busy = false
  const waiting = Array.from({ length: 5 }, () => send(chat, CHAT()))
  while (gateway.runtime.gauges.waiting < 5) await new Promise(resolve => setTimeout(resolve, 5))
  t.equal(upstreams[0]!.seen.length, 1, 'it is left in peace')
  t.match(gateway.runtime.gauges, { waiting: 5, leases: 0 })
  for (const { answer } of waiting) t.equal((await answer).status, 200)
  t.ok(performance.now() - startedAtMs >= 990)
  t.same(gateway.fleet.verdicts, ['b1 backpressure', ...new Array<string>(5).fill('b1 success')], 'and nothing of it is a fault')
})

t.test('R35: 1,100 streams at once, and no cap that nobody configured', async t => {
  const ends: (() => void)[] = []
  const { gateway, upstreams, chat } = await setUp(t, [(_seen, response) => {
    response.writeHead(200, STREAM_HEAD).write(EVENTS.slice(0, 2).join(''))
    ends.push(() => { response.end(EVENTS.slice(2).join('')) })
  }])
  const streams = []
  while (streams.length < 1100) {
    const batch = Array.from({ length: 100 }, () => send(chat, STREAMED))
    await Promise.all(batch.map(({ firstBytes }) => firstBytes))
    streams.push(...batch)
  }
  t.equal(upstreams[0]!.open, 1100)
  t.match(gateway.runtime.gauges, { requests: 1100, leases: 1100, running: 1100, waiting: 0 })
  for (const end of ends) end()
  const answers = await Promise.all(streams.map(({ answer }) => answer))
  t.ok(answers.every(({ status, text }) => status === 200 && text === EVENTS.join('')))
  t.same(gateway.runtime.gauges, IDLE)
})

t.test('R6: that a server process was replaced is told to the scheduler', async t => {
  const upstream = await scriptedUpstream(goodChat())
  t.teardown(() => upstream.close())
  const events: string[] = []
  const gateway = await startGateway(t, { pools: { main: { backends: [{ url: upstream.url, name: 'b1', models: ['m'] }] } }, scheduling: { policy: 'slo' } }, {
    createScheduler: (...args) => {
      const scheduler = createScheduler(...args)
      return { state: nowMs => scheduler.state(nowMs), handle: (event, nowMs) => { events.push(event.type === 'backend_restarted' ? `${event.type} ${event.backend}` : event.type); return scheduler.handle(event, nowMs) } }
    },
  })
  gateway.fleet.tell({ type: 'restarted', backend: 'b1' })
  t.same(events.filter(type => type.startsWith('backend_restarted')), ['backend_restarted b1'])
  t.equal((await send(`${gateway.url}/v1/chat/completions`, CHAT()).answer).status, 200)
})
