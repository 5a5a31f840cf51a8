import t from 'tap'
import type { FleetSpec, PolicyName, RequestSpec } from '../../src/core/index.js'
import { Drive } from './support/drive.js'
import { backend, options, serviceClass } from './support/fleet.js'

const three = { backends: [backend('a'), backend('b'), backend('c')] }

/** Sends the requests one after the other, all still running, and answers with where each went. */
function placed(policy: PolicyName, specs: Partial<RequestSpec>[], over: Partial<FleetSpec> = three): (string | undefined)[] {
  const drive = new Drive(options(policy, over))
  specs.forEach((spec, i) => drive.at(i).arrive(`r${i}`, spec))
  return specs.map((_, i) => drive.backendOf(`r${i}`))
}

t.test('round robin takes turns', async (t) => {
  t.same(placed('round-robin', [{}, {}, {}, {}]), ['a', 'b', 'c', 'a'])
})

t.test('round robin leaves out what is full, and comes back to it', async (t) => {
  const drive = new Drive(options('round-robin', { backends: [backend('a', { maxInflight: 1 }), backend('b')] }))
  for (const id of ['1', '2', '3']) drive.arrive(id)
  drive.send({ type: 'end', id: '1', verdict: 'success' })
  drive.arrive('4')
  t.same(['1', '2', '3', '4'].map((id) => drive.backendOf(id)), ['a', 'b', 'b', 'a'])
})

t.test('least requests fills the emptiest', async (t) => {
  const where = placed('least-requests', [{}, {}, {}])
  t.same([...where].sort(), ['a', 'b', 'c'])
})

t.test('least prefill tokens looks at prompts that have not answered, not at requests', async (t) => {
  const drive = new Drive(options('least-prefill-tokens', { backends: [backend('a'), backend('b')] }))
  drive.arrive('long', { promptTokens: 5000 })
  const long = drive.backendOf('long')
  for (const id of ['1', '2', '3']) drive.arrive(id, { promptTokens: 100 })
  t.ok(['1', '2', '3'].every((id) => drive.backendOf(id) !== long), 'three short prompts weigh less than a long one')
  drive.send({ type: 'first_token', id: 'long' })
  drive.arrive('4', { promptTokens: 100 })
  t.equal(drive.backendOf('4'), long, 'an answered prompt weighs nothing')
})

t.test('power of two never takes the fuller of its two', async (t) => {
  const drive = new Drive(options('power-of-two', { backends: [backend('a'), backend('b')] }))
  for (let i = 0; i < 20; i++) drive.arrive(`${i}`)
  const [a, b] = drive.scheduler.state(0).backends
  t.equal(a?.inflightRequests, 10)
  t.equal(b?.inflightRequests, 10, 'with two backends both are always drawn')
})

t.test('random reaches every backend', async (t) => {
  t.equal(new Set(placed('random', Array.from({ length: 40 }, () => ({})))).size, 3)
})

t.test('session hash keeps a session, and moves only those of a backend that left', async (t) => {
  const specs = Array.from({ length: 60 }, (_, i) => ({ sessionKey: `s${i}` }))
  const before = placed('session-hash', specs)
  t.same(placed('session-hash', specs), before, 'the same every time')
  t.equal(new Set(before).size, 3)
  const after = placed('session-hash', specs, { backends: [backend('a'), backend('b')] })
  t.ok(before.every((id, i) => id === 'c' || after[i] === id))
})

t.test('cache-aware goes where the prefix is, and to balance when it is not worth it', async (t) => {
  const shared = { prefixHashes: [1, 2, 3, 4], promptBytes: 256, promptTokens: 64 }
  const where = placed('cache-aware', [shared, { ...shared, prefixHashes: [9, 8, 7, 6] }, shared, shared])
  t.not(where[1], where[0], 'an unknown prefix goes where least is cached')
  t.same(where.slice(2), [where[0], where[0]])
  const flood = placed('cache-aware', Array.from({ length: 60 }, () => shared))
  t.ok(new Set(flood).size > 1, 'a fleet out of balance is balanced first')
})

t.test('static pools never borrow', async (t) => {
  const drive = new Drive(options('static-pools', {
    classes: [serviceClass('chat', { targets: { ttftMs: 500 } }), serviceClass('batch')],
    pools: [{ name: 'fast', role: 'latency', mode: 'balanced' }, { name: 'slow', role: 'throughput', mode: 'balanced' }],
    backends: [backend('f', { pool: 'fast', maxInflight: 1 }), backend('s', { pool: 'slow' })],
  }))
  for (const id of ['1', '2']) drive.arrive(id, { class: 'chat', targets: { ttftMs: 500 } })
  drive.arrive('3', { class: 'batch' })
  t.same(['1', '2', '3'].map((id) => drive.backendOf(id)), ['f', undefined, 's'])
})

t.test('a class takes its pools in its own order and spills over when the first is full', async (t) => {
  const drive = new Drive(options('least-requests', {
    classes: [serviceClass('default', { pools: ['second', 'first'] })],
    pools: [{ name: 'first', role: 'latency', mode: 'balanced' }, { name: 'second', role: 'latency', mode: 'balanced' }],
    backends: [backend('a', { pool: 'first' }), backend('b', { pool: 'second', maxInflight: 1 })],
  }))
  for (const id of ['1', '2']) drive.arrive(id)
  t.same(['1', '2'].map((id) => drive.backendOf(id)), ['b', 'a'])
})

t.test('without targets the slo policy holds nothing', async (t) => {
  const where = placed('slo', Array.from({ length: 30 }, () => ({ promptTokens: 3000 })))
  t.ok(where.every((id) => id !== undefined))
  t.same(['a', 'b', 'c'].map((id) => where.filter((at) => at === id).length), [10, 10, 10])
})
