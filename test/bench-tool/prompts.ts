import t from 'tap'
import { CHAT_OVERHEAD, PromptWriter } from '../../src/bench/prompts.js'
import { RequestWriter } from '../../src/bench/request-bytes.js'
import { parseTarget } from '../../src/bench/target.js'
import type { PlannedRequest, RequestStyle } from '../../src/bench/types.js'
import { renderChat } from '../../src/emulator/chat-template.js'
import { tokenize } from '../../src/emulator/tokenizer.js'
import { WORKLOADS } from '../../src/simulator/index.js'

const text = (pieces: readonly Buffer[]) => Buffer.concat(pieces).toString()
const { service } = WORKLOADS['chat']!.classes[0]!
const planned = (changes: Partial<PlannedRequest> = {}): PlannedRequest => ({ index: 0, class: service, targets: service.targets, promptTokens: 900, outputTokens: 77, prefixBlocks: [], ...changes })

t.test('prompts have the ordered number of tokens', async t => {
  const writer = new PromptWriter(undefined, 'run')
  for (const tokens of [1, 2, 5, 100, 4097, 130_000]) t.equal(tokenize(text(writer.write(tokens, [], tokens))).length, tokens)
  t.equal(tokenize(text(writer.write(-3, [], 0))).length, 1)
})

t.test('prompts share what their blocks share, and nothing else', async t => {
  const writer = new PromptWriter(64, 'run')
  const common = (a: string, b: string) => {
    let i = 0
    while (i < a.length && a[i] === b[i]) i++
    return tokenize(a.slice(0, i)).length
  }
  const one = text(writer.write(300, [1, 2, 3], 1))
  const two = text(writer.write(300, [1, 2, 9], 2))
  t.equal(tokenize(one).length, 300)
  t.ok(Math.abs(common(one, two) - 128) <= 2, `${common(one, two)} tokens in common`)
  t.ok(common(text(writer.write(300, [], 3)), text(writer.write(300, [], 4))) <= 4)
  t.equal(text(writer.write(300, [1, 2, 3], 1)), one, 'reproducible')
  t.not(text(new PromptWriter(64, 'other run').write(300, [1, 2, 3], 1)), one, 'another run finds nothing in a cache')
})

const bodyOf = (style: Partial<RequestStyle>, request = planned()) => {
  const full: RequestStyle = { api: 'chat', model: 'm', trueLengths: 'emulate', headers: { 'x-a': 'b' }, classHeader: 'x-slo-class', ...style }
  const bytes = new RequestWriter(parseTarget('http://h:81/base/v1/'), full, new PromptWriter(undefined, 'r'), 1).write(request, 'id-1').toString()
  const [head = '', body = ''] = bytes.split('\r\n\r\n')
  return { head, length: Buffer.byteLength(body), body: JSON.parse(body) as Record<string, unknown> }
}

t.test('a chat request: prompt, caps, headers', async t => {
  const { head, body, length } = bodyOf({})
  t.match(head, /^POST \/base\/v1\/chat\/completions HTTP\/1.1\r\nhost: h:81\r\n/)
  for (const line of ['x-slo-class: chat', 'x-a: b', 'x-request-id: id-1', `content-length: ${length}`]) t.ok(head.split('\r\n').includes(line), line)
  t.match(body, { model: 'm', stream: true, stream_options: { include_usage: true }, emulate_output_tokens: 77 })
  t.ok((body['max_tokens'] as number) > 77, 'the cap is not the truth')
  t.equal(renderChat({ messages: body['messages'] as unknown[], tools: [], continueFinalMessage: false, addGenerationPrompt: true }).length, 900, `${CHAT_OVERHEAD} tokens are the template's`)
})

t.test('the other interfaces and ways to order a length', async t => {
  t.match(bodyOf({ trueLengths: 'ignore-eos' }).body, { max_tokens: 77, ignore_eos: true })
  const plain = bodyOf({ trueLengths: 'max-tokens', api: 'completions', classHeader: undefined })
  t.match(plain.body, { max_tokens: 77 })
  t.notOk('ignore_eos' in plain.body || 'emulate_output_tokens' in plain.body)
  t.equal(tokenize(plain.body['prompt'] as string).length, 900)
  t.notMatch(plain.head, /slo-class/)
  const tgi = bodyOf({ api: 'tgi' })
  t.match(tgi.head, /POST \/base\/generate_stream /)
  t.match(tgi.body, { parameters: { details: true }, emulate_output_tokens: 77 })
  t.equal(tokenize(tgi.body['inputs'] as string).length, 900)
})

t.test('addresses', async t => {
  t.match(parseTarget('https://[::1]/v1'), { host: '::1', port: 443, tls: true, basePath: '' })
  t.throws(() => parseTarget('localhost:8000'), /http:\/\//)
  t.throws(() => parseTarget('nonsense'), /address such as/)
})
