import t from 'tap'
import { readResponseHead } from '../../src/relay/headers.js'

t.test('S10, S11, R23: of a backend\'s head goes to the client what is neither its connection\'s nor the gateway\'s', async t => {
  const { forwarded, contentType, contentLength, retryAfterMs } = readResponseHead([
    'Content-Type', 'application/json', 'X-Compute-Time', '5', 'Retry-After', '3', 'Connection', 'close, X-Private', 'x-private', '1', 'Transfer-Encoding', 'chunked',
    'connection', 'x-also', 'X-Also', '2', 'Keep-Alive', 'timeout=5', 'Trailer', 'x', 'Server', 'uvicorn', 'Date', 'now', 'X-Sluice-Backend', 'forged', 'X-RateLimit-Limit', '1',
    'X-Request-Id', 'engine', 'Set-Cookie', 'a', 'Content-Length', '12', 'x-list', 'a', 'X-List', 'b',
  ])
  t.strictSame(forwarded, ['content-type', 'application/json', 'x-compute-time', '5', 'retry-after', '3', 'x-list', 'a', 'x-list', 'b'])
  t.equal(contentType, 'application/json')
  t.equal(contentLength, 12)
  t.equal(retryAfterMs, 3000)
})

t.test('R23: no retry-after takes a backend out for longer than a minute, nor one that is no number of seconds', async t => {
  const of = (value: string) => readResponseHead(['retry-after', value]).retryAfterMs
  t.equal(of('86400'), 60_000)
  t.equal(of('Wed, 21 Oct 2026 07:28:00 GMT'), undefined)
  t.equal(of('-1'), undefined)
  t.strictSame(readResponseHead([]), { forwarded: [], contentType: undefined, contentLength: undefined, retryAfterMs: undefined })
})
