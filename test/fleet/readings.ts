import t from 'tap'
import type { EngineReading } from '../../src/fleet/engines/adapter.js'
import { Readings } from '../../src/fleet/readings.js'

const reading = (overrides: Partial<EngineReading> = {}): EngineReading => ({ report: { running: 1, waiting: 0 }, counters: [100], ...overrides })

t.test('what is old is unknown', (t) => {
  const readings = new Readings({ staleAfterMs: 5000 })
  t.same(readings.report(0), {})
  t.equal(readings.ageMs(0), undefined)
  readings.observe(reading(), 1000)
  t.same(readings.report(6000), { running: 1, waiting: 0 })
  t.same(readings.report(6001), {}, 'unknown, not zero')
  t.equal(readings.ageMs(6001), 5001)
  t.end()
})

t.test('figures that repeat although requests went through are frozen', (t) => {
  const readings = new Readings({ staleAfterMs: 5000 })
  for (let s = 0; s <= 10; s++) readings.observe(reading(), s * 1000)
  t.notOk(readings.isFrozen(10_000), 'an idle engine repeats itself rightly')
  for (let i = 0; i < 3; i++) readings.completed()
  t.ok(readings.isFrozen(10_000))
  t.same(readings.report(10_000), {})
  readings.observe(reading({ counters: [101] }), 11_000)
  t.notOk(readings.isFrozen(11_000), 'believed again as soon as they move')
  const blind = new Readings({ staleAfterMs: 5000 })
  for (let s = 0; s <= 10; s++) blind.observe(reading({ counters: [] }), s * 1000)
  for (let i = 0; i < 9; i++) blind.completed()
  t.notOk(blind.isFrozen(10_000), 'gauges alone may repeat: between two reads requests come and go')
  t.end()
})

t.test('a restart shows in its start time or in counters that fall', (t) => {
  const readings = new Readings({ staleAfterMs: 5000 })
  t.notOk(readings.observe(reading({ startedAtSeconds: 1000 }), 0))
  t.notOk(readings.observe(reading({ startedAtSeconds: 1000.4, counters: [120] }), 1))
  t.ok(readings.observe(reading({ startedAtSeconds: 2000, counters: [500] }), 2))
  t.notOk(readings.observe(reading({ counters: [500] }), 3))
  t.ok(readings.observe(reading({ counters: [3] }), 4))
  t.notOk(readings.observe(reading({ counters: [] }), 5), 'a series that vanished is unknown, not zero')
  t.end()
})

t.test('an engine that runs requests and produces nothing is stalled', (t) => {
  const readings = new Readings({ staleAfterMs: 5000 })
  for (let s = 0; s <= 29; s++) readings.observe(reading({ steps: 7 }), s * 1000)
  t.notOk(readings.isStalled(29_000), 'a long prompt alone may hold output up')
  for (let s = 30; s <= 31; s++) readings.observe(reading({ steps: 7 }), s * 1000)
  t.ok(readings.isStalled(31_000))
  readings.observe(reading({ steps: 8 }), 32_000)
  t.notOk(readings.isStalled(32_000))
  for (let s = 33; s <= 99; s++) readings.observe(reading({ steps: 8, report: { running: 0 } }), s * 1000)
  t.notOk(readings.isStalled(99_000), 'nothing runs, nothing is owed')
  t.end()
})

t.test('the prefix-cache hit ratio is of late, from counters', (t) => {
  const readings = new Readings({ staleAfterMs: 5000 })
  let hits = 0, queries = 0
  const step = (ratio: number, at: number) => {
    hits += 1000 * ratio
    queries += 1000
    readings.observe(reading({ counters: [queries], prefixHitTokens: hits, prefixQueryTokens: queries }), at)
  }
  step(0.9, 0)
  t.equal(readings.report(0).prefixHitRatio, undefined, 'one reading is no difference yet')
  step(0.9, 1)
  t.equal(readings.report(1).prefixHitRatio, 0.9)
  for (let i = 2; i < 300; i++) step(0.1, i)
  t.ok(Math.abs(readings.report(299).prefixHitRatio! - 0.1) < 0.01)
  t.end()
})
