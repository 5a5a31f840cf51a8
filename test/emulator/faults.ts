import t from 'tap'
import { createRandom } from '../../src/core/index.js'
import { FaultScript, type FaultTarget, readFaultPlan } from '../../src/emulator/faults.js'

const target: FaultTarget = { path: '/v1/completions', generation: true, stream: true, body: Buffer.from('{"prompt":"marker-7"}') }

t.test('counts, matches and shares', async t => {
  const script = new FaultScript(createRandom(5))
  script.setRules([{ kind: 'status', count: 2 }, { kind: 'stall', match: { body: 'marker-7' } }, { kind: 'crlf' }])
  t.equal(script.choose(target).course?.kind, 'status')
  t.equal(script.choose(target).course?.kind, 'status')
  const third = script.choose(target)
  t.equal(third.course?.kind, 'stall', 'the first rule is used up')
  t.same([...third.shapes], ['crlf'])
  t.equal(script.choose({ ...target, body: Buffer.from('{}') }).course, undefined)
  t.equal(script.choose({ ...target, generation: false, path: '/health' }).shapes.size, 0, 'other routes only by path')
  t.equal(script.applied.get('status'), 2)

  script.setRules([{ kind: 'status', match: { path: '/health' } }])
  t.equal(script.choose({ ...target, generation: false, path: '/health' }).course?.kind, 'status')
  t.equal(script.choose(target).course, undefined)

  script.setRules([{ kind: 'stall', probability: 0.3, match: { stream: true } }])
  let hits = 0
  for (let i = 0; i < 1000; i++) if (script.choose(target).course !== undefined) hits++
  t.ok(hits > 240 && hits < 360, `${hits} of 1000`)
  t.equal(script.choose({ ...target, stream: false }).course, undefined)
})

t.test('a plan is checked', async t => {
  t.same(readFaultPlan({ slowFactor: 3 }), { slowFactor: 3 })
  t.throws(() => readFaultPlan([]), /object/)
  t.throws(() => readFaultPlan({ rule: [] }), /unknown member rule/)
  t.throws(() => readFaultPlan({ rules: [{ kind: 'explode' }] }), /explode.*one of status/)
  t.throws(() => readFaultPlan({ slowFactor: 0 }), /above 0/)
  t.throws(() => readFaultPlan({ refuse: { how: 'politely' } }), /closed or reset/)
})
