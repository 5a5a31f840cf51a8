// What the gateway is where nobody asked for more: a proxy that adds nothing, loses nothing, and decides as its simulator does.
import type { ServerResponse } from 'node:http'
import t, { type Test } from 'tap'
import { createRandom, createScheduler, queueMs } from '../../src/core/index.js'
import { recordScript, replayScript, type ScriptEntry } from '../../src/simulator/index.js'
import { CHAT, raw, send, STREAMED } from '../helpers/client.js'
import { IDLE, startGateway } from '../helpers/gateway.js'
import { goodChat, scriptedUpstream, STREAM_HEAD, type Script } from '../helpers/upstream.js'

const WORDS = ['Hello', ' ', 'world']
const setUp = async (t: Test, script: Script, more: Record<string, unknown> = {}, options: Parameters<typeof startGateway>[2] = {}) => {
  const upstreams = await Promise.all([scriptedUpstream(script), scriptedUpstream(script)])
  t.teardown(() => Promise.all(upstreams.map(upstream => upstream.close())))
  const gateway = await startGateway(t, {
    pools: { main: { backends: upstreams.map(({ url }, index) => ({ url, name: `b${index}`, engine: 'vllm', models: ['m'] })) } }, ...more,
  }, options)
  return { upstreams, gateway, chat: `${gateway.url}/v1/chat/completions` }
}

t.test('without SLOs it is a transparent proxy, and nothing waits', async t => {
  const { upstreams, gateway, chat } = await setUp(t, goodChat(WORDS), { scheduling: { policy: 'slo' }, admission: { mode: 'observe' } })
  for (const body of [CHAT(), CHAT({ stream: true, stream_options: { include_usage: true } }), '{ "model":"m", "messages":[], "unknown" : [1.0, {"x":null}] }']) {
    const headers = { 'content-type': 'application/json' }
    const direct = await fetch(`${upstreams[0]!.url}/v1/chat/completions`, { method: 'POST', headers, body })
    const through = await send(chat, body).answer
    t.equal(through.status, direct.status)
    t.equal(through.text, await direct.text())
    t.equal(upstreams.flatMap(({ seen }) => seen).at(-1)!.body.toString(), body)
  }
  const added: number[] = []
  for (let i = 0; i < 100; i++) {
    const before = performance.now()
    await send(chat, STREAMED).answer
    const through = performance.now() - before
    const again = performance.now()
    await send(`${upstreams[0]!.url}/v1/chat/completions`, STREAMED).answer
    added.push(through - (performance.now() - again))
  }
  t.ok(gateway.records.every(({ outcome, explanation }) => outcome === 'untargeted' && explanation?.wouldReject !== true))
  const queues = gateway.records.map(({ timeline }) => queueMs(timeline)!).sort((a, b) => a - b)
  added.sort((a, b) => a - b)
  t.comment(`t0 to dispatch: median ${queues[queues.length >> 1]!.toFixed(3)} ms; added to a whole exchange: median ${added[added.length >> 1]!.toFixed(3)} ms`)
  // The least of many: a timer or a turn of waiting would be in each, what the machine does elsewhere is not.
  t.ok(queues[0]! < 1, `least time from t0 to dispatch ${queues[0]!.toFixed(3)} ms`)
})

