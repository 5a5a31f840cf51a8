import fc from 'fast-check'
import t from 'tap'
import type { Ending, Timeline } from '../../src/core/index.js'
import { attainmentOf, burnRate, costPerMillionTokens, GoodputLedger, OUTCOMES, perSecond, WASTE_REASONS, workOf } from '../../src/core/index.js'
import { timelineOf } from './helpers/timeline.js'

const TARGETS = { ttftMs: 500, tpotMs: 50 }
const served = (receivedAtMs: number, change: Partial<Timeline> = {}): Timeline => timelineOf({
  receivedAtMs, dispatchedAtMs: receivedAtMs + 10, connectedAtMs: receivedAtMs + 11, firstTokenAtMs: receivedAtMs + 300, lastTokenAtMs: receivedAtMs + 700,
  endedAtMs: receivedAtMs + 701, ending: 'completed', promptTokens: 100, outputTokens: 11, attempts: 1, ...change,
})

t.test('ledger: totals, tokens and waste', async (t) => {
  const ledger = new GoodputLedger()
  const end = (timeline: Timeline) => { ledger.offered('chat', timeline.receivedAtMs); return ledger.ended('chat', timeline, TARGETS, timeline.endedAtMs!) }
  t.equal(end(served(0)), 'met')
  t.equal(end(served(0, { firstTokenAtMs: 600, lastTokenAtMs: 700, maxLatenessMs: 100 })), 'missed_ttft')
  t.equal(end(served(0, { ending: 'failed', cachedTokens: 60, outputTokens: 3 })), 'failed')
  t.equal(end(timelineOf({ ending: 'rejected', endedAtMs: 1 })), 'rejected')
  t.equal(end(served(0, { ending: 'cancelled', endedAtMs: 400, outputTokens: 2 })), 'cancelled')
  ledger.attemptLost('chat', { promptTokens: 100, outputTokens: 0 }, 800)

  const totals = ledger.totals('chat')
  t.equal(totals.offered, 5)
  t.equal(totals.counted, 4, 'the early cancellation does not count')
  t.equal(totals.attainment, 0.25)
  t.same([totals.promptTokens, totals.outputTokens], [400, 27])
  t.same([totals.goodTokens, totals.smoothGoodTokens], [11, 11 + 9])
  t.match(totals.wastedTokens, { missed_ttft: 111, failed: 43, cancelled: 102, rejected: 0, retried: 100 })
  // By cost (1 and 2 per token): good 122; wasted 122 + 46 + 104 + 100.
  t.equal(totals.goodputRatio, 122 / (122 + 372))
  t.same(ledger.totals(), totals, 'one class is the whole')
})

t.test('ledger: untargeted work is neither good nor wasted', async (t) => {
  const ledger = new GoodputLedger()
  ledger.offered('plain', 0)
  t.equal(ledger.ended('plain', served(0), {}, 701), 'untargeted')
  const totals = ledger.totals('plain')
  t.same([totals.outcomes.untargeted, totals.counted, totals.attainment, totals.goodTokens, totals.goodputRatio], [1, 0, undefined, 0, undefined])
  t.equal(totals.outputTokens, 11)
  t.equal(WASTE_REASONS.reduce((sum, reason) => sum + totals.wastedTokens[reason], 0), 0)
})

t.test('ledger: what counts as work of a backend', async (t) => {
  t.same(workOf(timelineOf({ ending: 'expired', promptTokens: 9 })), { promptTokens: 0, outputTokens: 0 }, 'never dispatched')
  t.same(workOf(timelineOf({ ending: 'failed', dispatchedAtMs: 1, promptTokens: 9 })), { promptTokens: 0, outputTokens: 0 }, 'no backend took it')
  t.same(workOf(served(0, { cachedTokens: 30 })), { promptTokens: 70, outputTokens: 11 }, 'cached tokens cost nothing')
  t.same(workOf(served(0, { cachedTokens: 300 })), { promptTokens: 0, outputTokens: 11 })
})

