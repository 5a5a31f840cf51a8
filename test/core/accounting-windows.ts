import fc from 'fast-check'
import t from 'tap'
import { SlidingWindow, WindowedHistogram } from '../../src/core/index.js'

t.test('sliding window: sums what is inside, forgets what is not', async (t) => {
  const w = new SlidingWindow(1000, 10, 2, 0)
  w.add(0, 1, 100)
  w.add(0, 2, 1100)
  w.add(1, 5, 1200)
  t.equal(w.sums(10_000, 1300)[0], 3)
  t.equal(w.sums(10_000, 1300)[1], 5, 'fields do not mix')
  t.equal(w.sums(1000, 1300)[0], 2, 'the latest slot alone')
  t.equal(w.sums(10_000, 10_500)[0], 2, 'the first slot is out')
  t.equal(w.sums(10_000, 11_500)[0], 0)
  w.add(0, 7, 99_000)
  t.equal(w.sums(10_000, 99_000)[0], 7, 'a long silence clears the ring')
})

t.test('sliding window: covers no more time than has passed', async (t) => {
  const w = new SlidingWindow(1000, 60, 1, 5500)
  t.equal(w.coveredMs(60_000, 5500), 0)
  t.equal(w.coveredMs(60_000, 8000), 2500)
  t.equal(w.coveredMs(10_000, 100_400), 9400, 'nine whole slots and the one that runs')
})

t.test('sliding window: agrees with a plain list', async () => {
  fc.assert(fc.property(fc.array(fc.tuple(fc.nat(3000), fc.integer({ min: 1, max: 9 })), { maxLength: 80 }), fc.integer({ min: 1, max: 20 }), (steps, slots) => {
    const w = new SlidingWindow(1000, 20, 1, 0)
    const events: [number, number][] = []
    let now = 0
    for (const [gap, amount] of steps) {
      now += gap
      w.add(0, amount, now)
      events.push([now, amount])
    }
    const from = (Math.floor(now / 1000) - slots + 1) * 1000
    const truth = events.filter(([at]) => at >= from).reduce((sum, [, amount]) => sum + amount, 0)
    return w.sums(slots * 1000, now)[0] === truth
  }))
})

t.test('windowed histogram: recent values only', async (t) => {
  const w = new WindowedHistogram(10_000, 10)
  w.record(5, 500)
  w.record(50, 5000)
  t.equal(w.read(6000).count, 2)
  t.equal(w.read(10_500).max, 50, 'the first second is out')
  t.equal(w.read(10_500).count, 1)
  t.equal(w.read(60_000).count, 0)
  w.record(7, 60_100)
  t.same([w.read(60_200).count, w.read(60_200).max], [1, 7])
})
