// Ten thousand requests with seeded aborts, faults and timeouts: nothing is held afterwards, nothing was ever negative.
import { randomUUID } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { Agent, request as httpRequest } from 'node:http'
import { join } from 'node:path'
import t from 'tap'
import { createRandom } from '../../src/core/index.js'
import { Gateway } from '../chaos/gateway.js'
import { CHAT, STREAMED } from '../helpers/client.js'
import { IDLE, startGateway } from '../helpers/gateway.js'
import { serve } from '../helpers/program.js'
import { chatEvents, event, goodChat, scriptedUpstream, STREAM_HEAD, type Script } from '../helpers/upstream.js'

const REQUESTS = 10_000
const AT_ONCE = 100
const EVENTS = chatEvents(['a', 'b', 'c', 'd'])

// A busy machine with two cores takes minutes for what a quiet one does in seconds.
t.setTimeout(240_000)

t.test('R2, 19: gauges return to zero', { timeout: 230_000 }, async t => {
  const random = createRandom(20_26)
  const good = goodChat(['a', 'b', 'c', 'd'])
  const whole = EVENTS.join('')
  const slowly: Script = async (_seen, response) => {
    response.writeHead(200, STREAM_HEAD)
    for (const text of EVENTS) {
      response.write(text)
      await new Promise(resolve => setTimeout(resolve, 2))
    }
    response.end()
  }
  const faults: readonly Script[] = [
    (_seen, response) => { response.destroy() },
    (_seen, response) => { response.writeHead(500).end('x') },
    // Rarely: each makes the gateway give the backend less for seconds.
    (_seen, response) => { response.writeHead(random.next() < 0.05 ? 503 : 502).end('x') },
    (_seen, response) => { response.writeHead(400, { 'content-type': 'application/json' }).end('{"error":{"message":"no"}}') },
    (_seen, response) => { response.writeHead(200, STREAM_HEAD).end(event({ error: { message: 'x', code: 500 } })) },
    (_seen, response) => { response.writeHead(200, STREAM_HEAD).end(EVENTS[0]! + EVENTS[1]!) },
    (_seen, response) => {
      response.writeHead(200, STREAM_HEAD).write(EVENTS[0]! + EVENTS[1]!)
      setImmediate(() => { response.destroy() })
    },
    () => {},
    (_seen, response) => { response.writeHead(200, STREAM_HEAD).write(EVENTS[0]!) },
    (_seen, response) => { response.socket!.end('garbage\r\n\r\n') },
  ]
  const script: Script = (seen, response) => {
    const dice = random.next()
    if (dice < 0.8) return seen.body.includes('"stream":true') ? void response.writeHead(200, STREAM_HEAD).end(whole) : good(seen, response)
    if (dice < 0.88) return slowly(seen, response)
    return faults[Math.floor(random.next() * faults.length)]!(seen, response)
  }
  const upstreams = await Promise.all([scriptedUpstream(script), scriptedUpstream(script), scriptedUpstream(script)])
  t.teardown(() => Promise.all(upstreams.map(upstream => upstream.close())))
  const gateway = await startGateway(t, {
    pools: { main: { backends: upstreams.map(({ url }, index) => ({ url, name: `b${index}`, engine: 'vllm', max_inflight: 32 })) } },
    timeouts: { connect: '200ms', first_token: '300ms', idle: '300ms' },
    classes: { default: { queue_limit: 75, max_queue: '1s' } },
    log: { level: 'silent' },
  })

  const agent = new Agent({ keepAlive: true, maxSockets: AT_ONCE })
  let refusedConnections = 0
  const one = (): Promise<void> => new Promise(resolve => {
    const call = httpRequest(`${gateway.url}/v1/chat/completions`, { method: 'POST', agent, headers: { 'content-type': 'application/json' } }, response => {
      response.on('error', () => {})
      response.on('close', resolve)
      if (random.next() < 0.05) response.once('data', () => { call.destroy() })
      response.resume()
    })
    call.on('error', error => {
      if ((error as NodeJS.ErrnoException).code === 'ECONNREFUSED') refusedConnections++
      resolve()
    })
    call.end(random.next() < 0.8 ? STREAMED : CHAT())
    if (random.next() < 0.1) setTimeout(() => { call.destroy() }, random.next() * 20)
  })

  let left = REQUESTS
  let lowest = 0
  const look = setInterval(() => {
    lowest = Math.min(lowest, ...Object.values(gateway.runtime.gauges), ...gateway.runtime.schedulerState().backends.flatMap(backend =>
      [backend.inflightRequests, backend.inflightPrefillTokens, backend.decodingStreams, backend.contextTokens]))
  }, 50)
  await Promise.all(Array.from({ length: AT_ONCE }, async () => {
    while (left-- > 0) await one()
  }))
  const until = performance.now() + 5000
  while (gateway.runtime.gauges.requests > 0 && performance.now() < until) await new Promise(resolve => setTimeout(resolve, 20))
  await new Promise(resolve => setTimeout(resolve, 20))
  clearInterval(look)
  agent.destroy()

  t.equal(refusedConnections, 0)
  t.equal(lowest, 0, 'no gauge was ever negative')
  t.same(gateway.runtime.gauges, IDLE)
  const { backends, classes } = gateway.runtime.schedulerState()
  for (const backend of backends) t.match(backend, { inflightRequests: 0, inflightPrefillTokens: 0, decodingStreams: 0, contextTokens: 0 }, `ledger of ${backend.id}`)
  for (const { queued, queuedTokens } of classes) t.same([queued, queuedTokens], [0, 0])
  const ids = new Set(gateway.records.map(({ timeline }) => timeline.id))
  t.equal(ids.size, gateway.records.length, 'one outcome per request')
  t.ok(gateway.records.every(({ timeline }) => timeline.ending !== undefined && timeline.endedAtMs !== undefined))
  // A client that leaves before its request has been read is no request.
  t.ok(gateway.records.length > REQUESTS * 0.95 && gateway.records.length <= REQUESTS, `${gateway.records.length} records`)
  const outcomes = new Map<string, number>()
  for (const { outcome, code } of gateway.records) {
    outcomes.set(outcome, (outcomes.get(outcome) ?? 0) + 1)
    if (code !== undefined) outcomes.set(code, (outcomes.get(code) ?? 0) + 1)
  }
  t.comment(Object.fromEntries(outcomes))
  for (const outcome of ['untargeted', 'cancelled', 'failed', 'rejected']) t.ok((outcomes.get(outcome) ?? 0) > 0, `some are ${outcome}`)
})

