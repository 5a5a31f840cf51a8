import fc from 'fast-check'
import t from 'tap'
import { ResponseError, ResponseParser, type ResponseSink } from '../../src/relay/http1/response-parser.js'

interface Told { status: number, headers: string[], body: string, interim: number[], ended: boolean, reusable: boolean | undefined, error: string | undefined }

function read (pieces: readonly Buffer[], options: { toHead?: boolean, closed?: boolean } = {}): Told {
  const told: Told = { status: 0, headers: [], body: '', interim: [], ended: false, reusable: undefined, error: undefined }
  const sink: ResponseSink = {
    onHead (status, raw) {
      if (status < 200) told.interim.push(status)
      else { told.status = status; told.headers = raw }
    },
    onBody (bytes, from, to) { told.body += bytes.toString('latin1', from, to) },
    onEnd (reusable) { told.ended = true; told.reusable = reusable },
  }
  const parser = new ResponseParser(sink)
  parser.reset(options.toHead)
  try {
    for (const piece of pieces) parser.execute(piece)
    if (options.closed === true) parser.closed()
  } catch (error) {
    if (!(error instanceof ResponseError)) throw error
    told.error = error.message
  }
  return told
}

const one = (text: string, options = {}) => read([Buffer.from(text, 'latin1')], options)

t.test('answers are read by their framing', async t => {
  t.match(one('HTTP/1.1 200 OK\r\nContent-Length: 5\r\nX-A: b\r\n\r\nhello'), { status: 200, body: 'hello', headers: ['Content-Length', '5', 'X-A', 'b'], ended: true, reusable: true })
  t.match(one('HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\nA;x=y\r\n0123456789\r\n0\r\nTrailer: z\r\n\r\n'), { body: 'hello0123456789', ended: true, reusable: true })
  t.match(one('HTTP/1.1 200\r\ncontent-length: 0\r\n\r\n'), { status: 200, body: '', ended: true })
  t.match(one('HTTP/1.1 204 No Content\r\n\r\n'), { status: 204, ended: true, reusable: true })
  t.match(one('HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\ncontent-length: 1\r\n\r\nx'), { interim: [100], status: 200, body: 'x', ended: true })
  t.match(one('HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\n', { toHead: true }), { ended: true, body: '' })
  t.match(one('HTTP/1.1 200 OK\r\n\r\nuntil the end'), { body: 'until the end', ended: false })
  t.match(one('HTTP/1.1 200 OK\r\n\r\nuntil the end', { closed: true }), { body: 'until the end', ended: true, reusable: false })
  t.match(one('HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhel', { closed: true }), { ended: false }, 'a short body is no end')
})

t.test('who may be used again', async t => {
  t.equal(one('HTTP/1.1 200 OK\r\nconnection: keep-alive, Close\r\ncontent-length: 0\r\n\r\n').reusable, false)
  t.equal(one('HTTP/1.0 200 OK\r\ncontent-length: 0\r\n\r\n').reusable, false)
  t.equal(one('HTTP/1.1 200 OK\r\nconnection: keep-alive\r\ncontent-length: 0\r\n\r\n').reusable, true)
})

