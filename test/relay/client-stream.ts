import { once } from 'node:events'
import { createServer, get, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import t, { type Test } from 'tap'
import { ClientStream } from '../../src/relay/client-stream.js'
import { settleTurn } from '../../src/relay/turn.js'

/** A stream and the answer that its client gets, not read yet. */
async function open (server: Server): Promise<{ stream: ClientStream, answer: IncomingMessage }> {
  const asked = once(server, 'request') as Promise<[IncomingMessage, ServerResponse]>
  const answered = once(get({ port: (server.address() as AddressInfo).port, agent: false }), 'response') as Promise<[IncomingMessage]>
  const stream = new ClientStream((await asked)[1])
  stream.head(200, ['content-type', 'text/event-stream'])
  stream.write(Buffer.from('data: first\n\n'))
  settleTurn()
  return { stream, answer: (await answered)[0] }
}

async function listen (t: Test): Promise<Server> {
  const server = createServer()
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

t.test('pieces of every size arrive as they were given, alone and together', async t => {
  const server = await listen(t)
  const { stream, answer } = await open(server)
  const sent: string[] = ['data: first\n\n']
  const sizes = [1, 15, 16, 17, 255, 256, 257, 1011, 1012, 1023, 1024, 4095, 4096, 16_371, 16_372, 16_373, 16_384, 32_768, 32_769, 70_000]
  for (const together of [1, 2, 3]) {
    for (let i = 0; i < sizes.length; i++) {
      const text = String.fromCharCode(97 + i).repeat(sizes[i]!)
      sent.push(text)
      stream.write(Buffer.from(text))
      if (i % together === 0) settleTurn()
    }
  }
  stream.end()
  settleTurn()
  const text = await read(answer)
  t.equal(text.length, sent.join('').length)
  t.ok(text === sent.join(''))
  t.equal(stream.bytesWritten, text.length)
})
