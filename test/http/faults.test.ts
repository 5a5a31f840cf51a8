// What backends and clients do wrong, and what the gateway makes of it.
import { createServer } from 'node:net'
import type { AddressInfo } from 'node:net'
import t, { type Test } from 'tap'
import { CHAT, send, STREAMED } from '../helpers/client.js'
import { isSoon } from '../helpers/soon.js'
import { IDLE, startGateway } from '../helpers/gateway.js'
import { chatEvents, event, goodChat, scriptedUpstream, STREAM_HEAD, type Script, type ScriptedUpstream } from '../helpers/upstream.js'

const setUp = async (t: Test, scripts: readonly Script[], more: Record<string, unknown> = {}) => {
  const upstreams: ScriptedUpstream[] = []
  for (const script of scripts) upstreams.push(await scriptedUpstream(script))
  t.teardown(() => Promise.all(upstreams.map(upstream => upstream.close())))
  const backends = upstreams.map(({ url }, index) => ({ url, name: `b${index + 1}`, engine: 'vllm', models: ['m'] }))
  const gateway = await startGateway(t, { pools: { main: { backends } }, ...more })
  return { upstreams, gateway, chat: `${gateway.url}/v1/chat/completions` }
}

const EVENTS = chatEvents(['a', 'b', 'c'])

t.test('R1: a client that leaves frees everything, in every phase', async t => {
  const phases: Record<string, Script> = {
    'before the head': () => {},
    'after the head, before the first event': (_seen, response) => { response.writeHead(200, STREAM_HEAD).flushHeaders() },
    'in the stream': (_seen, response) => {
      response.writeHead(200, STREAM_HEAD)
      response.write(EVENTS[0]! + EVENTS[1]!)
    },
    'in a whole answer': (_seen, response) => {
      response.writeHead(200, { 'content-type': 'application/json', 'content-length': 100_000 })
      response.write('{')
    },
  }
  for (const [phase, script] of Object.entries(phases)) {
    await t.test(phase, async t => {
      let reached!: () => void
      const { gateway, upstreams, chat } = await setUp(t, [(seen, response) => {
        void script(seen, response)
        setTimeout(reached, 20)
      }])
      let tries = 0
      await isSoon(t, 'the backend saw it', async () => {
        const atBackend = new Promise<void>(resolve => { reached = resolve })
        const client = send(chat, phase === 'in a whole answer' ? CHAT() : STREAMED)
        await atBackend
        const leftMs = client.leave()
        const record = await gateway.nextRecord()
        const seenMs = await upstreams[0]!.seen[tries++]!.aborted
        t.match(record, { outcome: 'cancelled' })
        t.same(gateway.runtime.gauges, IDLE)
        return seenMs - leftMs
      })
      t.same(gateway.fleet.verdicts, new Array(tries).fill('b1 cancelled'))
    })
  }

  await t.test('queued', async t => {
    const { gateway, chat } = await setUp(t, [], { pools: {} })
    t.equal((await send(chat, STREAMED).answer).status, 503, 'without backends there is nothing to wait for')
    const upstream = await scriptedUpstream(() => {})
    t.teardown(() => upstream.close())
    const full = await startGateway(t, { pools: { main: { backends: [{ url: upstream.url, name: 'b1', max_inflight: 1 }] } } })
    const holder = send(`${full.url}/v1/chat/completions`, STREAMED)
    while (upstream.seen.length === 0) await new Promise(resolve => setTimeout(resolve, 5))
    const queued = send(`${full.url}/v1/chat/completions`, STREAMED)
    while (full.runtime.gauges.waiting === 0) await new Promise(resolve => setTimeout(resolve, 5))
    queued.leave()
    t.match(await full.nextRecord(), { outcome: 'cancelled', status: 499 })
    t.match(full.runtime.gauges, { requests: 1, waiting: 0, leases: 1 })
    t.equal(upstream.seen.length, 1, 'the backend never heard of it')
    holder.leave()
    await full.nextRecord()
    t.same(full.runtime.gauges, IDLE)
    t.same(gateway.runtime.gauges, IDLE)
  })

  await t.test('connecting', async t => {
    // Nobody accepts there: the address is of a network for documentation.
    const gateway = await startGateway(t, { pools: { main: { backends: [{ url: 'http://192.0.2.1:9', name: 'b1' }] } }, timeouts: { connect: '30s' } })
    const client = send(`${gateway.url}/v1/chat/completions`, STREAMED)
    while (gateway.runtime.gauges.leases === 0 && gateway.records.length === 0) await new Promise(resolve => setTimeout(resolve, 5))
    client.leave()
    await gateway.nextRecord()
    t.same(gateway.runtime.gauges, IDLE)
  })
})

