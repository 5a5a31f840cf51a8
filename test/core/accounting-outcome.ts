import fc from 'fast-check'
import t from 'tap'
import type { Ending, Outcome, SloTargets, Timeline } from '../../src/core/index.js'
import { countsForAttainment, e2eMs, firstTargetDueAtMs, isTargeted, outcomeOf, OUTCOMES, queueMs, tpotMs, ttftMs, upstreamTtftMs } from '../../src/core/index.js'
import { timelineOf } from './helpers/timeline.js'

/** Received at 1,000, dispatched at 1,100, first token at 1,400, ten more 40 ms apart, last byte at 1,801. */
const streamed = (change: Partial<Timeline> = {}): Timeline => timelineOf({
  receivedAtMs: 1000, dispatchedAtMs: 1100, connectedAtMs: 1101, firstTokenAtMs: 1400, lastTokenAtMs: 1800, endedAtMs: 1801,
  ending: 'completed', promptTokens: 100, outputTokens: 11, attempts: 1, ...change,
})
const whole = (change: Partial<Timeline> = {}): Timeline => streamed({ streamed: false, firstTokenAtMs: undefined, lastTokenAtMs: undefined, ...change })

t.test('measures: computed from the timeline', async (t) => {
  const cases: [name: string, timeline: Timeline, ttft: unknown, tpot: unknown, e2e: unknown, queue: unknown, upstream: unknown][] = [
    ['a stream', streamed(), 400, 40, 801, 100, 300],
    ['one token: no TPOT', streamed({ outputTokens: 1, lastTokenAtMs: 1400 }), 400, undefined, 801, 100, 300],
    ['several tokens in one chunk', streamed({ outputTokens: 41 }), 400, 10, 801, 100, 300],
    ['tokens unknown', streamed({ outputTokens: undefined }), 400, undefined, 801, 100, 300],
    ['not streamed: only E2E', whole(), undefined, undefined, 801, 100, undefined],
    ['never dispatched: queued until its end', timelineOf({ receivedAtMs: 5, endedAtMs: 25, ending: 'expired' }), undefined, undefined, 20, 20, undefined],
    ['still waiting', timelineOf({ receivedAtMs: 5 }), undefined, undefined, undefined, undefined, undefined],
  ]
  for (const [name, timeline, ttft, tpot, e2e, queue, upstream] of cases) {
    t.same([ttftMs(timeline), tpotMs(timeline), e2eMs(timeline), queueMs(timeline), upstreamTtftMs(timeline)], [ttft, tpot, e2e, queue, upstream], name)
  }
})

t.test('outcome: one for every way a request ends', async (t) => {
  const cases: [name: string, timeline: Timeline, targets: SloTargets, outcome: Outcome][] = [
    ['all targets kept', streamed(), { ttftMs: 500, tpotMs: 50, deadlineMs: 1000 }, 'met'],
    ['reached to the millisecond', streamed(), { ttftMs: 400, tpotMs: 40, deadlineMs: 801 }, 'met'],
    ['first token late', streamed(), { ttftMs: 399, tpotMs: 50 }, 'missed_ttft'],
    ['flow too slow', streamed(), { ttftMs: 500, tpotMs: 39 }, 'missed_tpot'],
    ['both', streamed(), { ttftMs: 399, tpotMs: 39 }, 'missed_both'],
    ['end too late', streamed(), { deadlineMs: 800 }, 'missed_deadline'],
    ['TTFT broke before the deadline did', streamed(), { ttftMs: 100, deadlineMs: 800 }, 'missed_ttft'],
    ['TPOT kept, deadline not', streamed(), { ttftMs: 500, tpotMs: 50, deadlineMs: 800 }, 'missed_deadline'],
    ['one token has no TPOT to miss', streamed({ outputTokens: 1, lastTokenAtMs: 1400 }), { tpotMs: 1 }, 'met'],
    ['not streamed: TTFT and TPOT do not apply', whole(), { ttftMs: 1, tpotMs: 1, deadlineMs: 900 }, 'met'],
    ['not streamed, late', whole(), { ttftMs: 1, deadlineMs: 800 }, 'missed_deadline'],
    ['not streamed, no deadline: nothing binds', whole(), { ttftMs: 1, tpotMs: 1 }, 'untargeted'],
    ['no targets', streamed(), {}, 'untargeted'],
    ['a stream without a token is judged by its end', streamed({ firstTokenAtMs: undefined, lastTokenAtMs: undefined, outputTokens: 0 }), { ttftMs: 800 }, 'missed_ttft'],
    ['and may be in time', streamed({ firstTokenAtMs: undefined, lastTokenAtMs: undefined, outputTokens: 0 }), { ttftMs: 801, tpotMs: 1 }, 'met'],
    ['failed although every target was kept', streamed({ ending: 'failed' }), { ttftMs: 500 }, 'failed'],
    ['failed without targets', streamed({ ending: 'failed' }), {}, 'failed'],
    ['cancelled although every target was kept', streamed({ ending: 'cancelled' }), { ttftMs: 500 }, 'cancelled'],
    ['rejected', timelineOf({ endedAtMs: 1, ending: 'rejected' }), { ttftMs: 500 }, 'rejected'],
    ['expired', timelineOf({ endedAtMs: 900, ending: 'expired' }), { ttftMs: 500 }, 'expired'],
    ['an unknown end is never a success', streamed({ ending: undefined }), { ttftMs: 500 }, 'failed'],
  ]
  for (const [name, timeline, targets, outcome] of cases) t.equal(outcomeOf(timeline, targets), outcome, name)
})

