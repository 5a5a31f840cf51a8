import t from 'tap'
import { skipPlain } from '../../src/protocol/json.js'
import { checkLimits, dialectOfGenerate, endpointOf, errorShapeOf, isScheduledPath, readRequestFields, withIncludeUsage, withMember, type RequestFields } from '../../src/protocol/index.js'

const read = (path: string, body: unknown) => readRequestFields(endpointOf('POST', path)!, Buffer.isBuffer(body) ? body : Buffer.from(typeof body === 'string' ? body : JSON.stringify(body)))
function fieldsOf (path: string, body: unknown): RequestFields {
  const result = read(path, body)
  if (!result.ok) throw new Error(result.problem.message)
  return result.fields
}
const CHAT = '/v1/chat/completions'
const COMPLETIONS = '/v1/completions'
const why = (body: unknown, path = CHAT): string | undefined => {
  const result = read(path, body)
  return result.ok ? undefined : result.problem.message
}

t.test('R24, S13: what is not plain JSON in UTF-8 is refused with its place', async t => {
  t.equal(why(''), 'The request body is empty; a JSON object was expected.')
  t.equal(why('  \n'), 'The request body is empty; a JSON object was expected.')
  t.equal(why('[1]'), 'The request body must be a JSON object; got an array.')
  t.equal(why('"x"'), 'The request body must be a JSON object; got the string "x".')
  t.equal(why('\ufeff{}'), 'The request body starts with a byte order mark; send JSON in plain UTF-8.')
  t.equal(why(Buffer.from([0x7b, 0x22, 0xff, 0x22, 0x3a, 0x31, 0x7d])), 'The request body is not valid UTF-8.')
  t.equal(why('{"a":1,}'), 'The request body is not valid JSON: unexpected "}" at byte 7 (line 1, column 8).')
  t.equal(why('{\n  "a": tru }'), 'The request body is not valid JSON: unexpected " " at byte 12 (line 2, column 11).'.replace('" "', 'byte 0x20'))
  t.equal(why('{"a":"b'), 'The request body is not valid JSON: it ends at byte 7 in the middle of a value.')
  t.equal(why('{"a":"b\n"}'), 'The request body is not valid JSON: unexpected byte 0x0a at byte 7 (line 1, column 8).')
  t.equal(why('{"a":1} {"b":2}'), 'The request body is not valid JSON: unexpected "{" at byte 8 (line 1, column 9).')
  t.match(why('{"a":NaN}'), /unexpected "N"/)
  t.match(why('{"a":01}'), /unexpected "1"/)
  t.match(why('{"a":"\\x"}'), /unexpected "x"/)
  t.equal(why(`{"a":${'['.repeat(100_000)}`), 'The request body is nested deeper than 256 levels.')
  t.equal(why(`{"messages":${'['.repeat(100_000)}`), 'The request body is nested deeper than 256 levels.')
  t.equal(why(`{"messages":${'[{"content":'.repeat(100_000)}`), 'The request body is nested deeper than 256 levels.')
  t.equal(why(`{"a":${'['.repeat(255)}${']'.repeat(255)}}`), undefined)
  t.equal(why(`{"a":1e999,"b":${'9'.repeat(10_000)},"c":-0.0e-7}`), undefined, 'huge numbers that nobody here reads pass')
})

t.test('S13: a name that parsers may read differently is refused', async t => {
  t.match(why('{"model":"a","model":"b"}'), /"model" is given twice/)
  t.match(why('{"model":"a","\\u006dodel":"b"}'), /"model" is given twice/)
  t.match(why('{"Model":"a"}'), /differs from "model" only in letter case/)
  t.match(why('{"\u017ftream":true}'), /differs from "stream" only in letter case/)
  t.match(why('{"x":1,"x":2}'), /"x" is given twice/)
  t.match(why('{"stream_options":{"include_usage":true,"include_usage":false}}'), /"stream_options.include_usage" is given twice/)
  t.match(why('{"inputs":"x","parameters":{"best_of":1,"best_of":2}}', '/generate'), /"parameters.best_of" is given twice/)
  t.equal(why('{"__proto__":{"stream":true},"constructor":1,"toString":2,"hasOwnProperty":3}'), undefined)
  t.equal(fieldsOf(CHAT, '{"__proto__":{"stream":true}}').stream, false)
  t.match(why(`{${Array.from({ length: 600 }, (_, k) => `"${k}":0`).join(',')}}`), /more than 512 members/)
})

