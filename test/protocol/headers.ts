import t from 'tap'
import { headersToBackend, headersToClient, isHeaderSafe, isValidHost, printable, readSloHeaders, readTraceContext, validRequestId, type Headers } from '../../src/protocol/index.js'

const slo = (headers: Headers) => readSloHeaders(headers)

t.test('S23: SLO headers', async t => {
  t.strictSame(slo({}), { ok: true, targets: {}, className: undefined, deadlineIsClientTimeout: false, retryCount: 0 })
  t.match(slo({ 'x-slo-ttft-ms': '500', 'x-slo-tpot-ms': ' 49.5 ', 'x-slo-deadline-ms': '60000', 'x-slo-class': 'chat' }), { targets: { ttftMs: 500, tpotMs: 49.5, deadlineMs: 60000 }, className: 'chat' })
  t.match(slo({ 'x-llm-d-slo-ttft-ms': '500', 'x-llm-d-slo-tpot-ms': '50' }), { targets: { ttftMs: 500, tpotMs: 50 } })
  t.match(slo({ 'x-sgl-ttft-slo-ms': '500', 'x-slo-ttft-ms': '400' }), { targets: { ttftMs: 400 } }, 'our own name first')
  for (const bad of ['NaN', '-1', '0', '0.0', '1e3', '1e15', '1000000000000000', '0x10', '', ' ', 'Infinity', '500ms', '500, 600', '5 0', '\u0665', '86400001', 'x'.repeat(5000)]) {
    t.match(slo({ 'x-slo-ttft-ms': bad }), { ok: false, header: 'x-slo-ttft-ms', message: /one number of milliseconds above 0 and at most 86400000.*got "/ }, bad.slice(0, 20))
  }
  t.match(slo({ 'x-slo-deadline-ms': ['1', '2'] }), { ok: false, message: /got "1, 2"/ })
  t.match(slo({ 'x-slo-class': 'a b' }), { ok: false, header: 'x-slo-class' })
  t.match(slo({ 'x-slo-class': ['a', 'b'] }), { ok: false })
})

t.test('what SDKs send by themselves is used where it fits and never refused', async t => {
  t.match(slo({ 'x-stainless-timeout': '600', 'x-stainless-retry-count': '2' }), { targets: { deadlineMs: 600_000 }, deadlineIsClientTimeout: true, retryCount: 2 })
  t.match(slo({ 'x-stainless-timeout': '600', 'x-slo-deadline-ms': '5' }), { targets: { deadlineMs: 5 }, deadlineIsClientTimeout: false })
  for (const odd of ['NOT_GIVEN', '0', '-5', '1e9', '999999', '']) t.strictSame(slo({ 'x-stainless-timeout': odd, 'x-stainless-retry-count': odd }).ok && slo({ 'x-stainless-timeout': odd }), { ok: true, targets: {}, className: undefined, deadlineIsClientTimeout: false, retryCount: 0 }, odd)
})

t.test('S11: request ids and trace context', async t => {
  t.equal(validRequestId('req_0A.b-c:d/e=='), 'req_0A.b-c:d/e==')
  for (const bad of ['', ' ', 'a b', 'a\r\nx: y', 'a\u0000', 'ü', 'x'.repeat(129), '-a', ['a', 'b'], undefined]) t.equal(validRequestId(bad), undefined)
  const parent = '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01'
  t.strictSame(readTraceContext({ traceparent: parent, tracestate: 'a=1, b@x=2' }), { traceId: '0af7651916cd43dd8448eb211c80319c', parentId: 'b7ad6b7169203331', flags: '01', state: 'a=1,b@x=2' })
  t.ok(readTraceContext({ traceparent: parent.replace('00-', '01-') + '-more' }), 'a later version')
  for (const bad of ['', parent + '-x', parent.toUpperCase(), parent.replace('0af7651916cd43dd8448eb211c80319c', '0'.repeat(32)), parent.replace('b7ad6b7169203331', '0'.repeat(16)), parent.replace('00-', 'ff-'), parent.slice(1), parent + '\r\nx: y', [parent, parent]]) {
    t.equal(readTraceContext({ traceparent: bad }), undefined)
  }
  for (const bad of ['=1', 'a', 'A=1', 'a=\u0001', 'x'.repeat(600), Array.from({ length: 40 }, (_, k) => `k${k}=1`).join(',')]) t.equal(readTraceContext({ traceparent: parent, tracestate: bad })?.state, undefined, bad.slice(0, 20))
})

t.test('S2: Host is a host and nothing else', async t => {
  for (const good of ['localhost', 'localhost:8080', 'a-b.example.com', 'example.com.', '127.0.0.1:1', '[::1]:8080', 'my_service']) t.ok(isValidHost(good), good)
  for (const bad of [undefined, '', 'foo?', 'foo#', 'foo/health?x=', 'user@host', 'a b', 'a,b', 'host:', 'host:123456', 'host:80:80', '-a', '[::1', 'a\r\nb', 'http://x', 'a\\b']) t.notOk(isValidHost(bad), String(bad))
})

t.test('S6, R25: to a backend goes what is on the list, credentials only by passthrough', async t => {
  const headers = {
    authorization: 'Bearer secret', 'x-api-key': 'secret', cookie: 'secret', 'proxy-authorization': 'secret', host: 'x', connection: 'keep-alive, traceparent', te: 'trailers', 'x-slo-ttft-ms': '5',
    'x-slo-class': 'chat', 'x-data-parallel-rank': '3', 'x-forwarded-for': '1.2.3.4', 'content-type': 'application/json', 'x-request-id': 'r', traceparent: 't', accept: 'a\r\nx: y', 'transfer-encoding': 'chunked',
    'accept-encoding': 'gzip', 'content-length': '5', __proto__: 'x', constructor: 'y',
  }
  t.strictSame(headersToBackend(headers, false), ['content-type', 'application/json', 'x-request-id', 'r'])
  t.strictSame(headersToBackend(headers, true), ['authorization', 'Bearer secret', 'x-api-key', 'secret', 'content-type', 'application/json', 'x-request-id', 'r'])
  t.strictSame(headersToBackend({}, false), [])
})

t.test('S10, S11, R23: to the client goes all but what belongs to a connection or to the gateway', async t => {
  const headers = {
    'Content-Type': 'text/event-stream', 'x-compute-time': '5', 'retry-after': '3', connection: 'close, X-Private', 'x-private': '1', 'transfer-encoding': 'chunked', 'keep-alive': 'timeout=5', trailer: 'x',
    server: 'uvicorn', date: 'now', 'x-sluice-backend': 'forged', 'x-request-id': 'engine', 'x-bad': 'a\r\nset-cookie: b', 'set-cookie': ['a'], 'x-nul': 'a\u0000', 'bad name': 'x', 'x-list': ['a', 'b'],
  }
  t.strictSame({ ...headersToClient(headers) }, { 'content-type': 'text/event-stream', 'x-compute-time': '5', 'retry-after': '3', 'x-list': ['a', 'b'] })
})

t.test('S21: texts of clients made printable and short', async t => {
  t.equal(printable('a\r\nb\u0000ü\u202e'), 'a??b???')
  t.equal(printable('x'.repeat(500)).length, 128)
  t.ok(isHeaderSafe('plain text'))
  for (const bad of ['a\r', 'a\n', '\u0000', 'ü', '\u007f']) t.notOk(isHeaderSafe(bad))
})