t.test('bad input is answered, and costs others nothing', async t => {
  const { gateway, chat } = await setUp(t, async (_seen, response) => {
    response.writeHead(200, STREAM_HEAD)
    for (let i = 0; i < 40; i++) {
      response.write(`data: {"choices":[{"index":0,"delta":{"content":"word ${i} "}}]}\n\n`)
      await new Promise(resolve => setTimeout(resolve, 5))
    }
    response.end('data: {"choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}\n\ndata: [DONE]\n\n')
  })
  const others = Array.from({ length: 20 }, () => send(chat, STREAMED))
  await Promise.all(others.map(async ({ firstBytes }) => await firstBytes))
  const bad: [body: string, headers: Record<string, string>, status: number, code: string][] = [
    ['{"model":"m","messages":[', {}, 400, 'invalid_request'],
    ['\u0000\u0001', {}, 400, 'invalid_request'],
    ['{"model":["m"],"messages":[]}', {}, 400, 'invalid_request'],
    [CHAT({ stream: 'yes' }), {}, 400, 'invalid_request'],
    [CHAT({ max_tokens: 1e300 }), {}, 400, 'invalid_request'],
    [CHAT(), { 'x-slo-ttft-ms': 'NaN' }, 400, 'invalid_slo'],
    [CHAT(), { 'x-slo-tpot-ms': '0' }, 400, 'invalid_slo'],
    [CHAT(), { 'x-slo-deadline-ms': '9'.repeat(400) }, 400, 'invalid_slo'],
    ['{"model":"no-such-model","messages":[]}', {}, 404, 'model_not_found'],
    [`{"a":${'['.repeat(200_000)}`, {}, 400, 'invalid_request'],
  ]
  await Promise.all(bad.flatMap(each => [each, each, each]).map(async ([body, headers, status, code]) => {
    const answer = await send(chat, body, headers).answer
    t.equal(answer.status, status, `${body.slice(0, 40)} ${JSON.stringify(headers).slice(0, 60)}`)
    t.match(JSON.parse(answer.text), { error: { message: /./, type: 'invalid_request_error', code } })
  }))
  // A body of 100 MB, sent and not only announced: refused by its length, and whatever still comes goes nowhere.
  const large = await raw(gateway.port, `POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: 100000000\r\n\r\n${'x'.repeat(1_000_000)}`)
    .catch((error: unknown) => (error as NodeJS.ErrnoException).code)
  t.match(large, /^HTTP\/1.1 413 .*"code":"body_too_large"|ECONNRESET|EPIPE/s)
  for (const { answer } of others) {
    const { status, text, cutOff } = await answer
    t.equal(status, 200)
    t.notOk(cutOff)
    t.match(text, /word 39 .*\[DONE\]\n\n$/s)
  }
  t.same(gateway.runtime.gauges, IDLE)
})

t.test('told the same events, the scheduler of a simulation decides as the live one did', async t => {
  const script: ScriptEntry[] = []
  let given: Parameters<typeof createScheduler> | undefined
  const dice = createRandom('faults')
  const good = goodChat(WORDS)
  const { gateway, chat } = await setUp(t, (seen, response) => {
    const drawn = dice.next()
    if (drawn < 0.1) response.destroy()
    else if (drawn < 0.2) response.writeHead(503).end('x')
    else if (drawn < 0.6) setTimeout(() => void good(seen, response), 5)
    else return good(seen, response)
  }, {
    scheduling: { policy: 'slo' }, admission: { mode: 'enforce' },
    classes: { chat: { ttft: '300ms', tpot: '100ms', queue_limit: 5 }, batch: { deadline: '2s', sheddable: true } },
    routes: [{ match: { header: { 'x-kind': 'batch' } }, class: 'batch' }, { match: {}, class: 'chat' }],
  }, {
    createScheduler: (...options) => {
      given = options
      return recordScript(createScheduler(...options), script)
    },
  })
  const calls = Array.from({ length: 200 }, (_, i) => {
    const call = send(chat, i % 3 === 0 ? CHAT() : STREAMED, i % 4 === 0 ? { 'x-kind': 'batch' } : {})
    if (i % 17 === 0) setTimeout(() => call.leave(), 10)
    return call.answer.catch(() => undefined)
  })
  await Promise.all(calls)
  while (gateway.runtime.gauges.requests > 0) await new Promise(resolve => setTimeout(resolve, 10))
  const recorded = [...script]
  const kinds = new Set(recorded.flatMap(({ decisions }) => decisions.map(({ type }) => type)))
  t.ok(recorded.length > 250 && kinds.has('dispatch'), `${recorded.length} events, ${[...kinds].join(', ')}`)
  t.strictSame(replayScript(recorded, createScheduler(given![0], createRandom(1), given![2])).map(entry => entry.decisions), recorded.map(entry => entry.decisions))
})

t.test('what the framework and Node have to say of a fault is in the log', async t => {
  const { gateway, chat } = await setUp(t, goodChat(WORDS))
  t.match(gateway.log.join(''), /Server listening at/)
  gateway.server.once('request', (_request, response: ServerResponse) => {
    const end = response.end.bind(response) as (...rest: unknown[]) => ServerResponse
    response.end = (...rest: unknown[]) => {
      t.equal(response.listenerCount('finish'), 1, 'Node waits for the end; the framework does not, with its request and reply in its hands')
      end(...rest)
      response.write('late')
      return response
    }
  })
  t.equal((await send(chat, CHAT()).answer).status, 200)
  t.equal((await send(chat, CHAT()).answer).status, 200, 'nothing else came of it')
  t.match(gateway.log.join(''), /ERR_STREAM_WRITE_AFTER_END.*an answer was written to after its end/)

  const { submit } = gateway.runtime
  gateway.runtime.submit = () => { throw new Error('no idea') }
  const call = send(chat, CHAT())
  call.answer.catch(() => {})
  while (!gateway.log.some(line => line.includes('Reply was already sent'))) await new Promise(setImmediate)
  call.leave()
  gateway.runtime.submit = submit
})
