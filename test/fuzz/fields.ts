import { deepEqual, equal, ok } from 'node:assert/strict'
import fc from 'fast-check'
import { endpointOf, lengthOf, readRequestFields, withIncludeUsage, withMember, type Endpoint } from '../../src/protocol/index.js'
import { slowFields } from '../support/slow-fields.js'
import { damaged, treacherous } from '../support/stream-arbitraries.js'
import { property, type Property } from './property.js'

const PATHS = ['/v1/chat/completions', '/v1/completions', '/'] as const
const endpoint = (path: string): Endpoint => endpointOf('POST', path)!

const odd = fc.constantFrom<unknown>(null, true, false, 0, -1, 1.5, 1e21, 'yes', '', [], {}, [[]], { a: 1 }, { include_usage: 'x' })
const or = <T>(usual: fc.Arbitrary<T>): fc.Arbitrary<unknown> => fc.oneof({ weight: 12, arbitrary: usual }, { weight: 1, arbitrary: odd })
const some = (model: Record<string, fc.Arbitrary<unknown>>): fc.Arbitrary<Record<string, unknown>> =>
  fc.record(Object.fromEntries(Object.entries(model).map(([name, usual]) => [name, or(usual)])), { requiredKeys: [] })

const content = fc.oneof(treacherous, fc.array(some({ type: fc.constant('text'), text: treacherous, image_url: some({ url: treacherous }) }), { maxLength: 2 }))
const count = fc.constantFrom(0, 1, 2, 16, 1e6, 2 ** 53)
const common = { model: treacherous, stream: fc.boolean(), user: treacherous, temperature: fc.double(), zzz: odd }
const openai = { ...common, max_tokens: count, n: fc.constantFrom(1, 2, 5), stream_options: some({ include_usage: fc.boolean(), more: treacherous }) }
const ids = fc.array(fc.nat(50000), { maxLength: 4 })
const BODIES: Readonly<Record<typeof PATHS[number], fc.Arbitrary<Record<string, unknown>>>> = {
  '/v1/chat/completions': some({
    ...openai, max_completion_tokens: count, tools: fc.array(some({ type: treacherous, function: odd }), { maxLength: 2 }), Model: fc.constant('x'),
    messages: fc.array(some({ role: fc.constantFrom('user', 'system'), content, tool_call_id: treacherous }), { maxLength: 4 }),
  }),
  '/v1/completions': some({ ...openai, best_of: fc.constantFrom(1, 3), prompt: fc.oneof(treacherous, ids, fc.array(ids, { maxLength: 3 }), fc.array(treacherous, { maxLength: 3 })) }),
  '/': some({ ...common, inputs: treacherous, parameters: some({ max_new_tokens: count, best_of: fc.constantFrom(1, 2), details: fc.boolean() }) }),
}

function spell (body: unknown, style: number): Buffer {
  const text = JSON.stringify(body, null, style === 1 ? 2 : 0)
  switch (style) {
    case 2: return Buffer.from(text.replace(/[\u0080-\uffff]/g, c => `\\u${c.charCodeAt(0).toString(16).padStart(4, '0')}`))
    case 3: return Buffer.from(text.replace('"model"', '"stream":true,"m\\u006fdel"'))
    default: return Buffer.from(text)
  }
}

const bodies = fc.constantFrom(...PATHS).chain(path => fc.tuple(fc.constant(path), fc.tuple(BODIES[path], fc.nat(3)).map(([body, style]) => spell(body, style))))

function checkFields (path: typeof PATHS[number], body: Buffer): void {
  const result = readRequestFields(endpoint(path), body)
  const dialect = endpoint(path).dialect!
  const expected = slowFields(dialect, body)
  equal(result.ok ? 'read' : 'refused', expected === 'refused' ? expected : 'read', result.ok ? 'read' : result.problem.message)
  if (!result.ok || expected === 'refused') return
  const { model, stream, promptBytes, promptTokens, maxOutputTokens, n, promptCount, includeUsage, hasTools, memberNames } = result.fields
  deepEqual({ model, stream, promptBytes, promptTokens, maxOutputTokens, n, promptCount, includeUsage, hasTools, memberNames: [...memberNames] }, expected)
  checkSplices(path, body, result.fields)
}

/** An edited body says what the edit says, and all else as before. */
function checkSplices (path: string, body: Buffer, fields: Parameters<typeof withMember>[1]): void {
  const before = JSON.parse(body.toString()) as Record<string, unknown>
  const set = withMember(body, fields, 'zzz', '{"set":[1]}')
  deepEqual(JSON.parse(Buffer.concat(set).toString()), { ...before, zzz: { set: [1] } })
  equal(lengthOf(set), Buffer.concat(set).length)
  if (path !== '/') {
    const usage = Buffer.concat(withIncludeUsage(body, fields))
    const options = before['stream_options'] as Record<string, unknown> | null | undefined
    deepEqual(JSON.parse(usage.toString()), { ...before, stream_options: { ...options, include_usage: true } })
    ok(readRequestFields(endpoint(path), usage).ok)
  }
}

/** Conversations with a common beginning have common hashes as far as it goes, and not one more. */
function checkPrefixes (common: string, one: string, other: string, style: number): void {
  const hashes = (tail: string): readonly number[] => {
    const body = { model: 'm', messages: [{ role: 'system', content: common }, { role: 'user', content: tail }] }
    const text = style === 0 ? JSON.stringify(body) : JSON.stringify({ ...body, user: 'u' }, null, style)
    const result = readRequestFields(endpoint('/v1/chat/completions'), Buffer.from(text))
    ok(result.ok)
    return result.fields.prefixHashes
  }
  const a = hashes(one)
  const b = hashes(other)
  const shared = Buffer.byteLength(JSON.stringify(common)) + 40
  const limit = shared + commonPrefix(JSON.stringify(one), JSON.stringify(other))
  let same = 0
  while (same < a.length && a[same] === b[same]) same++
  ok(same >= Math.min(Math.floor(shared / 256), a.length), `${same} equal hashes for ${shared} equal bytes`)
  if (one !== other) ok(same * 256 <= limit + 40, `${same} equal hashes for at most ${limit} equal bytes`)
}

function commonPrefix (a: string, b: string): number {
  const x = Buffer.from(a)
  const y = Buffer.from(b)
  let k = 0
  while (k < x.length && x[k] === y[k]) k++
  return k
}

const long = fc.tuple(treacherous, fc.nat(300)).map(([text, times]) => text.repeat(times))

export const fieldProperties: readonly Property[] = [
  property('a body is read as by a parser', 3, bodies, ([path, body]) => checkFields(path, body)),
  property('a damaged body is read as by a parser', 3, bodies.chain(([path, body]) => fc.tuple(fc.constant(path), damaged(fc.constant(body)))), ([path, body]) => checkFields(path, body)),
  property('equal prompts have equal prefix hashes', 1, fc.tuple(long, long, long, fc.nat(2)), args => checkPrefixes(...args)),
]