t.test('what could be read in two ways is refused', async t => {
  const refused: Record<string, string> = {
    'two lengths': 'HTTP/1.1 200 OK\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\nx',
    'a length that is no number': 'HTTP/1.1 200 OK\r\ncontent-length: +1\r\n\r\nx',
    'a length and an encoding': 'HTTP/1.1 200 OK\r\ncontent-length: 1\r\ntransfer-encoding: chunked\r\n\r\n',
    'another encoding': 'HTTP/1.1 200 OK\r\ntransfer-encoding: gzip, chunked\r\n\r\n',
    'two encodings': 'HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\ntransfer-encoding: chunked\r\n\r\n',
    'a folded header': 'HTTP/1.1 200 OK\r\nx-a: b\r\n c\r\n\r\n',
    'a space before the colon': 'HTTP/1.1 200 OK\r\ncontent-length : 5\r\n\r\nhello',
    'a bare LF in the head': 'HTTP/1.1 200 OK\r\nx-a: b\nx-c: d\r\n\r\n',
    'a NUL in a header': 'HTTP/1.1 200 OK\r\nx-a: b\0\r\n\r\n',
    'another protocol': 'HTTP/2 200\r\n\r\n',
    'a switch of protocols': 'HTTP/1.1 101 Switching\r\n\r\n',
    'no status line': 'garbage\r\n\r\n',
    'a chunk without a size': 'HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n\r\nx',
    'a negative chunk': 'HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n-1\r\nx',
    'an endless chunk size': 'HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n0000000000001\r\nx',
    'a chunk that is longer than it says': 'HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n1\r\nxy\r\n',
    'a chunk size that ends in LF': 'HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n1\nx\r\n',
    'bytes after the end': 'HTTP/1.1 200 OK\r\ncontent-length: 1\r\n\r\nxHTTP/1.1 200 OK\r\n\r\n',
    'a head without end': `HTTP/1.1 200 OK\r\nx-a: ${'b'.repeat(40_000)}`,
    'an endless chunk extension': `HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n1;${'x'.repeat(40_000)}`,
    'endless trailers': `HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n0\r\n${'a: b\r\n'.repeat(8000)}`,
  }
  for (const [name, text] of Object.entries(refused)) t.ok(one(text).error, name)
})

const token = fc.stringMatching(/^[A-Za-z][A-Za-z-]{0,12}$/).filter(name => !/^(connection|content-length|transfer-encoding)$/i.test(name))
const value = fc.stringMatching(/^[!-~]([ -~]{0,20}[!-~])?$/)
const payload = fc.array(fc.uint8Array({ minLength: 1, maxLength: 40 }), { maxLength: 6 })

t.test('where the bytes are cut makes no difference', async () => {
  fc.assert(fc.property(fc.array(fc.tuple(token, value), { maxLength: 5 }), payload, fc.boolean(), fc.array(fc.nat(400), { maxLength: 12 }), (headers, parts, chunked, cuts) => {
    const body = Buffer.concat(parts)
    const lines = headers.map(([name, text]) => `${name}: ${text}\r\n`).join('')
    const bytes = chunked
      ? Buffer.concat([Buffer.from(`HTTP/1.1 200 OK\r\n${lines}transfer-encoding: chunked\r\n\r\n`), ...parts.flatMap(part => [Buffer.from(`${part.length.toString(16)}\r\n`), Buffer.from(part), Buffer.from('\r\n')]), Buffer.from('0\r\n\r\n')])
      : Buffer.concat([Buffer.from(`HTTP/1.1 200 OK\r\n${lines}content-length: ${body.length}\r\n\r\n`), body])
    const points = [0, ...cuts.map(cut => cut % (bytes.length + 1)).sort((a, b) => a - b), bytes.length]
    const told = read(points.slice(1).map((end, i) => bytes.subarray(points[i], end)))
    if (told.error !== undefined) throw new Error(told.error)
    return told.ended && told.reusable === true && told.body === body.toString('latin1') && told.headers.length === 2 * headers.length + 2
      && headers.every(([name, text], i) => told.headers[2 * i] === name && told.headers[2 * i + 1] === text)
  }), { seed: 4, numRuns: 2000 })
})

t.test('no bytes whatever make it throw anything but its own error', async () => {
  const alphabet = ['HTTP/1.1 200 OK\r\n', 'content-length: 3\r\n', 'transfer-encoding: chunked\r\n', '\r\n', '\n', '3\r\n', 'abc', '0\r\n', ':', ' ', '\0', 'f;', 'HTTP/1.1 100 x\r\n\r\n']
  fc.assert(fc.property(fc.array(fc.oneof(fc.constantFrom(...alphabet), fc.string({ maxLength: 8 })), { maxLength: 20 }), pieces => {
    read(pieces.map(piece => Buffer.from(piece, 'latin1')), { closed: true })
  }), { seed: 5, numRuns: 3000 })
})
