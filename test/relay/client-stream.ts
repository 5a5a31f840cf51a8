import { once } from 'node:events'
import { closeSync, fstatSync, openSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { createServer, get, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import { createServer as createTlsServer, get as getSecurely } from 'node:https'
import type { AddressInfo, Socket } from 'node:net'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { ClientStream } from '../../src/relay/client-stream.js'
import { settleTurn } from '../../src/relay/turn.js'

/** A stream and the answer that its client gets, not read yet. */
async function open (server: Server, ca?: Buffer): Promise<{ stream: ClientStream, answer: IncomingMessage, socket: Socket }> {
  const asked = once(server, 'request') as Promise<[IncomingMessage, ServerResponse]>
  const { port } = server.address() as AddressInfo
  const call = ca === undefined ? get({ port, agent: false }) : getSecurely({ port, host: '127.0.0.1', ca, agent: false })
  const answered = once(call, 'response') as Promise<[IncomingMessage]>
  const response = (await asked)[1]
  const socket = response.socket!
  const stream = new ClientStream(response)
  stream.head(200, ['content-type', 'text/event-stream'])
  stream.write(Buffer.from('data: first\n\n'))
  settleTurn()
  return { stream, answer: (await answered)[0], socket }
}

async function listen (t: Test, server: Server = createServer()): Promise<Server> {
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.teardown(() => { server.close() })
  return server
}

async function read (answer: IncomingMessage): Promise<string> {
  let text = ''
  for await (const bytes of answer.setEncoding('latin1')) text += bytes as string
  return text
}

t.test('what hurries has left before the turn ends, and what comes later in it follows', async t => {
  const server = await listen(t)
  const { stream, answer, socket } = await open(server)
  const other = await open(server)
  const read: string[] = []
  answer.setEncoding('latin1').on('data', text => { read.push(text as string) }).on('error', () => {})
  stream.write(Buffer.from('data: hurries\n\n'))
  other.stream.write(Buffer.from('data: waits\n\n'))
  stream.hurry()
  stream.hurry()
  stream.write(Buffer.from('data: later\n\n'))
  settleTurn()
  stream.write(Buffer.from('data: gone at once\n\n'))
  stream.hurry()
  // Only what the kernel has arrives now.
  socket.destroy()
  await new Promise(resolve => answer.once('close', resolve))
  t.equal(read.join(''), 'data: first\n\ndata: hurries\n\ndata: later\n\ndata: gone at once\n\n')
  other.stream.end()
  settleTurn()
  let text = ''
  for await (const bytes of other.answer.setEncoding('latin1')) text += bytes as string
  t.equal(text, 'data: first\n\ndata: waits\n\n')
})

t.test('what waits for a slow client stays what it was, whatever others are sent meanwhile', async t => {
  const server = await listen(t)
  const slow = await open(server)
  const fast = await open(server)
  const others: string[] = ['data: first\n\n']
  const tellOthers = (count: number) => {
    for (let i = 0; i < count; i++) {
      const text = `${others.length}:`.padEnd(20 + i % 7 * 2200, 'f')
      others.push(text)
      fast.stream.write(Buffer.from(text))
      settleTurn()
    }
  }
  tellOthers(20)
  const sent: string[] = ['data: first\n\n']
  let keepsUp = true
  for (let i = 0; keepsUp; i++) {
    if (i === 20_000) return t.fail('the socket takes without end')
    const text = `${i}:`.padEnd(700 + i % 5 * 2000, 's')
    sent.push(text)
    slow.stream.write(Buffer.from(text))
    settleTurn()
    keepsUp = slow.stream.write(Buffer.alloc(0))
  }
  tellOthers(20)
  sent.push('one more')
  slow.stream.write(Buffer.from('one more'))
  settleTurn()
  tellOthers(20)
  slow.stream.end()
  fast.stream.end()
  settleTurn()
  const [slowText, fastText] = await Promise.all([read(slow.answer), read(fast.answer)])
  t.ok(fastText === others.join(''), 'the fast one has its own bytes')
  t.ok(slowText === sent.join(''), 'the slow one has its own bytes')
})

const SIZES = [1, 15, 16, 17, 255, 256, 257, 1011, 1012, 1023, 1024, 4095, 4096, 16_371, 16_372, 16_373, 16_384, 32_768, 32_769, 70_000]

/** Every size alone, then several together. */
async function tellInEverySize ({ stream, answer }: { stream: ClientStream, answer: IncomingMessage }): Promise<{ sent: string, got: string }> {
  const sent: string[] = ['data: first\n\n']
  const got = read(answer)
  for (const together of [1, 2, 3]) {
    for (const [i, size] of SIZES.entries()) {
      const text = String.fromCharCode(97 + i).repeat(size)
      sent.push(text)
      stream.write(Buffer.from(text))
      if (i % together > 0) continue
      settleTurn()
      await new Promise(setImmediate)
    }
  }
  stream.end()
  settleTurn()
  return { sent: sent.join(''), got: await got }
}

t.test('pieces of every size arrive as they were given, alone and together', async t => {
  const opened = await open(await listen(t))
  const { sent, got } = await tellInEverySize(opened)
  t.equal(got.length, sent.length)
  t.ok(got === sent)
  t.equal(opened.stream.bytesWritten, got.length)
  // What went out past the stream's queue is not in its count.
  t.ok(opened.socket.bytesWritten < got.length, `${opened.socket.bytesWritten} of ${got.length} bytes by way of the queue`)
})

t.test('over TLS nothing goes past the encryption', async t => {
  const pem = (name: string) => readFile(new URL(`../fixtures/tls/${name}`, import.meta.url))
  const [cert, key, ca] = await Promise.all([pem('server.pem'), pem('server.key'), pem('ca.pem')])
  const { sent, got } = await tellInEverySize(await open(await listen(t, createTlsServer({ cert, key })), ca))
  t.equal(got.length, sent.length)
  t.ok(got === sent)
})

t.test('nothing overtakes what is queued', async t => {
  const { stream, answer, socket } = await open(await listen(t))
  const got = read(answer)
  // The head has left.
  await new Promise(setImmediate)
  const sent = ['data: first\n\n', 'a'.repeat(20_000), 'b'.repeat(100), 'c'.repeat(100)]
  socket.cork()
  for (const text of sent.slice(1)) {
    stream.write(Buffer.from(text))
    settleTurn()
  }
  socket.uncork()
  stream.end()
  t.ok(await got === sent.join(''))
})

t.test('what the kernel does not take goes before what comes later, small or large', async t => {
  const { stream, answer } = await open(await listen(t))
  await new Promise(setImmediate)
  const sent = ['data: first\n\n']
  const tell = (text: string) => {
    sent.push(text)
    stream.write(Buffer.from(text))
    settleTurn()
  }
  for (let i = 0; i < 5; i++) tell(`${i}`.repeat(300))
  // More than the kernel takes of a client that does not read yet.
  tell('l'.repeat(16 * 1024 * 1024))
  for (let i = 5; i < 10; i++) tell(`${i}`.repeat(300))
  const got = read(answer)
  while (!stream.write(Buffer.alloc(0))) await new Promise(setImmediate)
  for (let i = 0; i < 5; i++) tell(`${i}`.repeat(300))
  stream.end()
  settleTurn()
  t.ok(await got === sent.join(''))
})

t.test('streams that write in turns, and all at once, have their own bytes in order', async t => {
  const server = await listen(t)
  const opened = [await open(server), await open(server), await open(server)]
  await new Promise(setImmediate)
  const got = opened.map(({ answer }) => read(answer))
  const sent = opened.map(() => 'data: first\n\n')
  for (let round = 0; round < 40; round++) {
    // Up to more than fits where they wait.
    for (let piece = 0; piece < round % 5; piece++) {
      for (const [i, { stream }] of opened.entries()) {
        const text = `${i}:${round}:${piece}`.padEnd(20 + round * round * 8 * ((piece + 1) % 3), '.')
        sent[i] += text
        const bytes = Buffer.from(`<${text}>`)
        stream.write(bytes, 1, bytes.length - 1)
        bytes.fill('x')
      }
    }
    settleTurn()
    if (round % 7 === 0) await new Promise(setImmediate)
  }
  for (const { stream } of opened) stream.end()
  settleTurn()
  for (const [i, text] of (await Promise.all(got)).entries()) t.ok(text === sent[i], `stream ${i}`)
})

t.test('a closed socket\'s descriptor, which may be another one\'s by then, gets nothing', async t => {
  const server = await listen(t)
  const closed = await open(server)
  await new Promise(setImmediate)
  closed.stream.write(Buffer.from('seen'))
  settleTurn()
  const { fd } = (closed.socket as unknown as { _handle: { fd: number } })._handle
  closed.stream.write(Buffer.from('not seen'))
  const other = join(t.testdir(), 'other')
  // Before the stream is told.
  closed.socket.destroy()
  // The lowest free descriptor is given out first, and ones below may have come free since this one was.
  const files = [openSync(other, 'w')]
  while (files.at(-1)! < fd) files.push(openSync(other, 'w'))
  t.teardown(() => { files.forEach(closeSync) })
  const file = files.at(-1)!
  t.equal(file, fd, 'the descriptor is in use again')
  closed.stream.write(Buffer.from('nor this'))
  settleTurn()
  t.equal(fstatSync(file).size, 0)
})
