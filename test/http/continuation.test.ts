// An answer that one backend began and another one finishes: the client must not be able to tell.
import t, { type Test } from 'tap'
import { startEmulator, type Emulator, type FaultPlan } from '../../src/emulator/index.js'
import { send } from '../helpers/client.js'
import { IDLE, startGateway } from '../helpers/gateway.js'
import { scriptedUpstream } from '../helpers/upstream.js'

const MODEL = 'llama-3.1-8b-instruct'
const clock = { now: () => performance.now() }

const setUp = async (t: Test, more: Record<string, unknown> = {}, count = 3) => {
  const servers: Emulator[] = []
  for (let i = 0; i < count; i++) servers.push(await startEmulator({ engine: 'vllm', clock, model: MODEL, speed: 40 }))
  t.teardown(() => Promise.all(servers.map(server => server.stop())))
  const gateway = await startGateway(t, {
    pools: { main: { backends: servers.map(({ url }, i) => ({ url, name: `b${i + 1}`, engine: 'vllm', models: [MODEL] })) } },
    routes: [{ match: { header: { 'x-plain': '1' } }, class: 'default' }, { match: {}, class: 'default', continuation: true }],
    timeouts: { idle: '400ms' },
    ...more,
  })
  const faults = (...plans: FaultPlan[]) => Promise.all(servers.map((server, i) => server.control.setFaults(plans[i] ?? {})))
  return { servers, gateway, faults }
}

const CHAT = { model: MODEL, stream: true, messages: [{ role: 'user', content: 'Tell me about the sea, 12345.' }], max_tokens: 40 }
const COMPLETION = { model: MODEL, stream: true, prompt: 'The sea is', max_tokens: 40 }
const PATHS: readonly (readonly [string, object])[] = [['/v1/chat/completions', CHAT], ['/v1/completions', COMPLETION]]

interface Chunk { id: string, created: number, model: string, choices: { delta?: { role?: string, content?: string }, text?: string, finish_reason: string | null, token_ids?: unknown }[], usage?: Record<string, number>, error?: { code: string }, prompt_token_ids?: unknown }

const read = (text: string) => {
  const events = text.split('\n\n').filter(event => event.startsWith('data: ')).map(event => event.slice(6))
  const chunks = events.filter(event => event !== '[DONE]').map(event => JSON.parse(event) as Chunk)
  return {
    chunks,
    done: events.at(-1) === '[DONE]',
    text: chunks.map(({ choices }) => choices?.[0]?.delta?.content ?? choices?.[0]?.text ?? '').join(''),
    finish: chunks.flatMap(({ choices }) => choices?.[0]?.finish_reason ?? []),
    roles: chunks.filter(({ choices }) => choices?.[0]?.delta?.role !== undefined).length,
    usage: chunks.find(({ usage }) => usage)?.usage,
    error: chunks.find(({ error }) => error)?.error,
    ids: new Set(chunks.map(({ id, created, model }) => `${id} ${created} ${model}`)).size,
  }
}

t.test('greedy decoding: whatever breaks, the answer is the undisturbed one', async t => {
  const { gateway, faults } = await setUp(t, { retries: { min_per_second: 100 } })
  const breaks = ['reset-stream', 'cut-mid-event', 'cut-mid-utf8', 'stall', 'error-event', 'end-early', 'garbage'] as const
  for (const [path, body] of PATHS) {
    await faults()
    const asked = JSON.stringify({ ...body, stream_options: { include_usage: true } })
    const undisturbed = read((await send(`${gateway.url}${path}`, asked, { 'x-plain': '1' }).answer).text)
    t.ok(undisturbed.done && undisturbed.text.length > 40)
    await gateway.nextRecord()
    for (const kind of breaks) {
      for (const afterTokens of [1, 17]) {
        await faults(...new Array<FaultPlan>(3).fill({ rules: [{ kind, afterTokens, count: 1 }] }).map((plan, i) => i < 2 ? plan : {}))
        const { text, headers } = await send(`${gateway.url}${path}`, asked).answer
        const got = read(text)
        const what = `${path} ${kind} after ${afterTokens}`
        const record = await gateway.nextRecord()
        t.equal(got.text, undisturbed.text, `${what}: text (${record.timeline.attempts} attempts)`)
        t.same([got.done, got.finish, got.roles, got.error, got.ids], [true, undisturbed.finish, undisturbed.roles, undefined, 1], what)
        t.same(got.usage, undisturbed.usage, `${what}: usage`)
        t.notMatch(text, /token_ids/)
        t.equal(headers['x-sluice-attempts'], '1', 'as known when the head went out')
        t.match(record, { outcome: 'untargeted', status: 200, timeline: { outputTokens: undisturbed.usage!['completion_tokens'], promptTokens: undisturbed.usage!['prompt_tokens'] } }, what)
        t.same(gateway.runtime.gauges, IDLE)
      }
    }
  }
  t.ok(gateway.records.filter(({ timeline }) => timeline.attempts > 1).length >= 12, 'answers were continued')
})