t.test('S15: wrong types name the member, what was expected and what came', async t => {
  t.equal(why('{"stream":"yes"}'), '"stream" must be true or false; got the string "yes".')
  t.equal(why('{"model":["a"]}'), '"model" must be a string; got an array.')
  t.match(why({ model: 'm'.repeat(5000) }), /"model" must be at most 1024 bytes long; got 5000/)
  for (const bad of ['-1', '1.5', '1e999', '"7"', 'true', '{}', '9007199254740993e5']) {
    t.match(why(`{"max_tokens":${bad}}`), /^"max_tokens" must be an integer of at least 0; got /, bad)
    t.match(why(`{"n":${bad}}`), /^"n" must be an integer of at least 1; got /, bad)
  }
  t.match(why('{"n":0}'), /at least 1; got 0/)
  t.match(why('{"stream_options":[]}'), /"stream_options" must be an object; got an array/)
  t.match(why('{"stream_options":{"include_usage":1}}'), /"stream_options.include_usage" must be true or false; got 1/)
  t.match(why('{"parameters":{"max_new_tokens":-5}}', '/generate_stream'), /"parameters.max_new_tokens" must be/)
  t.match(why('{"tools":{}}'), /"tools" must be an array; got an object/)
  t.match(why({ stream: 's'.repeat(500) }), /got a string of 500 bytes/, 'values are not repeated at length')
  t.equal(why('{"model":null,"stream":null,"max_tokens":null,"n":null,"tools":null,"stream_options":null,"user":null}'), undefined, 'null is no value')
  t.equal(fieldsOf(CHAT, '{"max_tokens":16.0}').maxOutputTokens, 16, 'an integer, however spelled')
})

t.test('chat: fields, text, tools, media', async t => {
  const fields = fieldsOf(CHAT, {
    model: 'meta/llama', stream: true, max_tokens: 5, max_completion_tokens: 100, n: 3, user: 'u', session_id: 's',
    tools: [{ type: 'function' }], response_format: { type: 'json_object' },
    messages: [
      { role: 'system', content: 'héllo "x"\n' },
      { role: 'user', content: [{ type: 'text', text: 'abc' }, { type: 'image_url', image_url: { url: 'data:image/png;base64,AAAA' } }] },
    ],
  })
  t.match(fields, { dialect: 'openai-chat', model: 'meta/llama', stream: true, maxOutputTokens: 300, n: 3, hasTools: true, hasStructuredOutput: true, sessionKey: 's', mediaParts: 1, promptTokens: undefined })
  t.equal(fields.promptBytes, Buffer.byteLength('héllo "x"\n') + 3 + '[{"type":"function"}]'.length)
  t.equal(fieldsOf(CHAT, '{"messages":[{"content":"\\u00e9\\ud83d\\ude42\\n"}]}').promptBytes, Buffer.byteLength('é🙂\n'))
  t.match(fieldsOf(CHAT, { response_format: { type: 'text' }, tools: [] }), { hasStructuredOutput: false, hasTools: false })
  t.match(fieldsOf(CHAT, { guided_json: {} }), { hasStructuredOutput: true })
  t.strictSame(fieldsOf(CHAT, '{}').promptShape, { asciiUnits: 0, wideUnits: 0 })
  t.match(fieldsOf(CHAT, { user: 'x'.repeat(1000) }).sessionKey, /^hash:/)
  t.match(fieldsOf(CHAT, '{"n":1000000000,"max_tokens":9007199254740991}'), { maxOutputTokens: Number.MAX_SAFE_INTEGER })
})

t.test('completions: text, lists, token ids', async t => {
  t.match(fieldsOf(COMPLETIONS, { prompt: 'abc', max_tokens: 7, best_of: 4, n: 2 }), { promptBytes: 3, promptCount: 1, maxOutputTokens: 28, bestOf: 4 })
  t.match(fieldsOf(COMPLETIONS, { prompt: ['ab', 'cd', 'e'], max_tokens: 2 }), { promptBytes: 5, promptCount: 3, maxOutputTokens: 6 })
  t.match(fieldsOf(COMPLETIONS, { prompt: [1, 2, 3, 4] }), { promptBytes: 0, promptTokens: 4, promptCount: 1 })
  t.match(fieldsOf(COMPLETIONS, { prompt: [[1, 2], [3]] }), { promptTokens: 3, promptCount: 2 })
  t.match(fieldsOf(COMPLETIONS, { prompt: ['a', 5] }), { promptTokens: undefined, promptCount: 1 })
  t.match(fieldsOf(COMPLETIONS, { prompt: [] }), { promptTokens: undefined, promptCount: 1 })
})

