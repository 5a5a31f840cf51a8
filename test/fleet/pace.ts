import t from 'tap'
import { createRandom } from '../../src/core/index.js'
import { judgePaces, Pace, type PaceOptions } from '../../src/fleet/pace.js'

/** Backends that answer in turn, each at its own speed; noise of a third either way. */
function pool(speeds: readonly number[], options: PaceOptions = { factor: 4, maxShare: 0.3 }) {
  const random = createRandom(7)
  const factor = speeds.map(() => 1)
  const paces = speeds.map(() => new Pace())
  let nowMs = 0
  let seen = 0
  const noisy = (ms: number) => ms * (2 / 3 + random.next() * 2 / 3)
  /** Each backend answers `count` requests; `load` slows all of them. */
  const run = (count: number, { load = 1, only = paces.map((_, i) => i) }: { load?: number, only?: readonly number[] } = {}) => {
    for (let n = 0; n < count; n++) {
      for (const i of only) {
        const slow = speeds[i]! * factor[i]! * load
        const promptTokens = Math.floor(random.next() * 4000)
        const dispatchedAtMs = nowMs
        nowMs += noisy((20 + promptTokens * 0.1) * slow)
        paces[i]!.firstToken(dispatchedAtMs, promptTokens, nowMs)
        paces[i]!.tokens(50, noisy(20 * 49 * slow), nowMs)
        judgePaces(paces, options, nowMs)
        seen = Math.max(seen, paces.filter(pace => pace.slowSinceMs !== undefined).length)
      }
    }
    return paces.map(pace => pace.slowSinceMs !== undefined)
  }
  return { paces, factor, run, later: (ms: number) => { nowMs += ms }, get seen() { return seen } }
}

t.test('outliers: what has always been slower is healthy', async t => {
  const mixed = pool([1, 2, 8, 30])
  mixed.run(500)
  t.equal(mixed.seen, 0, 'not one of them, not once')
  for (const { ratio } of mixed.paces) t.ok(ratio! < 2, `${ratio}`)
})

t.test('outliers: a backend that has become slow is set back within as many answers as are looked at, and released when it is fast again', async t => {
  const fleet = pool([1, 1, 2, 1])
  fleet.run(100)
  fleet.factor[2] = 6
  t.same(fleet.run(16), [false, false, true, false])
  t.ok(fleet.paces[2]!.slowBy >= 4)
  t.same(fleet.run(100), [false, false, true, false], 'as long as it is slow')
  fleet.factor[2] = 1
  t.same(fleet.run(16), [false, false, false, false])
  t.type(fleet.paces[2]!.recoveredAtMs, 'number', 'which is where slow start begins')
  fleet.run(300)
  t.equal(fleet.seen, 1)
})

t.test('outliers: twice as slow is placement\'s work, and a busy hour nobody\'s fault', async t => {
  const fleet = pool([1, 1, 1, 1])
  fleet.run(100)
  fleet.factor[0] = 2
  fleet.run(100)
  fleet.run(60, { load: 8 })
  fleet.run(60)
  t.equal(fleet.seen, 0)
})

t.test('outliers: never more than a part of a pool, the worst first; one always may be', async t => {
  const fleet = pool([1, 1, 1, 1, 1, 1, 1], { factor: 4, maxShare: 0.3 })
  fleet.run(100)
  for (const [i, slow] of [[0, 8], [1, 40], [2, 20]] as const) fleet.factor[i] = slow
  fleet.run(40)
  t.equal(fleet.seen, 2)
  const two = pool([1, 1])
  two.run(100)
  two.factor[0] = 10
  t.same(two.run(16), [true, false], 'one of two')
  const alone = pool([1])
  alone.run(100)
  alone.factor[0] = 10
  t.same(alone.run(100), [false], 'with nobody to compare with, nothing is known')
})

t.test('outliers: little is known of a new one, nothing of a replaced one, and what stays slow becomes usual', async t => {
  const fresh = pool([1, 1, 1])
  fresh.run(20)
  fresh.factor[0] = 20
  t.same(fresh.run(20), [false, false, false])
  const fleet = pool([1, 1, 1])
  fleet.run(100)
  fleet.factor[0] = 10
  t.same(fleet.run(20), [true, false, false])
  fleet.paces[0]!.reset(0)
  t.same(fleet.run(100), [false, false, false], 'a new process sets its own measure')
  fleet.factor[1] = 10
  t.same(fleet.run(20), [false, true, false])
  fleet.later(600_000)
  t.same(fleet.run(20), [false, false, false])
  const off = pool([1, 1, 1], { factor: 0, maxShare: 1 })
  off.run(100)
  off.factor[0] = 50
  off.run(50)
  t.equal(off.seen, 0, 'factor 0 is never')
})

t.test('outliers: requests that wait in line for one another are not slow', async t => {
  const pace = new Pace()
  const peer = new Pace()
  let nowMs = 0
  const judge = () => judgePaces([pace, peer], { factor: 4, maxShare: 0.5 }, nowMs)
  for (let i = 0; i < 100; i++) {
    nowMs += 1000
    for (const one of [pace, peer]) one.firstToken(nowMs - 100, 800, nowMs)
    judge()
  }
  // Forty at once: the last waits forty times as long as the first, for the others' prompts and not for its own.
  const dispatchedAtMs = nowMs
  for (let i = 0; i < 40; i++) {
    nowMs += 100
    pace.firstToken(dispatchedAtMs, 800, nowMs)
    judge()
  }
  t.equal(pace.slowSinceMs, undefined)
  t.ok(pace.ratio! < 1.5)
})
