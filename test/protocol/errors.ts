import { readFile } from 'node:fs/promises'
import t from 'tap'
import { ERROR_CODES, ERRORS, errorBody, errorEvent, parseEngineError, type Dialect } from '../../src/protocol/index.js'
import { errorsReference } from '../../src/protocol/errors-reference.js'

t.test('the vocabulary of codes and docs/errors.md say the same', async t => {
  const page = await readFile(new URL('../../docs/errors.md', import.meta.url), 'utf8')
  t.equal(page, errorsReference(), 'npm run gen is up to date')
  const documented = [...page.matchAll(/^\| `([a-z_]+)` \|/gm)].map(match => match[1])
  t.strictSame(documented.sort(), [...ERROR_CODES].sort())
  t.strictSame(Object.keys(ERRORS).sort(), [...ERROR_CODES].sort())
})

t.test('no error uses 408, and each says what to do', async t => {
  for (const code of ERROR_CODES) {
    const { status, otherStatuses, message, hint } = ERRORS[code]
    t.notOk([status, ...otherStatuses].includes(408), code)
    t.ok(message.endsWith('.') && hint.endsWith('.'), code)
  }
})

t.test('error bodies in the three shapes', async t => {
  t.strictSame(JSON.parse(errorBody('openai', 'model_not_found', 'No "x".', 'model')),
    { error: { message: 'No "x".', type: 'invalid_request_error', param: 'model', code: 'model_not_found' } })
  t.strictSame(JSON.parse(errorBody('anthropic', 'draining', 'Bye.')), { type: 'error', error: { type: 'overloaded_error', message: 'Bye.', code: 'draining' } })
  t.strictSame(JSON.parse(errorBody('tgi', 'rate_limited', 'Slow.')), { error: 'Slow.', error_type: 'overloaded', code: 'rate_limited' })
  t.match(JSON.parse(errorBody('openai', 'internal_error')), { error: { message: /gateway failed.*Retry/i, param: null } })
})

t.test('error events: one line of data, the client\'s shape, a cut event closed first', async t => {
  const text = (dialect: Dialect, midEvent = false): string => errorEvent(dialect, 'stream_stalled', 'Gone.\nReally.', midEvent).toString()
  t.match(text('openai-chat'), /^data: \{"error":\{"message":"Gone\.\\nReally\."[^\n]*\}\n\n$/)
  t.match(text('anthropic-messages'), /^event: error\ndata: \{"type":"error","error":\{"type":"timeout_error"[^\n]*\n\n$/)
  t.match(text('openai-responses'), /^event: error\ndata: \{"type":"error","code":"stream_stalled"[^\n]*\n\n$/)
  t.match(text('tgi-generate'), /^data: \{"error":"Gone\.\\nReally\.","error_type":"generation"[^\n]*\n\n$/)
  t.ok(text('openai-chat', true).startsWith('\n\ndata: '))
})

t.test('errors of engines, in all their shapes', async t => {
  const read = (status: number | undefined, body: unknown, type = 'application/json'): unknown =>
    parseEngineError(status, type, Buffer.from(typeof body === 'string' ? body : JSON.stringify(body)))
  t.strictSame(read(400, { error: { message: 'too long', type: 'BadRequestError', param: null, code: 400 } }), { message: 'too long', type: 'BadRequestError', status: 400, overloaded: false }, 'vLLM')
  t.strictSame(read(503, { object: 'error', message: 'The request queue is full.', type: 'x', code: 503 }), { message: 'The request queue is full.', type: 'x', status: 503, overloaded: true }, 'SGLang')
  t.strictSame(read(undefined, { error: { message: 'The request queue is full.', code: 503 } }), { message: 'The request queue is full.', type: undefined, status: 503, overloaded: true }, 'SGLang in a stream')
  t.strictSame(read(undefined, { error: 'Model is overloaded', error_type: 'overloaded' }), { message: 'Model is overloaded', type: 'overloaded', status: 429, overloaded: true }, 'TGI overloaded')
  t.strictSame(read(undefined, { error: 'bad', error_type: 'validation' }), { message: 'bad', type: 'validation', status: 422, overloaded: false }, 'TGI validation')
  t.strictSame(read(undefined, { error: 'CUDA', error_type: 'generation' }), { message: 'CUDA', type: 'generation', status: 424, overloaded: false }, 'TGI shard')
  t.strictSame(read(401, { error: 'Unauthorized' }), { message: 'Unauthorized', type: undefined, status: 401, overloaded: false }, 'API key')
  t.strictSame(read(503, { error: { code: 503, message: 'Loading model', type: 'unavailable_error' } }), { message: 'Loading model', type: 'unavailable_error', status: 503, overloaded: true }, 'llama.cpp')
  t.strictSame(read(undefined, { type: 'error', error: { type: 'overloaded_error', message: 'Overloaded' } }), { message: 'Overloaded', type: 'overloaded_error', status: 529, overloaded: true }, 'Anthropic')
  t.strictSame(read(undefined, { type: 'response.failed', response: { error: { code: 'server_error', message: 'boom' } } }), { message: 'boom', type: undefined, status: 500, overloaded: false }, 'Responses')
  t.strictSame(read(422, { detail: [{ loc: ['body'] }] }), { message: '[{"loc":["body"]}]', type: undefined, status: 422, overloaded: false }, 'FastAPI')
  t.strictSame(read(502, '<html>Bad Gateway</html>', 'text/html'), { message: '<html>Bad Gateway</html>', type: undefined, status: 502, overloaded: false }, 'a proxy')
  t.strictSame(read(503, { error: 'server busy, please try again. maximum pending requests exceeded' }), { message: 'server busy, please try again. maximum pending requests exceeded', type: undefined, status: 503, overloaded: true }, 'Ollama')
  t.strictSame(read(500, ''), { message: 'The model server gave no reason.', type: undefined, status: 500, overloaded: false })
  t.match(read(undefined, { error: { message: 'x', code: 1e9 } }), { status: 500 }, 'a code that is no status')
  t.match(read(undefined, '{"__proto__":{"error":"x"},"error":{"constructor":1}}'), { status: 500 })
  t.match(read(500, 'null'), { message: 'null' })
  t.match(read(500, '[]'), { message: '[]' })
  t.equal((read(500, { error: { message: 'y'.repeat(5000) } }) as { message: string }).message.length, 1000)
})