t.test('before the first event, another backend answers', async t => {
  const failures: Record<string, Script> = {
    '500': (_seen, response) => { response.writeHead(500).end('boom') },
    '503': (_seen, response) => { response.writeHead(503, { 'content-type': 'application/json' }).end('{"error":"x"}') },
    'reset before the head': (_seen, response) => { response.destroy() },
    'reset after the head': (_seen, response) => {
      response.writeHead(200, STREAM_HEAD).flushHeaders()
      setTimeout(() => { response.destroy() }, 10)
    },
    'an error as the first event': (_seen, response) => { response.writeHead(200, STREAM_HEAD).end(`${event({ error: 'Model is overloaded', error_type: 'overloaded' })}`) },
    'a stream without an event': (_seen, response) => { response.writeHead(200, STREAM_HEAD).end(': nothing\n\n') },
    'a redirect': (_seen, response) => { response.writeHead(302, { location: 'http://127.0.0.1:1/' }).end() },
    'garbage': (_seen, response) => { response.socket!.end('NOT HTTP AT ALL\r\n\r\n') },
  }
  for (const [name, script] of Object.entries(failures)) {
    await t.test(name, async t => {
      const { gateway, upstreams, chat } = await setUp(t, [script, script, goodChat(['a', 'b', 'c'])])
      for (let i = 0; i < 3; i++) {
        const { status, text, headers } = await send(chat, STREAMED).answer
        t.equal(status, 200)
        t.equal(text, EVENTS.join(''))
        t.equal(headers['x-sluice-backend'], 'b3')
        const record = await gateway.nextRecord()
        t.equal(record.outcome, 'untargeted')
        t.equal(headers['x-sluice-attempts'], String(record.timeline.attempts))
      }
      t.equal(upstreams[2]!.seen.length, 3)
      t.same(gateway.runtime.gauges, IDLE)
    })
  }

  await t.test('a whole answer that breaks off', async t => {
    const { chat } = await setUp(t, [(_seen, response) => {
      response.writeHead(200, { 'content-type': 'application/json', 'content-length': 1000 })
      response.write('{"half":')
      setTimeout(() => { response.destroy() }, 10)
    }, goodChat()])
    for (let i = 0; i < 2; i++) t.match(JSON.parse((await send(chat, CHAT()).answer).text), { choices: [{ message: { content: 'Hello world' } }] })
  })
})

t.test('no backend left: the failure gets its status', async t => {
  const refused = createServer()
  await new Promise<void>(resolve => { refused.listen(0, '127.0.0.1', resolve) })
  const { port } = refused.address() as AddressInfo
  await new Promise(resolve => refused.close(resolve))
  const gateway = await startGateway(t, { pools: { main: { backends: [{ url: `http://127.0.0.1:${port}`, name: 'b1' }] } } })
  const { status, text, headers } = await send(`${gateway.url}/v1/chat/completions`, STREAMED).answer
  t.equal(status, 502)
  t.match(JSON.parse(text), { error: { code: 'backend_error', type: 'server_error', message: /ECONNREFUSED/ } })
  t.match(headers, { 'content-type': 'application/json; charset=utf-8', 'x-sluice-backend': 'b1' })
  t.match(await gateway.nextRecord(), { outcome: 'failed', code: 'backend_error', status: 502, timeline: { attempts: 1 } })
  t.same(gateway.runtime.gauges, IDLE)

  const busy = await setUp(t, [(_seen, response) => { response.writeHead(429, { 'retry-after': '3' }).end('{}') }], { retries: { max_attempts: 1 } })
  const answer = await send(busy.chat, STREAMED).answer
  t.equal(answer.status, 503)
  t.match(answer.headers, { 'retry-after': '3', 'retry-after-ms': '3000' })
  t.match(JSON.parse(answer.text), { error: { code: 'backend_overloaded' } })
  t.same(busy.gateway.fleet.verdicts, ['b1 backpressure'])
})

