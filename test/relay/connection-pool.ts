import { once } from 'node:events'
import { createServer, type AddressInfo, type Socket } from 'node:net'
import t from 'tap'
import type { HostNames } from '../../src/relay/http1/connection.js'
import { ConnectionPool } from '../../src/relay/http1/pool.js'

type OnRequest = (socket: Socket, request: string, connection: number) => void

async function serve (t: Tap, onRequest: OnRequest) {
  let connections = 0
  const sockets = new Set<Socket>()
  const server = createServer(socket => {
    const connection = ++connections
    sockets.add(socket)
    socket.on('error', () => {})
    socket.on('close', () => sockets.delete(socket))
    socket.on('data', bytes => onRequest(socket, bytes.toString('latin1'), connection))
  }).listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  const pool = new ConnectionPool({ host: '127.0.0.1', port, tls: undefined, connectTimeoutMs: 2000, names: undefined }, `127.0.0.1:${port}`, { now: () => performance.now() })
  t.teardown(() => {
    pool.destroy()
    for (const socket of sockets) socket.destroy()
    server.close()
  })
  return { pool, connections: () => connections, sockets }
}
type Tap = Pick<typeof t, 'teardown'>

interface Answer { status: number, body: string, error: string | undefined }

function ask (pool: ConnectionPool, body = 'x'): Promise<Answer> {
  return new Promise(resolve => {
    const answer: Answer = { status: 0, body: '', error: undefined }
    pool.dispatch({ method: 'POST', path: '/p?q', headers: ['content-type', 'application/json'], body: Buffer.from(body) }, {
      onConnect () {},
      onHeaders (status) { answer.status = status },
      onData (bytes, from, to) { answer.body += bytes.toString('latin1', from, to); return true },
      onComplete () { resolve(answer) },
      onError (error) { answer.error = error.code ?? error.message; resolve(answer) },
    })
  })
}

const ok = (body: string, more = '') => `HTTP/1.1 200 OK\r\n${more}content-length: ${body.length}\r\n\r\n${body}`

t.test('one connection serves request after request, and the request is what was asked', async t => {
  const seen: string[] = []
  const { pool, connections } = await serve(t, (socket, request) => { seen.push(request); socket.write(ok('fine')) })
  t.match(await ask(pool), { status: 200, body: 'fine' })
  t.match(await ask(pool, 'y'.repeat(3)), { body: 'fine' })
  t.equal(connections(), 1)
  t.match(seen[1], /^POST \/p\?q HTTP\/1\.1\r\nhost: 127\.0\.0\.1:\d+\r\ncontent-type: application\/json\r\ncontent-length: 3\r\n\r\nyyy$/)
})

t.test('requests of every size arrive as they were sent, many at once and one after the other on a connection', async t => {
  const incoming = new Map<number, string>()
  const { pool } = await serve(t, (socket, piece, connection) => {
    const text = (incoming.get(connection) ?? '') + piece
    const [head, body] = text.split('\r\n\r\n')
    const whole = body !== undefined && body.length === Number(/content-length: (\d+)/.exec(head!)![1])
    incoming.set(connection, whole ? '' : text)
    if (whole) socket.write(ok(body))
  })
  const bodies = [0, 1, 300, 10_000, 16_200, 16_300, 16_383, 16_384, 16_385, 20_000, 70_000, 1_000_000, 2].map((size, i) => String.fromCharCode(97 + i).repeat(size))
  for (let round = 0; round < 3; round++) {
    const answers = await Promise.all(bodies.map(body => ask(pool, body)))
    for (const [i, { body }] of answers.entries()) t.ok(body === bodies[i], `${bodies[i]!.length} bytes`)
  }
  for (const body of bodies) t.ok((await ask(pool, body)).body === body)
  // Around where a request no longer fits where most are put together, its head included.
  for (let size = 16_250; size < 16_320; size++) {
    const body = String.fromCharCode(97 + size % 26).repeat(size)
    t.ok((await ask(pool, body)).body === body, `${size} bytes`)
  }
})

