// Rate limits and caps of keys, over real sockets: what the SDK sees, and what a reload keeps.
import t, { type Test } from 'tap'
import { configFrom } from '../../src/config/index.js'
import { CHAT, send, STREAMED } from '../helpers/client.js'
import { IDLE, startGateway } from '../helpers/gateway.js'
import { goodChat, scriptedUpstream } from '../helpers/upstream.js'

const setUp = async (t: Test, keys: object[]) => {
  const upstream = await scriptedUpstream(goodChat())
  t.teardown(() => upstream.close())
  const written = (keys: object[]) => ({ pools: { main: { backends: [{ url: upstream.url, name: 'b1', engine: 'vllm', models: ['m'] }] } }, auth: { keys } })
  const gateway = await startGateway(t, written(keys))
  const chat = `${gateway.url}/v1/chat/completions`
  return { upstream, gateway, chat, reload: (keys: object[]) => { gateway.configure(configFrom({ listen: { port: 0 }, ...written(keys) })) } }
}
const as = (key: string) => ({ authorization: `Bearer ${key}` })

t.test('requests per minute', async t => {
  const { upstream, gateway, chat, reload } = await setUp(t, [{ name: 'a', key: 'ka', requests_per_minute: 2 }, { name: 'b', key: 'kb' }])
  const first = await send(chat, CHAT(), as('ka')).answer
  t.match(first.headers, { 'x-ratelimit-limit-requests': '2', 'x-ratelimit-remaining-requests': '1', 'x-ratelimit-reset-requests': /^\d+(\.\d+)?s$/ })
  t.notOk('x-ratelimit-limit-tokens' in first.headers)
  t.equal((await send(chat, '{', as('ka')).answer).status, 400, 'what is not valid uses nothing')
  t.equal((await send(`${gateway.url}/tokenize`, '{}', as('ka')).answer).status, 200, 'passed-through requests count')
  const refused = await send(chat, STREAMED, as('ka')).answer
  t.equal(refused.status, 429)
  t.match(refused.headers, { 'x-sluice-reason': 'rate_limited', 'retry-after': /^\d+$/, 'retry-after-ms': /^\d+$/, 'x-should-retry': 'true', 'x-ratelimit-remaining-requests': '0' })
  t.match(JSON.parse(refused.text), { error: { code: 'rate_limited', type: 'rate_limit_error', message: /2 requests per minute/ } })
  t.match(gateway.records.at(-1), { outcome: 'rejected', status: 429, code: 'rate_limited', tenant: 'a' })
  t.equal((await send(`${gateway.url}/tokenize`, '{}', as('ka')).answer).status, 429)
  const other = await send(chat, CHAT(), as('kb')).answer
  t.equal(other.status, 200, 'others are not touched')
  t.notOk(Object.keys(other.headers).some(name => name.startsWith('x-ratelimit')))
  reload([{ name: 'a', key: 'ka-new', requests_per_minute: 2 }])
  t.equal((await send(chat, CHAT(), as('ka')).answer).status, 401, 'the old secret is gone')
  t.equal((await send(chat, CHAT(), as('ka-new')).answer).status, 429, 'a new secret is no fresh start')
  t.equal((await send(chat, CHAT(), as('kb')).answer).status, 401)
  t.equal(upstream.seen.length, 3)
})

t.test('tokens per minute: charged by estimate, put right by usage', async t => {
  const { gateway, chat } = await setUp(t, [{ name: 'a', key: 'ka', tokens_per_minute: 1000 }])
  t.equal((await send(chat, CHAT({ max_tokens: 900 }), as('ka')).answer).status, 200)
  await gateway.nextRecord()
  const after = Number((await send(chat, CHAT({ max_tokens: 1 }), as('ka')).answer).headers['x-ratelimit-remaining-tokens'])
  t.ok(after > 900, `what was not used came back: ${after}`)
  const bomb = await send(chat, CHAT({ max_tokens: 1000, n: 2 }), as('ka')).answer
  t.equal(bomb.status, 429, 'n times max_tokens counts')
  t.match(bomb.headers, { 'x-ratelimit-limit-tokens': '1000', 'x-ratelimit-reset-tokens': /^[\d.]+m?s$/ })
})

t.test('requests at once; a client that leaves gives its place back', async t => {
  const { upstream, gateway, chat } = await setUp(t, [{ name: 'a', key: 'ka', max_inflight: 1 }])
  upstream.script = () => {}
  const held = send(chat, STREAMED, as('ka'))
  while (upstream.seen.length === 0) await new Promise(resolve => setTimeout(resolve, 5))
  const refused = await send(chat, CHAT(), as('ka')).answer
  t.equal(refused.status, 429)
  t.match(JSON.parse(refused.text), { error: { code: 'rate_limited', message: /1 requests running at once/ } })
  held.leave()
  while (gateway.runtime.gauges.requests > 0) await new Promise(resolve => setTimeout(resolve, 5))
  upstream.script = goodChat()
  t.equal((await send(chat, CHAT(), as('ka')).answer).status, 200)
  t.same(gateway.runtime.gauges, IDLE)
})