t.test('ledger: windows forget, rates divide by the time that passed', async (t) => {
  const ledger = new GoodputLedger()
  for (let i = 0; i < 600; i++) {
    const at = i * 1000
    ledger.offered('chat', at)
    // The first five minutes are in time, then every second request is late.
    const late = at >= 300_000 && i % 2 === 0
    ledger.ended('chat', served(at, late ? { firstTokenAtMs: at + 600, lastTokenAtMs: at + 690 } : {}), TARGETS, at + 701)
  }
  const now = 599_999
  const attainment = (windowMs: number) => attainmentOf(ledger.window(windowMs, now, 'chat'))
  t.equal(attainment(60_000), 0.5)
  t.equal(attainment(300_000), 0.5)
  t.equal(attainment(3_600_000), 0.75)
  const minute = ledger.window(60_000, now)
  t.ok(Math.abs(perSecond(minute.offered, minute) - 1) < 0.01)
  t.ok(Math.abs(perSecond(minute.met, minute) - 0.5) < 0.01)
  t.ok(Math.abs(perSecond(minute.goodTokens, minute) - 5.5) < 0.1)
  t.equal(attainmentOf(ledger.window(60_000, now + 120_000, 'chat')), undefined, 'no traffic is no attainment')
  t.equal(attainmentOf(ledger.window(60_000, now, 'unknown')), undefined)
})

t.test('ledger: distributions', async (t) => {
  const ledger = new GoodputLedger()
  ledger.ended('chat', served(0), TARGETS, 701)
  ledger.ended('chat', timelineOf({ ending: 'rejected', endedAtMs: 1 }), TARGETS, 702)
  const account = ledger.account('chat', 0)
  t.same([account.distribution('ttft').max, account.distribution('tpot').max, account.distribution('e2e').max, account.distribution('e2e').count], [300, 40, 701, 1])
  t.equal(account.recent('ttft', 800).count, 1)
  t.equal(account.recent('ttft', 800_000).count, 0)
})

t.test('burn rate and cost', async (t) => {
  const cases: [attainment: number | undefined, objective: number, rate: number | undefined][] = [
    [1, 0.95, 0], [0.95, 0.95, 1], [0.9, 0.95, 2], [undefined, 0.95, undefined], [0.99, 1, Infinity], [1, 1, 0],
  ]
  for (const [attainment, objective, rate] of cases) {
    const got = burnRate(attainment, objective)
    t.ok(got === rate || Math.abs(got! - rate!) < 1e-9, `${attainment} of ${objective} burns at ${rate}`)
  }
  t.equal(costPerMillionTokens(3.6, 1000), 1)
  t.equal(costPerMillionTokens(3.6, 0), undefined)
})

t.test('ledger: every ended request has one outcome, and parts add up', async () => {
  const ending = fc.constantFrom<Ending>('completed', 'failed', 'cancelled', 'rejected', 'expired')
  fc.assert(fc.property(fc.array(fc.tuple(fc.constantFrom('a', 'b'), ending, fc.integer({ min: 1, max: 900 }), fc.nat(200), fc.boolean()), { maxLength: 40 }), (requests) => {
    const ledger = new GoodputLedger()
    for (const [name, how, first, tokens, targeted] of requests) {
      ledger.offered(name, 0)
      ledger.ended(name, served(0, { ending: how, firstTokenAtMs: first, lastTokenAtMs: first + 100, endedAtMs: 1000, outputTokens: tokens }), targeted ? TARGETS : {}, 1000)
    }
    const totals = ledger.totals()
    const outcomes = OUTCOMES.reduce((sum, outcome) => sum + totals.outcomes[outcome], 0)
    const window = ledger.window(60_000, 1000)
    return outcomes === requests.length && totals.offered === requests.length && totals.counted <= requests.length &&
      totals.outcomes.met <= totals.counted && totals.goodTokens <= totals.outputTokens &&
      window.met === totals.outcomes.met && window.counted === totals.counted && window.goodTokens === totals.goodTokens
  }))
})