t.test('a request goes behind what the backend has not read of the one before it, and stays what it was', async t => {
  const incoming: string[] = []
  const { pool, sockets } = await serve(t, (socket, piece, connection) => {
    if (connection > 1 || piece.endsWith('first')) return void socket.write(ok('other'))
    const begins = incoming.length === 0
    incoming.push(piece)
    if (piece.endsWith('second')) socket.write(ok('late'))
    if (!begins) return
    // Answered before it has been read.
    socket.pause()
    socket.write(ok('early'))
  })
  const large = 'l'.repeat(16 * 1024 * 1024)
  t.match(await ask(pool, 'first'), { body: 'other' })
  t.match(await ask(pool, large), { body: 'early' })
  const second = ask(pool, 'second')
  await new Promise(setImmediate)
  t.match(await ask(pool, 'o'.repeat(500)), { body: 'other' })
  for (const socket of sockets) socket.resume()
  t.match(await second, { body: 'late' })
  const [, first, behind] = /^POST [^]*?\r\n\r\n(l*)(POST [^]*)$/.exec(incoming.join('')) ?? []
  t.equal(first?.length, large.length)
  t.match(behind, /^POST \/p\?q HTTP\/1\.1\r\n.*\r\ncontent-length: 6\r\n\r\nsecond$/s)
})

t.test('requests at once have connections of their own, and no cap holds one back', async t => {
  const { pool, connections } = await serve(t, socket => { setTimeout(() => socket.write(ok('fine')), 30) })
  const answers = await Promise.all(Array.from({ length: 150 }, () => ask(pool)))
  t.ok(answers.every(answer => answer.body === 'fine'))
  t.equal(connections(), 150)
})

t.test('a connection that the backend closed under a request is replaced, once and only where nothing was answered', async t => {
  let requests = 0
  const { pool, connections } = await serve(t, (socket, _request, connection) => {
    requests++
    if (requests === 2) socket.resetAndDestroy()
    else socket.write(ok(`by ${connection}`))
  })
  t.match(await ask(pool), { body: 'by 1' })
  t.match(await ask(pool), { body: 'by 2', error: undefined })
  t.equal(connections(), 2)
})

t.test('a fresh connection that is closed without an answer is a failure', async t => {
  const { pool, connections } = await serve(t, socket => socket.resetAndDestroy())
  t.equal((await ask(pool)).error, 'ECONNRESET')
  t.equal(connections(), 1)
})

t.test('an answer that breaks off is a failure and is not asked for again', async t => {
  let requests = 0
  const { pool } = await serve(t, socket => {
    if (++requests === 1) socket.write(ok('fine'))
    else { socket.write('HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nhal'); socket.end() }
  })
  await ask(pool)
  t.match(await ask(pool), { body: 'hal', error: 'ECONNRESET' })
  t.equal(requests, 2)
})

t.test('unasked bytes on an idle connection poison nobody', async t => {
  const { pool, connections, sockets } = await serve(t, (socket, _request, connection) => { socket.write(ok(`by ${connection}`)) })
  await ask(pool)
  for (const socket of sockets) socket.write(ok('poison'))
  await new Promise<void>(resolve => { for (const socket of sockets) socket.once('close', () => resolve()) })
  t.match(await ask(pool), { body: 'by 2' })
  t.equal(connections(), 2)
})

t.test('an answer that asks for it closes the connection', async t => {
  const { pool, connections } = await serve(t, socket => { socket.write(ok('fine', 'connection: close\r\n')) })
  await ask(pool)
  await ask(pool)
  t.equal(connections(), 2)
})

t.test('abort destroys the connection and tells nothing', async t => {
  let gone: () => void
  const left = new Promise<void>(resolve => { gone = resolve })
  const { pool } = await serve(t, socket => { socket.on('close', () => gone()) })
  pool.dispatch({ method: 'POST', path: '/', headers: [], body: Buffer.from('x') }, {
    onConnect (opened) { setTimeout(() => { opened.destroy() }, 20) },
    onHeaders () { t.fail('told') },
    onData () { t.fail('told'); return true },
    onComplete () { t.fail('told') },
    onError () { t.fail('told') },
  })
  await left
})

