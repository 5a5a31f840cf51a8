// What SIGTERM means: no new work, and an answer that says so, for as long as anything runs; never longer than the grace.
import { once } from 'node:events'
import type { ServerResponse } from 'node:http'
import { connect, type Socket } from 'node:net'
import t, { type Test } from 'tap'
import { CHAT, send, STREAMED } from '../helpers/client.js'
import { serve } from '../helpers/program.js'
import { chatEvents, scriptedUpstream, STREAM_HEAD, type Script } from '../helpers/upstream.js'

const EVENTS = chatEvents(['a', 'b'])

/** The whole program before one server that answers as `script` says, and how to speak to it. */
const setUp = async (t: Test, script: Script, drain: string) => {
  const upstream = await scriptedUpstream((seen, response) => {
    if (seen.method === 'GET') response.writeHead(200).end('{}')
    else void script(seen, response)
  })
  t.teardown(() => upstream.close())
  const program = await serve(t, { pools: { main: { backends: [{ url: upstream.url, name: 'b1', engine: 'vllm', models: ['m'] }] } }, timeouts: { drain }, log: { requests: false } })
  const port = Number(new URL(program.url).port)
  /** A connection that is new; resolves with all that came until the other side closed it. */
  const anew = async (path: string) => {
    const socket = connect(port, '127.0.0.1')
    await once(socket, 'connect')
    socket.write(post(path, CHAT()))
    return all(socket)
  }
  const ready = async () => (await send(`${program.admin.replace(/\/$/, '')}/health/ready`, undefined, {}, 'GET').answer).status
  return { upstream, program, port, anew, ready }
}

const post = (path: string, body: string) => `POST ${path} HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: ${body.length}\r\n\r\n${body}`
const all = async (socket: Socket) => {
  let text = ''
  socket.on('data', bytes => { text += String(bytes) })
  await once(socket, 'close')
  return text
}
const DRAINING = /^HTTP\/1\.1 503 [^]*\r\nconnection: close\r\n[^]*"code":"draining"/i

t.test('R32: as long as a stream runs, who comes anew is let in and refused with `draining`', async t => {
  let finish!: () => void
  const { program, port, anew, ready } = await setUp(t, (_seen, response) => {
    response.writeHead(200, STREAM_HEAD).write(EVENTS.slice(0, 2).join(''))
    finish = () => { response.end(EVENTS.slice(2).join('')) }
  }, '30s')
  t.equal(await ready(), 200)
  // One that was there before, and has asked for nothing yet.
  const old = connect(port, '127.0.0.1')
  await once(old, 'connect')
  const stream = send(`${program.url}/v1/chat/completions`, STREAMED)
  await stream.firstBytes
  const ended = program.stop()
  while (await ready() === 200) await new Promise(resolve => setTimeout(resolve, 5))
  for (const path of ['/v1/chat/completions', '/tokenize', '/v1/chat/completions']) t.match(await anew(path), DRAINING, path)
  old.write(post('/v1/chat/completions', CHAT()))
  t.match(await all(old), DRAINING, 'on a connection of before')
  t.equal(await ready(), 503)
  finish()
  const { status, text, cutOff } = await stream.answer
  t.match([status, text, cutOff], [200, EVENTS.join(''), false])
  t.equal(await ended, 0)
})

t.test('R32: a call that is passed through is waited for as a stream is', async t => {
  let held: ServerResponse | undefined
  const { program, anew, ready } = await setUp(t, (_seen, response) => { held = response }, '30s')
  const call = send(`${program.url}/tokenize`, '{}')
  while (held === undefined) await new Promise(resolve => setTimeout(resolve, 5))
  const ended = program.stop()
  while (await ready() === 200) await new Promise(resolve => setTimeout(resolve, 5))
  t.match(await anew('/v1/chat/completions'), DRAINING)
  held.writeHead(200, { 'content-type': 'application/json' }).end('{"tokens":[]}')
  t.match(await call.answer, { status: 200, text: '{"tokens":[]}', cutOff: false })
  t.equal(await ended, 0)
})

t.test('R32: the grace bounds it all, whatever still runs and whoever does not read', async t => {
  const { upstream, program, port } = await setUp(t, (seen, response) => {
    if (seen.url === '/tokenize') return void response.writeHead(200, { 'content-type': 'application/json' }).end(Buffer.alloc(2 ** 25, 0x20))
    response.writeHead(200, STREAM_HEAD).write(EVENTS.slice(0, 2).join(''))
  }, '1s')
  const stream = send(`${program.url}/v1/chat/completions`, STREAMED)
  await stream.firstBytes
  const deaf = connect(port, '127.0.0.1', () => { deaf.write(post('/tokenize', '{}')) }).pause().on('error', () => {})
  t.teardown(() => { deaf.destroy() })
  while (upstream.open < 2) await new Promise(resolve => setTimeout(resolve, 5))
  const askedAtMs = performance.now()
  t.equal(await program.stop(), 0)
  t.ok(performance.now() - askedAtMs < 10_000, 'long before the client that does not read would have been cut')
  const { text } = await stream.answer
  t.match(text, /"code":"draining"/)
  t.notMatch(text, /\[DONE\]/)
})