const fewer = new Agent({ keepAlive: true, maxSockets: 64 })
t.teardown(() => { fewer.destroy() })

/** Asks so many times, 64 at once; some clients leave before they have all of the answer. Each request has an id of its own. */
async function ask(url: string, bodies: readonly string[], requests: number, leaving = 0): Promise<void> {
  const random = createRandom(20_26)
  let left = requests
  await Promise.all(Array.from({ length: 64 }, async () => {
    while (left-- > 0) {
      const headers = { 'content-type': 'application/json', 'x-request-id': randomUUID() }
      await new Promise<void>((resolve, reject) => {
        const leaves = random.next() < leaving
        const call = httpRequest(`${url}/v1/chat/completions`, { method: 'POST', agent: fewer, headers }, response => {
          response.on('error', () => {}).on('close', resolve)
          if (leaves) call.destroy()
          else response.resume()
        })
        call.on('error', error => leaves ? resolve() : reject(error)).end(bodies[left % bodies.length])
      })
    }
  }))
}

t.test('nothing is kept of requests but what has a bound', { timeout: 100_000 }, async t => {
  const random = createRandom(20_26)
  const good = goodChat()
  const script: Script = (seen, response) => seen.method !== 'POST' ? void response.end('{}') : random.next() < 0.02 ? void response.destroy() : good(seen, response)
  const upstreams = await Promise.all([scriptedUpstream(script), scriptedUpstream(script)])
  t.teardown(() => Promise.all(upstreams.map(upstream => upstream.close())))
  // As the soak watches it: what that needs for itself must not grow either.
  const gateway = await Gateway.start({
    pools: { main: { backends: upstreams.map(({ url }, i) => ({ url, name: `b${i}`, engine: 'vllm' })) } },
    limits: { event_loop_lag: '0s' },
  })
  /** Objects that are there once so many more have been answered, beside the code, buffers and tables that no object stands for. */
  const objectsAfter = async (requests: number) => {
    await ask(gateway.dataUrl, [STREAMED, CHAT()], requests, 0.05)
    t.equal(await gateway.held(), 0)
    return await gateway.objects()
  }
  // The ring of recent requests is full, and so is what else is made once.
  const before = await objectsAfter(1500)
  const perRequest = (await objectsAfter(1500) - before) / 1500
  await gateway.stop()
  t.comment(`${perRequest.toFixed(3)} objects per request`)
  // Connections come and go; of anything that is kept there is at least one each.
  t.ok(perRequest < 0.5)
})

t.test('what a request was made of goes with it: next to nothing gets old', { timeout: 100_000 }, async t => {
  const good = goodChat()
  const upstream = await scriptedUpstream((seen, response) => seen.method === 'POST' ? good(seen, response) : void response.end('{}'))
  t.teardown(() => upstream.close())
  const log = join(t.testdir(), 'v8.log')
  // In a process of its own, whose collector tells what it does, and whose engine which hidden classes it makes.
  const program = await serve(t, {
    pools: { main: { backends: [{ url: upstream.url, engine: 'vllm' }] } },
    classes: { chat: { ttft: '60s', tpot: '10s' } },
    routes: [{ match: { path: '/v1/*' }, class: 'chat' }],
    log: { level: 'warn' },
  }, ['--trace-gc-nvp', '--log-maps', '--no-log-maps-details', '--no-logfile-per-isolate', `--logfile=${log}`])
  /** Bytes that the collector has moved to where only its rare, long rounds look. */
  const promoted = () => [...program.log().matchAll(/ gc=s .* promoted=(\d+)|"gc":"s".*"promoted":(\d+)/g)].reduce((sum, [, bytes, bytesSinceNode26]) => sum + Number(bytes ?? bytesSinceNode26), 0)
  // Code, tables and the ring of recent requests get old once.
  await ask(program.url, [CHAT()], 4000)
  upstream.seen.length = 0
  const before = promoted()
  const logged = readFileSync(log).length
  await ask(program.url, [CHAT()], 4000)
  t.equal(await program.stop(), 0)
  const hiddenClasses = readFileSync(log).subarray(logged).toString('latin1').split('\nmap,').length - 1
  t.comment(`${hiddenClasses / 4000} hidden classes per request`)
  t.ok(logged > 0, 'the engine was heard')
  // Put together by spreading, an object can get one of its own each time; what runs now and then makes some hundred when it first does.
  t.ok(hiddenClasses < 2000)
  const perRequest = (promoted() - before) / 4000
  t.comment(`${Math.round(perRequest)} bytes per request`)
  t.ok(perRequest > 0, 'the collector was heard')
  // A request is some 8 KB; when its table or a listener of its own outlives it, nearly all of it gets old.
  t.ok(perRequest < 4500)
})