t.test('a reader that has enough stops the backend until it resumes', async t => {
  const size = 24 * 1024 * 1024
  const { pool, sockets } = await serve(t, socket => { socket.write(`HTTP/1.1 200 OK\r\ncontent-length: ${size}\r\n\r\n`); socket.write(Buffer.alloc(size)) })
  let resume: (() => void) | undefined
  let bytesRead = 0
  const done = new Promise<void>((resolve, reject) => {
    pool.dispatch({ method: 'POST', path: '/', headers: [], body: Buffer.from('x') }, {
      onConnect () {},
      onHeaders (_status, _raw, go) { resume = go },
      onData (_bytes, from, to) { bytesRead += to - from; return false },
      onComplete: resolve,
      onError: reject,
    })
  })
  while (bytesRead === 0) await new Promise(resolve => setImmediate(resolve))
  const held = bytesRead
  for (let i = 0; i < 50; i++) await new Promise(resolve => setImmediate(resolve))
  t.equal(bytesRead, held, 'nothing comes while paused')
  t.ok([...sockets][0]!.writableLength > 0, 'the backend is held up')
  const timer = setInterval(() => resume!(), 1)
  await done
  clearInterval(timer)
  t.equal(bytesRead, size)
})

t.test('a host that moves is followed: what leads to its old address is used no more', async t => {
  const seen: string[] = []
  const serveAt = async (host: string, port: number) => {
    const server = createServer(socket => {
      socket.on('error', () => {})
      socket.on('data', () => { seen.push(host); socket.write(ok(host)) })
    }).listen(port, host)
    await once(server, 'listening')
    t.teardown(() => { server.close() })
    return (server.address() as AddressInfo).port
  }
  const port = await serveAt('127.0.0.1', 0)
  await serveAt('127.0.0.2', port)
  let address = '127.0.0.1'
  let looked = 0
  const names: HostNames = {
    lookup: (_host, options, done) => {
      looked++
      setImmediate(() => { if (options.all === true) done(null, [{ address, family: 4 }]); else done(null, address, 4) })
    },
    holds: (_host, known) => known === address,
  }
  const pool = new ConnectionPool({ host: 'gpu.test', port, tls: undefined, connectTimeoutMs: 2000, names }, `gpu.test:${port}`, { now: () => performance.now() })
  t.teardown(() => { pool.destroy() })
  t.match(await ask(pool), { body: '127.0.0.1' })
  t.match(await ask(pool), { body: '127.0.0.1' })
  t.equal(looked, 1, 'a connection is used again while the host stays')
  address = '127.0.0.2'
  t.match(await ask(pool), { body: '127.0.0.2' })
  t.equal(pool.size, 1, 'the old one is gone')
})

t.test('a name that is never resolved ends with the connect timeout, and can be given up before', async t => {
  const names: HostNames = { lookup: () => {}, holds: () => true }
  const pool = new ConnectionPool({ host: 'gpu.test', port: 9, tls: undefined, connectTimeoutMs: 100, names }, 'gpu.test:9', { now: () => performance.now() })
  t.teardown(() => { pool.destroy() })
  t.match(await ask(pool), { error: 'ERR_CONNECT_TIMEOUT' })
  while (pool.size > 0) await new Promise(resolve => setImmediate(resolve))
  pool.connectTimeoutMs = 60_000
  let giveUp: (() => void) | undefined
  pool.dispatch({ method: 'POST', path: '/', headers: [], body: Buffer.from('x') }, {
    onOpening (opened) { giveUp = () => { opened.destroy() } },
    onConnect () { t.fail('told') },
    onHeaders () { t.fail('told') },
    onData () { t.fail('told'); return true },
    onComplete () { t.fail('told') },
    onError () { t.fail('told') },
  })
  t.equal(pool.size, 1)
  giveUp!()
  while (pool.size > 0) await new Promise(resolve => setImmediate(resolve))
})
