import t from 'tap'
import { ResponseParser } from '../../src/bench/http/response-parser.js'
import { createRandom, integerBelow } from '../../src/core/index.js'

interface Seen { status: number, body: string, reusable: boolean }

const reader = () => {
  const seen: Seen[] = []
  let status = 0
  let body = ''
  const parser = new ResponseParser({
    head: head => { status = head.status },
    body: bytes => { body += bytes.toString('latin1') },
    end: reusable => {
      seen.push({ status, body, reusable })
      body = ''
    },
  })
  return { parser, seen, partial: () => body }
}

const CHUNKED = 'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n7;x=y\r\n, world\r\n0\r\nTrailer: 1\r\n\r\n'

t.test('every framing, cut anywhere', async t => {
  const cases: [string, Seen][] = [
    [CHUNKED, { status: 200, body: 'hello, world', reusable: true }],
    ['HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 429 Too Many\r\nContent-Length: 4\r\nConnection: close\r\n\r\nbusy', { status: 429, body: 'busy', reusable: false }],
    ['HTTP/1.1 204 No Content\r\n\r\n', { status: 204, body: '', reusable: true }],
    ['HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n', { status: 200, body: '', reusable: true }],
    ['HTTP/1.0 200 OK\r\ncontent-length: 2\r\n\r\nok', { status: 200, body: 'ok', reusable: false }],
  ]
  const random = createRandom(1)
  for (const [text, expected] of cases) {
    for (let round = 0; round < 30; round++) {
      const { parser, seen } = reader()
      for (let at = 0; at < text.length;) {
        const size = round === 0 ? text.length : 1 + integerBelow(random, 7)
        parser.push(Buffer.from(text.slice(at, at + size)))
        at += size
      }
      t.same(seen, [expected])
    }
  }
})

t.test('responses follow each other on one connection', async t => {
  const { parser, seen } = reader()
  for (let i = 0; i < 3; i++) parser.push(Buffer.from(CHUNKED))
  t.equal(seen.length, 3)
  t.notOk(parser.begun)
})

t.test('a body without a length ends with the connection, any other does not', async t => {
  const open = reader()
  open.parser.push(Buffer.from('HTTP/1.1 200 OK\r\n\r\nall of it'))
  t.ok(open.parser.close())
  t.same(open.seen, [{ status: 200, body: 'all of it', reusable: false }])
  const cut = reader()
  cut.parser.push(Buffer.from(CHUNKED.slice(0, -10)))
  t.notOk(cut.parser.close())
  t.ok(cut.parser.begun)
  t.equal(cut.partial(), 'hello, world')
})

t.test('what is no HTTP is said', async t => {
  t.throws(() => { reader().parser.push(Buffer.from('220 mail\r\n\r\n')) }, /expected an HTTP\/1.1 response/)
  t.throws(() => { reader().parser.push(Buffer.from(CHUNKED.replace('5\r\n', 'five\r\n'))) }, /size of a chunk/)
  t.throws(() => { reader().parser.push(Buffer.from(`${CHUNKED}HTTP/1.1 200`)) }, /after the end/)
})