t.test('other dialects', async t => {
  t.match(fieldsOf('/v1/messages', { system: [{ type: 'text', text: 'sys' }], messages: [{ role: 'user', content: 'abc' }], max_tokens: 9, metadata: { user_id: 'me' } }),
    { dialect: 'anthropic-messages', promptBytes: 6, maxOutputTokens: 9, sessionKey: 'me' })
  t.match(fieldsOf('/v1/responses', { instructions: 'in', input: [{ role: 'user', content: [{ type: 'input_text', text: 'abc' }] }], max_output_tokens: 9, stream: true, text: { format: { type: 'json_schema' } } }),
    { dialect: 'openai-responses', promptBytes: 5, maxOutputTokens: 9, stream: true, hasStructuredOutput: true })
  t.match(fieldsOf('/v1/responses', { input: 'hello' }), { promptBytes: 5 })
  t.match(fieldsOf('/generate', { inputs: 'abc', stream: true, parameters: { max_new_tokens: 9, best_of: 2, grammar: {} } }),
    { dialect: 'tgi-generate', stream: false, promptBytes: 3, maxOutputTokens: 18, hasStructuredOutput: true })
  t.match(fieldsOf('/generate_stream', { inputs: 'abc' }), { dialect: 'tgi-generate', stream: true })
  t.match(fieldsOf('/', { inputs: 'abc', stream: true }), { dialect: 'tgi-generate', stream: true })
  t.match(fieldsOf('/generate', { text: 'abc', stream: true, sampling_params: { max_new_tokens: 9, n: 2 } }), { dialect: 'sglang-generate', stream: true, maxOutputTokens: 18, n: 2 })
  t.match(fieldsOf('/generate', { input_ids: [1, 2, 3] }), { dialect: 'sglang-generate', promptTokens: 3 })
  t.match(fieldsOf('/v1/embeddings', { input: ['abc', 'de'], stream: true }), { dialect: 'scored', stream: false, promptBytes: 5, promptCount: 2 })
  t.match(fieldsOf('/rerank', { query: 'q', documents: ['abc', { text: 'de' }] }), { dialect: 'scored', promptBytes: 6 })
  t.equal(dialectOfGenerate(['stream']), 'tgi-generate')
})

t.test('paths', async t => {
  for (const path of ['//v1/chat/completions', '/v1/chat/completions/', '/V1/chat/completions', '/v1/%63hat/completions', '/v1/chat/completions;x', '/__proto__', 'constructor']) {
    t.equal(endpointOf('POST', path), undefined, path)
  }
  t.equal(endpointOf('GET', CHAT), undefined)
  t.ok(isScheduledPath(CHAT))
  t.strictSame(['/v1/messages', '/v1/messages/count_tokens', '/generate', '/nowhere', CHAT].map(errorShapeOf), ['anthropic', 'anthropic', 'tgi', 'openai', 'openai'])
})

t.test('splices leave every other byte alone', async t => {
  const edit = (text: string): string => {
    const body = Buffer.from(text)
    return Buffer.concat(withIncludeUsage(body, fieldsOf(CHAT, body))).toString()
  }
  t.equal(edit('{ "a" : 1.0 }\n'), '{ "a" : 1.0 ,"stream_options":{"include_usage":true}}\n')
  t.equal(edit('{}'), '{"stream_options":{"include_usage":true}}')
  t.equal(edit('{"stream_options":null,"b":2}'), '{"stream_options":{"include_usage":true},"b":2}')
  t.equal(edit('{"stream_options":{ }}'), '{"stream_options":{ "include_usage":true}}')
  t.equal(edit('{"stream_options":{"x":{"include_usage":1}}}'), '{"stream_options":{"x":{"include_usage":1},"include_usage":true}}')
  t.equal(edit('{"stream_options":{"include_usage": false, "y":0}}'), '{"stream_options":{"include_usage": true, "y":0}}')
  t.equal(edit('{"stream_options":{"include_usage":true}}'), '{"stream_options":{"include_usage":true}}')
  t.equal(edit('{"stream_options":{"z":1,"include\\u005fusage":null}}'), '{"stream_options":{"z":1,"include\\u005fusage":true}}', 'a name spelled with escapes')
  const body = Buffer.from('{"max_tokens":5,"m":"x"}')
  t.equal(Buffer.concat(withMember(body, fieldsOf(CHAT, body), 'max_tokens', '3')).toString(), '{"max_tokens":3,"m":"x"}')
})