t.test('what cannot be continued exactly is told', async t => {
  const { gateway, faults } = await setUp(t, {}, 2)
  const cut: FaultPlan = { rules: [{ kind: 'reset-stream', afterTokens: 5 }] }
  const cases: Record<string, object> = {
    tools: { tools: [{ type: 'function', function: { name: 'f', parameters: {} } }], tool_choice: 'required' },
    'structured output': { response_format: { type: 'json_object' } },
    'several answers': { n: 2 },
    'stop strings': { stop: ['\u0000'] },
    reasoning: { emulate_reasoning_tokens: 10 },
  }
  for (const [name, more] of Object.entries(cases)) {
    await faults(cut, cut)
    const { text, status } = await send(`${gateway.url}/v1/chat/completions`, JSON.stringify({ ...CHAT, ...more })).answer
    t.equal(status, 200, name)
    t.match(read(text), { done: false, error: { code: 'backend_error' } }, name)
    t.match(await gateway.nextRecord(), { outcome: 'failed', timeline: { attempts: 1 } }, name)
  }
  await faults(cut, cut)
  t.match(read((await send(`${gateway.url}/v1/chat/completions`, JSON.stringify(CHAT), { 'x-plain': '1' }).answer).text), { done: false, error: { code: 'backend_error' } }, 'a route without continuation')
  await gateway.nextRecord()
  t.same(gateway.runtime.gauges, IDLE)
})

t.test('where every backend has broken the answer once, whoever broke it first is asked again, and not who did last', async t => {
  const { gateway, faults } = await setUp(t, { log: { request_file: '/dev/null' } }, 2)
  const undisturbed = read((await send(`${gateway.url}/v1/completions`, JSON.stringify(COMPLETION)).answer).text)
  await gateway.nextRecord()
  const once: FaultPlan = { rules: [{ kind: 'reset-stream', afterTokens: 5, count: 1 }] }
  await faults(once, once)
  const got = read((await send(`${gateway.url}/v1/completions`, JSON.stringify(COMPLETION)).answer).text)
  t.match(got, { done: true, text: undisturbed.text })
  const { attempts = [] } = await gateway.nextRecord()
  t.same(attempts.map(({ verdict }) => verdict), ['fault', 'fault', 'success'])
  t.equal(attempts[0]!.backend, attempts[2]!.backend)
  t.not(attempts[0]!.backend, attempts[1]!.backend)
  t.same(gateway.runtime.gauges, IDLE)
})

t.test('where there is but one backend, it may go on itself', async t => {
  const { gateway, faults } = await setUp(t, {}, 1)
  const undisturbed = read((await send(`${gateway.url}/v1/completions`, JSON.stringify(COMPLETION)).answer).text)
  await gateway.nextRecord()
  await faults({ rules: [{ kind: 'reset-stream', afterTokens: 5, count: 1 }] })
  t.match(read((await send(`${gateway.url}/v1/completions`, JSON.stringify(COMPLETION)).answer).text), { done: true, text: undisturbed.text })
  t.match(await gateway.nextRecord(), { timeline: { attempts: 2 } })
  t.same(gateway.runtime.gauges, IDLE)
})

t.test('while every backend is down the rest is waited for, and comes from the first that returns', async t => {
  const { gateway, faults } = await setUp(t, {}, 2)
  const undisturbed = read((await send(`${gateway.url}/v1/completions`, JSON.stringify(COMPLETION)).answer).text)
  await gateway.nextRecord()
  const stall: FaultPlan = { rules: [{ kind: 'stall', afterTokens: 5 }] }
  await faults(stall, stall)
  const client = send(`${gateway.url}/v1/completions`, JSON.stringify(COMPLETION))
  await client.firstBytes
  for (const id of ['b1', 'b2']) gateway.fleet.setState(id, 'down')
  while (gateway.runtime.gauges.waiting === 0 && gateway.records.length < 2) await new Promise(resolve => setTimeout(resolve, 5))
  await faults()
  t.match(read((await send(`${gateway.url}/v1/completions`, JSON.stringify(COMPLETION)).answer).text), { done: false, text: '' }, 'what has not begun is refused')
  await gateway.nextRecord()
  gateway.fleet.setState('b1', 'up')
  t.match(read((await client.answer).text), { done: true, text: undisturbed.text })
  t.match(await gateway.nextRecord(), { timeline: { attempts: 2 } })
  t.same(gateway.runtime.gauges, IDLE)
})

