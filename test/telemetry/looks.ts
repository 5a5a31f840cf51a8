// What the bench of looks says of its measurements: which events a look touched, and when that is too many.
import t from 'tap'
import { exposed } from '../metrics-bench/exposure.js'
import { BAR_MS, judge, type Interval } from '../metrics-bench/judge.js'

const passage = (writtenMs: number, arrivedMs: number) => ({ writtenUs: writtenMs * 1000, arrivedUs: arrivedMs * 1000 })
const span = (fromMs: number, toMs: number) => [fromMs * 1000, toMs * 1000] as const

t.test('an event is touched by a look during which it was on its way', async (t) => {
  const passages = [passage(5, 6), passage(9, 11), passage(12, 13), passage(9, 25), passage(26, 27)]
  t.same(exposed(passages, [span(10, 20)], 100_000), [false, true, true, true, false])
  t.same(exposed(passages, [], 100_000), [false, false, false, false, false])
})

t.test('what waits behind a late touched event is touched too, and no more than that', async (t) => {
  const late = [passage(15, 30), passage(28, 40), passage(41, 42)]
  t.same(exposed(late, [span(10, 20)], 5_000), [true, true, false])
  t.same(exposed([passage(15, 30), passage(28, 40)], [span(10, 20)], 50_000), [true, false], 'nobody stands behind one that was in time')
})

t.test('looks may come in any order and overlap', async (t) => {
  t.same(exposed([passage(1, 2), passage(11, 12), passage(21, 22)], [span(20, 30), span(10, 14), span(11, 13)], 5_000), [false, true, true])
})

/** An interval in which so many gaps were short or beyond the bar, apart from looks and during them; 50 µs to a bin. */
function interval(apart: { readonly short: number, readonly beyond: number }, during = { short: 0, beyond: 0 }): Interval {
  const shortBin = 10, beyondBin = BAR_MS * 2 * 20
  return {
    gaps: [shortBin, apart.short + during.short, beyondBin, apart.beyond + during.beyond], exposedGaps: [shortBin, during.short, beyondBin, during.beyond],
    delays: [shortBin, 1], errors: 0, turns: { wall: [1, 1], cpu: [1, 1], collectionMs: 1, collectionsMs: 1 }, elapsedMs: 1000, cpuShare: 0.1, stolenShare: 0,
  }
}
const alone = [interval({ short: 9_900, beyond: 100 }), interval({ short: 9_800, beyond: 200 })]

t.test('long gaps that no look touched do not count against looks', async (t) => {
  const { verdict, exposed } = judge({ alone, watched: [interval({ short: 9_300, beyond: 100 }, { short: 595, beyond: 5 }), interval({ short: 9_200, beyond: 200 }, { short: 595, beyond: 5 })] })
  t.equal(verdict, 'kept')
  t.equal(exposed.atMostBeyond, 10 / 20_000)
})

t.test('looks that make long gaps are found out', async (t) => {
  const { verdict, exposed } = judge({ alone, watched: [interval({ short: 9_300, beyond: 100 }, { short: 200, beyond: 400 }), interval({ short: 9_200, beyond: 200 }, { short: 200, beyond: 400 })] })
  t.equal(verdict, 'broken')
  t.equal(exposed.atMostBeyond, 0.04)
})

t.test('what looks do to all that comes after them is found out by the difference between intervals', async (t) => {
  const { verdict, exposed } = judge({ alone, watched: [interval({ short: 9_000, beyond: 1_000 }), interval({ short: 9_000, beyond: 1_000 })] })
  t.equal(exposed.atMostBeyond, 0)
  t.equal(verdict, 'broken')
})

t.test('where the machine itself makes more long gaps during looks than the bar allows, nothing is said', async (t) => {
  const unquiet = interval({ short: 9_000, beyond: 500 }, { short: 475, beyond: 25 })
  t.equal(judge({ alone: [unquiet, unquiet], watched: [unquiet, unquiet] }).verdict, 'unclear')
})
