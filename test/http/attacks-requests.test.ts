// Attacks by what a request or an answer is made of, by their numbers in docs/security.md.
import { createServer, type AddressInfo, type Socket } from 'node:net'
import t, { type Test } from 'tap'
import { ConfigError, configFrom } from '../../src/config/index.js'
import { bearer, post, statusOf, underAttack } from '../helpers/attack.js'
import { CHAT, send, STREAMED } from '../helpers/client.js'
import { IDLE, startGateway } from '../helpers/gateway.js'

const HEAD = 'POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n'

t.test('9: no request is smuggled in another', async t => {
  const { upstream, gateway, chat, bytes } = await underAttack(t, { limits: { headers: '16KiB' }, timeouts: { request_body: '2s' } })
  const hidden = 'GET /smuggled HTTP/1.1\r\nhost: x\r\n\r\n'
  const body = CHAT()
  const chunk = `${Buffer.byteLength(body).toString(16)}\r\n${body}\r\n`
  const refused: [string, string][] = [
    ['length and chunks', `${HEAD}content-length: 4\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n${hidden}`],
    ['chunks and length', `${HEAD}transfer-encoding: chunked\r\ncontent-length: 4\r\n\r\n0\r\n\r\n${hidden}`],
    ['chunked in disguise', `${HEAD}transfer-encoding: xchunked\r\n\r\n0\r\n\r\n${hidden}`],
    ['chunked not last', `${HEAD}transfer-encoding: chunked, identity\r\n\r\n0\r\n\r\n${hidden}`],
    ['chunked twice, in disguise', `${HEAD}transfer-encoding: chunked\r\ntransfer-encoding: cow\r\n\r\n0\r\n\r\n${hidden}`],
    ['space before the colon', `${HEAD}transfer-encoding : chunked\r\n\r\n0\r\n\r\n${hidden}`],
    ['a folded line', `${HEAD}x-a: b\r\n transfer-encoding: chunked\r\ncontent-length: 0\r\n\r\n${hidden}`],
    ['two lengths', `${HEAD}content-length: 0\r\ncontent-length: ${hidden.length}\r\n\r\n${hidden}`],
    ['two lengths in one', `${HEAD}content-length: 0, ${hidden.length}\r\n\r\n${hidden}`],
    ['a signed length', `${HEAD}content-length: +2\r\n\r\n{}`],
    ['a negative length', `${HEAD}content-length: -1\r\n\r\n{}`],
    ['a hexadecimal length', `${HEAD}content-length: 0x2\r\n\r\n{}`],
    ['a length beyond all bounds', `${HEAD}content-length: 99999999999999999999\r\n\r\n{}`],
    ['a bare LF', `POST /v1/chat/completions HTTP/1.1\nhost: x\ncontent-length: 0\n\n${hidden}`],
    ['a bare CR', `${HEAD}x-a: b\rtransfer-encoding: chunked\r\ncontent-length: 0\r\n\r\n${hidden}`],
    ['NUL in a value', `${HEAD}x-a: b\0c\r\ncontent-length: 0\r\n\r\n${hidden}`],
    ['a chunk size with a sign', `${HEAD}transfer-encoding: chunked\r\n\r\n+2\r\n{}\r\n0\r\n\r\n${hidden}`],
    ['a chunk size with 0x', `${HEAD}transfer-encoding: chunked\r\n\r\n0x2\r\n{}\r\n0\r\n\r\n${hidden}`],
    ['a chunk size beyond all bounds', `${HEAD}transfer-encoding: chunked\r\n\r\nfffffffffffffffff\r\n{}\r\n0\r\n\r\n${hidden}`],
    ['chunk data longer than said', `${HEAD}transfer-encoding: chunked\r\n\r\n1\r\n{}\r\n0\r\n\r\n${hidden}`],
    ['chunks ended by LF', `${HEAD}transfer-encoding: chunked\r\n\r\n${chunk.replaceAll('\r\n', '\n')}0\n\n${hidden}`],
    ['endless chunk extensions', `${HEAD}transfer-encoding: chunked\r\n\r\n1;${'a'.repeat(40_000)}\r\n{\r\n0\r\n\r\n${hidden}`],
    ['endless trailers', `${HEAD}transfer-encoding: chunked\r\n\r\n${chunk}0\r\nx: ${'a'.repeat(40_000)}\r\n\r\n${hidden}`],
    ['version 2 by hand', `PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n${hidden}`],
    ['version 3.7', `${HEAD.replace('1.1', '3.7')}content-length: 0\r\n\r\n${hidden}`],
    ['a method that is none', `${HEAD.replace('POST', 'PO ST')}content-length: 0\r\n\r\n${hidden}`],
    ['spaces in the path', `${HEAD.replace('/v1/', '/v1 /')}content-length: 0\r\n\r\n${hidden}`],
  ]
  for (const [name, text] of refused) {
    const answer = await bytes(text)
    t.equal(answer.match(/HTTP\/1\.1 \d{3} /g)?.length, 1, `${name}: one answer`)
    t.ok([400, 413, 431].includes(statusOf(answer)), `${name}: ${statusOf(answer)}`)
    t.match(answer, /\{"error":\{.*"code":"/, name)
  }
  t.equal(upstream.seen.length, 0)

  // Two honest requests on one connection are two, in order; what came with the first is not in the second.
  const second = CHAT({ user: 'second' })
  const answers = await bytes(`${HEAD}content-length: ${body.length}\r\n\r\n${body}${HEAD}connection: close\r\ntransfer-encoding: chunked\r\n\r\n5;ext=1\r\n${second.slice(0, 5)}\r\n${(second.length - 5).toString(16)}\r\n${second.slice(5)}\r\n0\r\nx-trailer: 1\r\n\r\n`)
  t.equal(answers.match(/HTTP\/1\.1 200 /g)?.length, 2)
  t.same(upstream.seen.map(call => call.body.toString()), [body, second])
  t.notOk('x-trailer' in upstream.seen[1]!.headers)
  t.notOk(upstream.seen.some(({ headers }) => 'transfer-encoding' in headers), 'what goes upstream has a length')

  // An answer before the body has been read: the rest of the body must not become the next request.
  upstream.seen.length = 0
  const early = await bytes(`POST /nope HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: 100000\r\n\r\n${hidden}`)
  t.equal(early.match(/HTTP\/1\.1 \d{3} /g)?.length, 1)
  t.match(early, /connection: close/i)
  t.equal((await send(chat, CHAT()).answer).status, 200)
  t.same(gateway.runtime.gauges, IDLE)
})

/** A backend that answers each request with these bytes, and then maybe with more. */
const rawBackend = async (t: Test, answer: (socket: Socket, n: number) => void) => {
  let n = 0
  const sockets = new Set<Socket>()
  const server = createServer(socket => {
    sockets.add(socket)
    socket.on('error', () => {})
    socket.on('close', () => sockets.delete(socket))
    let text = ''
    socket.on('data', piece => {
      text += piece.toString('latin1')
      for (let end = text.indexOf('\r\n\r\n'); end >= 0; end = text.indexOf('\r\n\r\n')) {
        const length = Number(/content-length: (\d+)/i.exec(text.slice(0, end))?.[1] ?? 0)
        if (text.length < end + 4 + length) return
        text = text.slice(end + 4 + length)
        answer(socket, n++)
      }
    })
  })
  await new Promise<void>(resolve => { server.listen(0, '127.0.0.1', resolve) })
  t.teardown(() => { for (const socket of sockets) socket.destroy(); server.close() })
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
  const gateway = await startGateway(t, { pools: { main: { backends: [{ url, name: 'b1', models: ['m'] }] } }, retries: { max_attempts: 1 }, timeouts: { first_token: '2s', idle: '2s', connect: '1s' } })
  return { gateway, chat: `${gateway.url}/v1/chat/completions` }
}

const whole = (content: string): string => {
  const text = JSON.stringify({ id: '1', object: 'chat.completion', choices: [{ index: 0, message: { role: 'assistant', content }, finish_reason: 'stop' }] })
  return `HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: ${text.length}\r\n\r\n${text}`
}

t.test('10: what a backend sends beside its answer reaches nobody', async t => {
  const POISON = 'POISONED'
  const cases: [string, (socket: Socket, n: number) => void][] = [
    ['a second answer in the same breath', socket => { socket.write(whole('good') + whole(POISON)) }],
    ['bytes on an idle connection', socket => { socket.write(whole('good')); setTimeout(() => socket.write(whole(POISON)), 20) }],
    ['more body than its length', socket => { socket.write(whole('good') + POISON) }],
  ]
  for (const [name, answer] of cases) {
    const { chat, gateway } = await rawBackend(t, answer)
    for (let i = 0; i < 6; i++) {
      const { status, text } = await send(chat, CHAT()).answer
      t.notMatch(text, POISON, `${name}: ${status}`)
      // Bytes that come while the next request is under way could not be told from its answer by anybody.
      await new Promise(resolve => setTimeout(resolve, 60))
    }
    t.same(gateway.runtime.gauges, IDLE, name)
  }
  const broken: [string, string][] = [
    ['length and chunks', `HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 3\r\ntransfer-encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n`],
    ['two lengths', `HTTP/1.1 200 OK\r\ncontent-length: 2\r\ncontent-length: 30\r\n\r\n{}`],
    ['a flood of interim answers', `${'HTTP/1.1 103 Early Hints\r\nlink: </x>\r\n\r\n'.repeat(5000)}${whole('x')}`],
    ['an endless head', `HTTP/1.1 200 OK\r\nx: ${'y'.repeat(200_000)}\r\n\r\n{}`],
    ['a thousand headers', `HTTP/1.1 200 OK\r\n${'x: y\r\n'.repeat(40_000)}\r\n{}`],
    ['no HTTP at all', 'SSH-2.0-OpenSSH_9.6\r\n'],
    ['a line break in a value', `HTTP/1.1 200 OK\r\nx: a\rb\r\ncontent-length: 2\r\n\r\n{}`],
    ['a switch of protocols', 'HTTP/1.1 101 Switching Protocols\r\nupgrade: h2c\r\nconnection: upgrade\r\n\r\n'],
  ]
  for (const [name, bytes] of broken) {
    const { chat, gateway } = await rawBackend(t, socket => { socket.write(bytes) })
    for (const body of [CHAT(), STREAMED]) {
      const { status, text } = await send(chat, body).answer
      t.ok(status === 502 || status === 504, `${name}: ${status}`)
      t.match(text, /"code":"(backend_error|first_token_timeout)"/, name)
    }
    t.same(gateway.runtime.gauges, IDLE, name)
  }
  // Compressed in spite of `identity`: passed on as it is, and never unpacked here.
  const { chat } = await rawBackend(t, socket => { socket.write('HTTP/1.1 200 OK\r\ncontent-type: application/octet-stream\r\ncontent-encoding: gzip, gzip, gzip, gzip, gzip\r\ncontent-length: 4\r\n\r\n\x1f\x8b\x08\x00', 'latin1') })
  t.match(await send(chat, CHAT()).answer, { status: 200, headers: { 'content-encoding': 'gzip, gzip, gzip, gzip, gzip', 'content-length': '4' } })
})

t.test('11: no header is broken open, none of ours is removed', async t => {
  const { upstream, gateway, chat, bytes } = await underAttack(t)
  for (const line of ['x-request-id: a\rb', 'x-request-id: a\r\n b', 'x-request-id: a\0b', 'traceparent: a\0b', 'x-a\0: b', 'x a: b', ': b', 'x-slo-class: a\nset-cookie: b']) {
    t.equal(statusOf(await bytes(post('/v1/chat/completions', [line], CHAT()))), 400, JSON.stringify(line))
  }
  t.equal(upstream.seen.length, 0)
  for (const id of ['a b', 'a,b', '"quoted"', '<script>', '\u00e9', 'x'.repeat(129), '%0d%0aset-cookie:a', '{{7*7}}', '${jndi:ldap://x}', '__proto__']) {
    const { headers } = await send(chat, CHAT(), { 'x-request-id': id }).answer
    t.match(headers['x-request-id'], /^req-\d+$/, `minted in the place of ${id.slice(0, 20)}`)
    t.equal(upstream.seen.at(-1)!.headers['x-request-id'], headers['x-request-id'])
  }
  t.equal((await send(chat, CHAT(), { 'x-request-id': 'Good.id-1' }).answer).headers['x-request-id'], 'Good.id-1')
  for (const model of ['m\r\nset-cookie: a=b', 'm\u0000', '\u2028', 'm"}', '\ud800']) {
    const answer = await send(chat, CHAT({ model })).answer
    t.equal(answer.status, 404)
    t.notOk('set-cookie' in answer.headers)
  }
  await send(chat, CHAT(), { connection: 'x-request-id, authorization, content-type, host, content-length, x-slo-class', 'x-slo-class': 'nope' }).answer.catch(() => {})
  const kept = await bytes(`POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: ${CHAT().length}\r\nconnection: close, x-request-id, authorization, accept-encoding, content-length, host\r\n\r\n${CHAT()}`)
  t.equal(statusOf(kept), 200)
  t.match(upstream.seen.at(-1)!.headers, { authorization: /backend-secret/, 'x-request-id': /./, 'accept-encoding': 'identity', 'content-length': String(CHAT().length), host: /127/ })
  const reflecting = await rawBackend(t, socket => {
    const text = '{"choices":[{"index":0,"message":{"content":"x"},"finish_reason":"stop"}]}'
    socket.write(`HTTP/1.1 200 OK\r\ncontent-type: application/json\r\nserver: evil\r\nx-sluice-backend: evil\r\nx-request-id: evil\r\nset-cookie: evil=1\r\nx-ratelimit-limit-requests: evil\r\nconnection: x-secret\r\nx-secret: evil\r\nalt-svc: evil\r\nx-should-retry: true\r\nx-fine: fine\r\ncontent-length: ${text.length}\r\n\r\n${text}`)
  })
  const answer = await send(reflecting.chat, CHAT()).answer
  t.equal(answer.status, 200)
  t.notMatch(JSON.stringify(answer.headers), /evil/)
  t.equal(answer.headers['x-fine'], 'fine')
  t.ok(gateway.records.every(({ timeline }) => /^[\w.-]+(~\d+)?$/.test(timeline.id)), 'ids in logs are safe')
})

t.test('12: names that every object has are only names', async t => {
  const names = ['__proto__', 'constructor', 'prototype', 'hasOwnProperty', 'toString', 'valueOf', '__defineGetter__']
  const { upstream, gateway, chat, bytes } = await underAttack(t, {
    classes: { constructor: { ttft: '1s' } }, auth: { keys: [{ name: 'constructor', key: 'k1' }, { name: 'toString', key: 'k2' }] },
    routes: [{ match: { header: { constructor: '*' } }, class: 'constructor' }, { match: { header: { tostring: '*' } }, class: 'constructor' }],
  })
  for (const name of names) {
    t.equal((await send(chat, CHAT({ model: name }), bearer('k1')).answer).status, 404, `model ${name}`)
    t.equal((await send(chat, `{"model":"m","messages":[],"${name}":{"polluted":true,"x":1}}`, bearer('k1')).answer).status, 200, `member ${name}`)
    t.equal((await send(`${chat}?${name}=1&${name}[x]=1`, CHAT(), bearer('k1')).answer).status, 200, `query ${name}`)
    t.equal((await send(chat, CHAT({ metadata: { [name]: 'x' }, stream_options: { [name]: 1 } }), bearer('k2')).answer).status, 200, `inner member ${name}`)
    t.ok([200, 400].includes(statusOf(await bytes(post('/v1/chat/completions', [`${name}: x`, 'x-api-key: k1'], CHAT())))), `header ${name}`)
    if (name !== 'constructor') t.equal((await send(chat, CHAT(), { ...bearer('k1'), 'x-slo-class': name }).answer).status, 400, `class ${name}`)
    t.equal((await send(chat, CHAT(), bearer(name)).answer).status, 401, `key ${name}`)
    t.equal((await send(`${gateway.url}/v1/models/${name}`, undefined, bearer('k1'), 'GET').answer).status, 404)
    if (!['constructor', 'toString', 'valueOf'].includes(name)) t.throws(() => configFrom({ classes: { [name]: {} }, x: name }), ConfigError)
  }
  t.equal((await send(chat, CHAT(), bearer('k1')).answer).headers['x-sluice-class'], 'default', 'what a header object inherits is no header')
  t.match(gateway.records.at(-1), { tenant: 'constructor', route: 'default' })
  t.equal(({} as Record<string, unknown>)['polluted'], undefined)
  const many = `{"model":"m","messages":[],${Array.from({ length: 200_000 }, (_, i) => `"${i * 65_537}":0`).join(',')}}`
  const startedAt = performance.now()
  t.equal((await send(chat, many, bearer('k1')).answer).status, 400, 'members that are numbers')
  t.equal((await send(chat, CHAT({ extra: Object.fromEntries(Array.from({ length: 100_000 }, (_, i) => [String(i * 65_537), 0])) }), bearer('k1')).answer).status, 200, 'deeper they are only bytes')
  t.ok(performance.now() - startedAt < 20_000)
  t.equal(upstream.seen.at(-1)!.method, 'POST')
})

t.test('13: what is judged is what the backend reads', async t => {
  const { upstream, chat } = await underAttack(t)
  const refused: [string, string | Buffer][] = [
    ['a member twice', '{"model":"m","messages":[],"model":"other"}'],
    ['a member twice, once escaped', '{"model":"m","messages":[],"\\u006dodel":"other"}'],
    ['a member in another case', '{"model":"m","messages":[],"Model":"other"}'],
    ['a look-alike', '{"model":"m","messages":[],"me\u017f\u017fages":[]}'],
    ['an inner member twice', '{"model":"m","messages":[],"stream_options":{"include_usage":true,"include_usage":false}}'],
    ['a byte order mark', Buffer.concat([Buffer.from([0xef, 0xbb, 0xbf]), Buffer.from(CHAT())])],
    ['UTF-16', Buffer.from(CHAT(), 'utf16le')],
    ['invalid UTF-8', Buffer.concat([Buffer.from('{"model":"m","messages":["'), Buffer.from([0xc0, 0xaf]), Buffer.from('"]}')])],
    ['depth of 100,000', `{"model":"m","messages":${'['.repeat(100_000)}${']'.repeat(100_000)}}`],
    ['depth of 100,000, never closed', `{"model":"m","messages":${'{"a":'.repeat(100_000)}`],
    ['garbage after it', `${CHAT()}garbage`],
    ['a second object after it', CHAT() + CHAT()],
    ['NaN', '{"model":"m","messages":[],"temperature":NaN}'],
    ['Infinity', '{"model":"m","messages":[],"temperature":-Infinity}'],
    ['single quotes', '{\'model\':\'m\'}'],
    ['a comment', '{"model":"m",/**/"messages":[]}'],
    ['a comma too many', '{"model":"m","messages":[],}'],
    ['a line break in a string', '{"model":"m","messages":["\n"]}'],
    ['1e999 tokens', '{"model":"m","messages":[],"max_tokens":1e999}'],
    ['a leading zero', '{"model":"m","messages":[],"max_tokens":01}'],
    ['half a body', CHAT().slice(0, -3)],
    ['nothing', ''],
    ['a word', 'null'],
  ]
  for (const [name, body] of refused) {
    const { status, text } = await send(chat, body).answer
    t.equal(status, 400, name)
    t.match(JSON.parse(text), { error: { code: 'invalid_request' } }, name)
  }
  t.equal(upstream.seen.length, 0)
  const faithful = [
    '{"model":"m","messages":[],"temperature":1e999,"seed":123456789012345678901234567890,"x":1.0,"y":-0}',
    '{ "messages" :[],\t"model":"m", "x":"\\ud800\\u0000" }',
    `{"model":"m","messages":[{"role":"user","content":${JSON.stringify('x'.repeat(10_000_000))}}]}`,
  ]
  for (const body of faithful) {
    t.equal((await send(chat, body).answer).status, 200)
    t.equal(upstream.seen.at(-1)!.body.toString() === body, true, 'byte by byte')
  }
})

t.test('14: only plain JSON is read', async t => {
  const { upstream, chat } = await underAttack(t)
  for (const type of ['application/json garbage', 'application/jsonx', 'text/plain', 'application/x-www-form-urlencoded', `multipart/form-data; boundary=${'b'.repeat(10_000)}`, 'application/octet-stream', 'json', 'application/', ';', ',application/json', 'application/json, text/html', '*/*', 'application/json\\']) {
    t.equal((await send(chat, CHAT(), { 'content-type': type }).answer).status, 415, type.slice(0, 50))
  }
  t.equal((await send(chat, CHAT(), { 'content-type': `multipart/form-data; boundary=${'b'.repeat(1_000_000)}` }).answer).status, 431)
  for (const encoding of ['gzip', 'deflate', 'br', 'zstd', 'gzip, gzip', 'identity, gzip', 'x']) {
    t.equal((await send(chat, CHAT(), { 'content-encoding': encoding }).answer).status, 415, encoding)
  }
  t.equal(upstream.seen.length, 0)
  for (const type of ['application/json', 'APPLICATION/JSON', 'application/json;charset=utf-8', 'application/json ; charset="utf-8"', 'application/vnd.api+json']) {
    t.equal((await send(chat, CHAT(), { 'content-type': type }).answer).status, 200, type)
  }
})

t.test('15: cost bombs', async t => {
  const { upstream, gateway, chat } = await underAttack(t, { limits: { deny_fields: ['chat_template', 'prompt_embeds', 'priority', 'guided_regex'] } })
  const bombs: object[] = [
    { n: 1e9 }, { n: 129 }, { n: 0 }, { n: -1 }, { n: 1.5 }, { n: '2' }, { n: true }, { n: [] }, { max_tokens: 1e9 }, { max_tokens: -1 }, { max_tokens: '100' }, { max_tokens: 1.5 }, { max_tokens: 2 ** 53 },
    { max_completion_tokens: 1e9 }, { n: 128, max_tokens: 100_000 }, { max_tokens: 1, max_completion_tokens: 1e9 },
    { chat_template: '{% for x in range(10**9) %}' }, { prompt_embeds: 'x' }, { priority: -1e9 }, { guided_regex: '(a+)+$' }, { Priority: 1 },
  ]
  for (const bomb of bombs) t.equal((await send(chat, CHAT(bomb)).answer).status, 400, JSON.stringify(bomb))
  const elsewhere: [string, object][] = [
    ['/v1/completions', { model: 'm', prompt: 'x', best_of: 1e9 }], ['/v1/completions', { model: 'm', prompt: Array(100_000).fill('x') }],
    ['/v1/completions', { model: 'm', prompt: Array(2000).fill('x'), max_tokens: 1000 }], ['/v1/embeddings', { model: 'm', input: Array(100_000).fill('x') }],
    ['/v1/responses', { model: 'm', input: 'x', max_output_tokens: 1e9 }], ['/v1/messages', { model: 'm', messages: [], max_tokens: 1e9 }],
    ['/generate', { inputs: 'x', parameters: { max_new_tokens: 1e9 } }], ['/generate', { inputs: 'x', parameters: { best_of: 1e6 } }],
    ['/generate', { text: 'x', sampling_params: { n: 1e6 } }], ['/generate', { text: ['x', 'y'], sampling_params: [{ n: 1 }, { n: 1e6 }] }], ['/generate', { text: ['x'], sampling_params: [{ max_new_tokens: 1e9 }] }],
  ]
  for (const [path, body] of elsewhere) t.equal((await send(`${gateway.url}${path}`, JSON.stringify(body)).answer).status, 400, `${path} ${JSON.stringify(body).slice(0, 60)}`)
  t.equal(upstream.seen.length, 0)
  t.equal((await send(chat, CHAT({ n: 2, max_tokens: 100 })).answer).status, 200)
})

t.test('16: no pattern of a client\'s is ever run, and those of the configuration cannot explode', async t => {
  const { chat } = await underAttack(t, { routes: [{ match: { model: '*a*a*a*a*a*a*a*a*a*a*b', header: { 'x-a': '*x*x*x*x*x*x*x*x*y' } }, class: 'default' }], auth: { keys: [{ name: 'k', key: 'k', models: ['*a*a*a*a*a*a*a*a*a*c', 'm'] }] } })
  const startedAt = performance.now()
  t.equal((await send(chat, CHAT({ model: 'a'.repeat(1000) }), { ...bearer('k'), 'x-a': 'x'.repeat(12_000) }).answer).status, 403)
  t.equal((await send(chat, CHAT({ stop: ['(a+)+$'], model: 'm' }), { ...bearer('k'), 'x-a': 'x'.repeat(12_000), 'x-request-id': 'a'.repeat(2000), traceparent: `00-${'0'.repeat(500)}`, 'x-slo-class': 'default' }).answer).status, 200)
  for (const header of ['x-request-id', 'traceparent', 'tracestate', 'content-type', 'host', 'x-slo-ttft-ms', 'x-slo-class', 'authorization', 'x-stainless-timeout']) {
    for (const piece of ['a', '-', '.', ' ', ',', 'a=b,', '0', '+', ';a=']) await send(chat, CHAT(), { ...bearer('k'), [header]: piece.repeat(Math.floor(12_000 / piece.length)) }).answer
  }
  t.ok(performance.now() - startedAt < 30_000)
})

t.test('17: what a stranger says of itself by X-Forwarded-* is neither believed nor passed on', async t => {
  const { upstream, gateway, chat } = await underAttack(t, { auth: { keys: [{ name: 'k', key: 'k' }] } })
  const headers = { 'x-forwarded-for': '127.0.0.1', 'x-forwarded-proto': 'https', 'x-forwarded-host': 'localhost', 'x-forwarded-port': '9090', 'x-real-ip': '127.0.0.1', forwarded: 'for=127.0.0.1', 'x-client-ip': '127.0.0.1', 'true-client-ip': '127.0.0.1', via: '1.1 x' }
  t.equal((await send(chat, CHAT(), headers).answer).status, 401)
  for (const url of [chat, `${gateway.url}/tokenize`]) {
    t.equal((await send(url, CHAT(), { ...headers, ...bearer('k') }).answer).status, 200)
    t.same(Object.keys(upstream.seen.at(-1)!.headers).filter(name => name in headers), [], url)
  }
})