t.test('the first continuation of an answer moves load and is free; the next pays from the retry budget', async t => {
  const { gateway, faults } = await setUp(t, { retries: { budget_ratio: 0, min_per_second: 0 } }, 2)
  const ask = async () => read((await send(`${gateway.url}/v1/completions`, JSON.stringify(COMPLETION)).answer).text)
  await faults({ rules: [{ kind: 'reset-stream', afterTokens: 5 }] })
  t.ok((await Promise.all(Array.from({ length: 20 }, ask))).every(({ done }) => done), 'as many as the server had')
  t.ok(gateway.records.filter(({ timeline }) => timeline.attempts === 2).length >= 10, 'half of them were continued')
  const once: FaultPlan = { rules: [{ kind: 'reset-stream', afterTokens: 5, count: 1 }] }
  for (const done of [true, false]) {
    await faults(once, once)
    t.equal((await ask()).done, done, done ? 'the bucket holds one' : 'and no other')
  }
  t.same(gateway.records.slice(-2).map(({ timeline }) => timeline.attempts), [3, 2])
  t.same(gateway.runtime.gauges, IDLE)
})

t.test('when nobody is left to go on, the client is told, once', async t => {
  const { gateway, faults } = await setUp(t, {}, 2)
  const cut: FaultPlan = { rules: [{ kind: 'reset-stream', afterTokens: 5 }] }
  await faults(cut, cut)
  const { text, cutOff } = await send(`${gateway.url}/v1/chat/completions`, JSON.stringify(CHAT)).answer
  const got = read(text)
  t.equal(cutOff, false)
  t.match(got, { done: false, error: { code: 'backend_error' }, roles: 1 })
  t.equal(text.match(/"error"/g)!.length, 1)
  t.match(await gateway.nextRecord(), { outcome: 'failed', code: 'backend_error', timeline: { attempts: 3, outputTokens: 15 } }, 'as many attempts as there may be')
  await faults(cut, { rules: [{ kind: 'status', status: 400 }] })
  t.match(read((await send(`${gateway.url}/v1/chat/completions`, JSON.stringify(CHAT)).answer).text).done, false, 'a refusal of the rest is no answer')
  await gateway.nextRecord()
  t.same(gateway.runtime.gauges, IDLE)
})

t.test('a backend that breaks after the last token has broken nothing, unless the client waits for the usage', async t => {
  const event = (more: object) => `data: ${JSON.stringify({ id: 'x', object: 'text_completion', created: 1, model: MODEL, ...more })}\n\n`
  const server = await scriptedUpstream((_, response) => {
    response.writeHead(200, { 'content-type': 'text/event-stream' })
    response.write(event({ choices: [{ index: 0, text: 'The', finish_reason: null }] }))
    response.write(event({ choices: [{ index: 0, text: ' end.', finish_reason: 'length' }] }), () => { setTimeout(() => { response.socket!.resetAndDestroy() }, 20) })
  })
  t.teardown(() => server.close())
  const gateway = await startGateway(t, {
    pools: { main: { backends: [{ url: server.url, name: 'b1', engine: 'vllm', models: [MODEL] }] } },
    routes: [{ match: {}, class: 'default', continuation: true }],
  })
  const ask = async (more: object) => read((await send(`${gateway.url}/v1/completions`, JSON.stringify({ ...COMPLETION, max_tokens: 2, ...more })).answer).text)
  t.match(await ask({}), { text: 'The end.', finish: ['length'], done: true, error: undefined })
  t.match(await gateway.nextRecord(), { outcome: 'untargeted', timeline: { attempts: 1 } })
  t.match(await ask({ stream_options: { include_usage: true } }), { text: 'The end.', done: false, error: { code: 'backend_error' } })
  t.match(await gateway.nextRecord(), { outcome: 'failed' })
  t.same(gateway.runtime.gauges, IDLE)
})

t.test('a client that leaves while the rest is sought is gone everywhere', async t => {
  const { gateway, faults, servers } = await setUp(t, {}, 2)
  await faults({ rules: [{ kind: 'reset-stream', afterTokens: 5 }] }, { rules: [{ kind: 'hang-after-headers' }] })
  let record
  do {
    const client = send(`${gateway.url}/v1/chat/completions`, JSON.stringify(CHAT))
    await Promise.race([client.firstBytes, new Promise(resolve => setTimeout(resolve, 100))])
    await new Promise(resolve => setTimeout(resolve, 50))
    client.leave()
    record = await gateway.nextRecord()
  } while (record.timeline.attempts < 2)
  t.match(record, { outcome: 'cancelled' })
  t.same(gateway.runtime.gauges, IDLE)
  while (servers.some(({ control }) => control.state().requests.active > 0)) await new Promise(resolve => setTimeout(resolve, 5))
})