t.test('the backend\'s own refusal of a bad request passes untouched, and is held against nobody', async t => {
  for (const status of [400, 404, 422]) {
    const text = `{"error":{"message":"no ${status}",  "code":${status}}}`
    const { gateway, upstreams, chat } = await setUp(t, [(_seen, response) => { response.writeHead(status, { 'content-type': 'application/json' }).end(text) }, goodChat()])
    const answer = await send(chat, STREAMED).answer
    t.equal(answer.status, status)
    t.equal(answer.text, text)
    t.equal(upstreams[1]!.seen.length, 0, 'it is bad everywhere')
    t.same(gateway.fleet.verdicts, ['b1 client_error'])
    t.match(await gateway.nextRecord(), { status, outcome: 'rejected' })
  }
})

t.test('after the first event a failure is told, and never looks like an end', async t => {
  const failures: Record<string, Script> = {
    'reset': (_seen, response) => {
      response.writeHead(200, STREAM_HEAD)
      response.write(EVENTS[0]! + EVENTS[1]!)
      setTimeout(() => { response.destroy() }, 20)
    },
    'an end without an end': (_seen, response) => { response.writeHead(200, STREAM_HEAD).end(EVENTS[0]! + EVENTS[1]!) },
    'cut in the middle of an event': (_seen, response) => {
      response.writeHead(200, STREAM_HEAD)
      response.write(EVENTS[0]! + EVENTS[1]! + EVENTS[2]!.slice(0, 20))
      setTimeout(() => { response.destroy() }, 20)
    },
  }
  for (const [name, script] of Object.entries(failures)) {
    await t.test(name, async t => {
      const { gateway, upstreams, chat } = await setUp(t, [script, script])
      const { status, text, cutOff } = await send(chat, STREAMED).answer
      t.equal(status, 200)
      t.equal(cutOff, false)
      t.ok(text.startsWith(EVENTS[0]! + EVENTS[1]!))
      t.notMatch(text, /\[DONE\]/)
      const last = text.split('\n\n').filter(part => part.startsWith('data: ')).at(-1)!
      t.match(JSON.parse(last.slice(6)), { error: { code: 'backend_error', message: /./ } })
      t.equal(upstreams[0]!.seen.length + upstreams[1]!.seen.length, 1, 'no retry after the first event')
      t.match(await gateway.nextRecord(), { outcome: 'failed', code: 'backend_error', timeline: { outputTokens: 1 } })
      t.same(gateway.fleet.verdicts, ['b1 fault'])
      t.same(gateway.runtime.gauges, IDLE)
    })
  }

  await t.test('what tells of it begins a line of its own, and adds no empty ones', async t => {
    const whole = EVENTS[0]! + EVENTS[1]!
    const half = whole + EVENTS[2]!.slice(0, 20)
    const cases: Record<string, readonly [pieces: readonly string[], between: string]> = {
      'after an event': [[whole], ''],
      'after an event whose last byte came alone': [[whole.slice(0, -1), whole.slice(-1)], ''],
      'after an event whose last bytes came one by one': [[whole.slice(0, -2), '\n', '\n'], ''],
      'after half an event': [[half], '\n\n'],
      'after one byte of an event': [[whole, 'd'], '\n\n'],
    }
    for (const [name, [pieces, between]] of Object.entries(cases)) {
      const { chat } = await setUp(t, [async (_seen, response) => {
        response.writeHead(200, STREAM_HEAD)
        for (const piece of pieces) {
          response.write(piece)
          await new Promise(resolve => setTimeout(resolve, 20))
        }
        response.destroy()
      }])
      // With its own wish for usage: then nothing of half an event is held back.
      const { text } = await send(chat, CHAT({ stream: true, stream_options: { include_usage: true } })).answer
      const sent = pieces.join('')
      t.ok(text.startsWith(sent), name)
      t.ok(text.slice(sent.length).startsWith(`${between}data: {"error":`), `${name}: ${JSON.stringify(text.slice(sent.length, sent.length + 20))}`)
    }
  })

  await t.test('a whole answer too large to hold is cut off', async t => {
    const { gateway, chat } = await setUp(t, [(_seen, response) => {
      response.writeHead(200, { 'content-type': 'application/json', 'content-length': 1_000_000 })
      response.write(Buffer.alloc(200_000, 0x20))
      setTimeout(() => { response.destroy() }, 20)
    }])
    t.equal((await send(chat, CHAT()).answer).cutOff, true)
    t.equal((await gateway.nextRecord()).outcome, 'failed')
  })
})