t.test('S15: caps and denied members', async t => {
  const limits = { maxN: 8, maxOutputTokens: 1000, maxPrompts: 4, denyFields: new Set(['lora_path']) }
  const check = (path: string, body: unknown): string | undefined => checkLimits(fieldsOf(path, body), limits)?.message
  t.match(check(CHAT, { n: 1e9 }), /"n" must be at most 8; got 1000000000/)
  t.match(check(COMPLETIONS, { best_of: 9 }), /"best_of" must be at most 8/)
  t.match(check(COMPLETIONS, { prompt: ['a', 'b', 'c', 'd', 'e'] }), /number of prompts.*at most 4; got 5/)
  t.match(check(CHAT, { max_tokens: 501, n: 2 }), /times n.*at most 1000; got 1002/)
  t.match(check(CHAT, { lora_path: '/etc' }), /"lora_path" is not accepted/)
  t.match(check(CHAT, { LoRA_path: '/etc' }), /is not accepted/)
  t.equal(check(CHAT, { n: 8, max_tokens: 125 }), undefined)
})

t.test('prefix hashes belong to a model and a cache salt, and tools come before messages', async t => {
  const text = 'x'.repeat(2000)
  const hashes = (body: object): readonly number[] => fieldsOf(CHAT, { messages: [{ role: 'user', content: text }], ...body }).prefixHashes
  const first = (body: object): number => hashes(body)[0]!
  t.equal(hashes({ model: 'a' }).length, 7)
  t.not(first({ model: 'a' }), first({ model: 'b' }))
  t.not(first({ model: 'a', cache_salt: '1' }), first({ model: 'a', cache_salt: '2' }))
  t.not(first({ model: 'a', tools: [{ type: 'a' }] }), first({ model: 'a' }))
  t.equal(first({ model: 'a', temperature: 1, stream: true }), first({ model: 'a' }), 'other members do not count')
  t.equal(hashes({ messages: [{ content: 'y'.repeat(1_000_000) }] }).length, 1024, 'bounded')
  const ids = (n: number): readonly number[] => fieldsOf(COMPLETIONS, { prompt: Array.from({ length: n }, (_, k) => k) }).prefixHashes
  t.strictSame(ids(500).slice(0, 6), ids(900).slice(0, 6), 'token ids too')
})

t.test('the plain text of a string ends at its first quote, backslash or control character, wherever it stands in a word', async t => {
  const isPlain = (c: number) => c !== 0x22 && c !== 0x5c && c >= 0x20
  const wrong: string[] = []
  for (let offset = 0; offset < 4; offset++) {
    for (let length = 66; length < 90; length++) {
      // Bytes whose neighbours in the tables of bits are the ones that matter, and both ends of what is plain.
      for (const filler of [0x20, 0x21, 0x23, 0x5b, 0x5d, 0x7f, 0x80, 0xa2, 0xdc, 0xff]) {
        const bytes = Buffer.alloc(offset + length + 3, filler).subarray(offset)
        for (let at = 60; at < length; at++) {
          for (const special of [0x22, 0x5c, 0x00, 0x1f, 0x0a, filler]) {
            bytes[at] = special
            const expected = isPlain(special) ? length : at
            if (skipPlain(bytes, 1, length) !== expected) wrong.push(`${offset} ${length} ${filler} ${at} ${special}`)
          }
          bytes[at] = filler
        }
      }
    }
  }
  t.same(wrong, [])
  for (let c = 0; c < 256; c++) {
    const bytes = Buffer.alloc(80, 0x61)
    bytes[70] = c
    if (skipPlain(bytes, 0, 80) !== (isPlain(c) ? 80 : 70)) wrong.push(`byte ${c}`)
  }
  t.same(wrong, [])
})