t.test('attainment: what is in the denominator', async (t) => {
  const cancelledAt = (endedAtMs: number, change: Partial<Timeline> = {}): Timeline => streamed({ ending: 'cancelled', endedAtMs, ...change })
  const cases: [name: string, timeline: Timeline, targets: SloTargets, counts: boolean][] = [
    ['met', streamed(), { ttftMs: 500 }, true],
    ['rejected', timelineOf({ endedAtMs: 1, ending: 'rejected' }), { ttftMs: 500 }, true],
    ['expired', timelineOf({ endedAtMs: 1, ending: 'expired' }), { deadlineMs: 500 }, true],
    ['failed', streamed({ ending: 'failed' }), { ttftMs: 500 }, true],
    ['untargeted', streamed(), {}, false],
    ['failed without targets', streamed({ ending: 'failed' }), {}, false],
    ['rejected, and only stream targets on an answer that is not streamed', timelineOf({ streamed: false, endedAtMs: 1, ending: 'rejected' }), { ttftMs: 5 }, false],
    ['cancelled before TTFT was due', cancelledAt(1499), { ttftMs: 500, tpotMs: 50 }, false],
    ['cancelled when TTFT was due', cancelledAt(1500), { ttftMs: 500, tpotMs: 50 }, true],
    ['cancelled early, though the first token was there', cancelledAt(1450, { firstTokenAtMs: 1400 }), { ttftMs: 500 }, false],
    ['the deadline may be due first', cancelledAt(1300), { ttftMs: 500, deadlineMs: 300 }, true],
    ['TPOT alone: due with the second token', cancelledAt(1449), { tpotMs: 50 }, false],
    ['TPOT alone: due', cancelledAt(1450), { tpotMs: 50 }, true],
    ['TPOT alone: no token yet', cancelledAt(9999, { firstTokenAtMs: undefined }), { tpotMs: 50 }, false],
    ['not streamed: TTFT is never due', cancelledAt(9999, { streamed: false }), { ttftMs: 500, deadlineMs: 60_000 }, false],
  ]
  for (const [name, timeline, targets, counts] of cases) {
    t.equal(countsForAttainment(timeline, targets, outcomeOf(timeline, targets)), counts, name)
  }
})

const time = fc.option(fc.integer({ min: 0, max: 5000 }), { nil: undefined })
const anyTimeline: fc.Arbitrary<Timeline> = fc.record({
  dispatchedAtMs: time, firstTokenAtMs: time, lastTokenAtMs: time, endedAtMs: time,
  ending: fc.constantFrom<Ending | undefined>('completed', 'failed', 'cancelled', 'rejected', 'expired', undefined),
  streamed: fc.boolean(), outputTokens: fc.option(fc.nat(50), { nil: undefined }),
}).map((change) => timelineOf(change))
const target = fc.option(fc.integer({ min: 1, max: 5000 }), { nil: undefined })
const anyTargets: fc.Arbitrary<SloTargets> = fc.tuple(target, target, target).map(([ttftMs, tpotMs, deadlineMs]) => ({
  ...(ttftMs === undefined ? {} : { ttftMs }), ...(tpotMs === undefined ? {} : { tpotMs }), ...(deadlineMs === undefined ? {} : { deadlineMs }),
}))

t.test('outcome: properties over any timeline', async () => {
  fc.assert(fc.property(anyTimeline, anyTargets, (timeline, targets) => {
    const outcome = outcomeOf(timeline, targets)
    if (!OUTCOMES.includes(outcome)) return false
    // Only whole answers under targets can be met, and what is met counts.
    if (outcome === 'met' && !(timeline.ending === 'completed' && isTargeted(timeline, targets) && countsForAttainment(timeline, targets, outcome))) return false
    if (outcome === 'untargeted' && countsForAttainment(timeline, targets, outcome)) return false
    const due = firstTargetDueAtMs(timeline, targets)
    return due === undefined || due >= timeline.receivedAtMs
  }))
  fc.assert(fc.property(anyTimeline, anyTargets, (timeline, targets) => {
    // Looser targets never turn `met` into a miss.
    const looser: SloTargets = {
      ...(targets.ttftMs === undefined ? {} : { ttftMs: targets.ttftMs * 2 }),
      ...(targets.tpotMs === undefined ? {} : { tpotMs: targets.tpotMs * 2 }),
      ...(targets.deadlineMs === undefined ? {} : { deadlineMs: targets.deadlineMs * 2 }),
    }
    return outcomeOf(timeline, targets) !== 'met' || outcomeOf(timeline, looser) === 'met'
  }))
})