t.test('a limit for every phase', async t => {
  const limits = { timeouts: { connect: '200ms', first_token: '300ms', idle: '300ms', total: '10s', write_stall: '300ms' } }
  await t.test('first token: another backend answers', async t => {
    const { gateway, upstreams, chat } = await setUp(t, [() => {}, goodChat(['a', 'b', 'c'])], limits)
    t.equal((await send(chat, STREAMED).answer).text, EVENTS.join(''))
    await upstreams[0]!.seen[0]!.aborted
    t.match((await gateway.nextRecord()).timeline, { attempts: 2 })
  })
  await t.test('first token: comments are none', async t => {
    const { chat } = await setUp(t, [(_seen, response) => {
      response.writeHead(200, STREAM_HEAD)
      const ping = setInterval(() => { response.write(': ping\n\n') }, 50)
      response.on('close', () => { clearInterval(ping) })
    }], limits)
    const { status, text } = await send(chat, STREAMED).answer
    t.equal(status, 504)
    t.match(JSON.parse(text), { error: { code: 'first_token_timeout' } })
  })
  await t.test('idle: told in the stream', async t => {
    const { chat, upstreams } = await setUp(t, [(_seen, response) => {
      response.writeHead(200, STREAM_HEAD)
      response.write(EVENTS[0]! + EVENTS[1]!)
    }], limits)
    const { status, text } = await send(chat, STREAMED).answer
    t.equal(status, 200)
    t.match(text, /"code":"stream_stalled"/)
    await upstreams[0]!.seen[0]!.aborted
  })
  await t.test('total', async t => {
    const { chat } = await setUp(t, [(_seen, response) => {
      response.writeHead(200, STREAM_HEAD)
      response.write(EVENTS[0]!)
      const words = setInterval(() => { response.write(EVENTS[1]!) }, 50)
      response.on('close', () => { clearInterval(words) })
    }], { timeouts: { ...limits.timeouts, total: '500ms' } })
    t.match((await send(chat, STREAMED).answer).text, /"code":"stream_stalled"/)
  })
  await t.test('a client that does not read holds the backend back, then is cut', async t => {
    let written = 0
    const { gateway, chat, upstreams } = await setUp(t, [(_seen, response) => {
      response.writeHead(200, STREAM_HEAD)
      const big = event({ choices: [{ index: 0, delta: { content: 'x'.repeat(65_536) } }] })
      const more = (): void => {
        while (written < 200_000_000) {
          written += big.length
          if (!response.write(big)) return void response.once('drain', more)
        }
      }
      more()
    }], limits)
    const client = send(chat, STREAMED)
    const { call } = client
    call.on('response', response => { response.pause() })
    await upstreams[0]?.seen[0]?.aborted
    const record = await gateway.nextRecord()
    t.equal(record.outcome, 'cancelled')
    t.ok(written < 50_000_000, `the backend was paused after ${written} bytes`)
    t.same(gateway.runtime.gauges, IDLE)
    client.leave()
  })
})

t.test('draining: what runs may finish, what is new is refused, what outlasts the grace is told', async t => {
  const { gateway, chat } = await setUp(t, [(_seen, response) => {
    response.writeHead(200, STREAM_HEAD)
    response.write(EVENTS[0]! + EVENTS[1]!)
  }])
  const running = send(chat, STREAMED)
  await running.firstBytes
  const drained = gateway.runtime.drain(200)
  const refused = await send(chat, STREAMED).answer
  t.equal(refused.status, 503)
  t.match(refused.headers, { 'x-sluice-reason': 'draining', 'x-should-retry': 'true' })
  t.match(JSON.parse(refused.text), { error: { code: 'draining' } })
  await drained
  t.match((await running.answer).text, /"code":"draining"/)
  t.same(gateway.runtime.gauges, IDLE)
})
