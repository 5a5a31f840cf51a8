import fc from 'fast-check'
import t from 'tap'
import type { SloTargets } from '../../src/core/index.js'
import { noteLateness, outcomeOf, smoothGoodputTokens, smoothTokens, tokenLatenessMs } from '../../src/core/index.js'
import { timelineOf } from './helpers/timeline.js'

t.test('lateness: when token i is due', async (t) => {
  const timeline = timelineOf({ receivedAtMs: 1000, firstTokenAtMs: 1200 })
  const cases: [name: string, targets: SloTargets, index: number, atMs: number, late: number][] = [
    ['first token in time', { ttftMs: 500, tpotMs: 50 }, 1, 1500, 0],
    ['first token late', { ttftMs: 500, tpotMs: 50 }, 1, 1520, 20],
    ['tenth token in time: an early start is credit', { ttftMs: 500, tpotMs: 50 }, 10, 1950, 0],
    ['tenth token late', { ttftMs: 500, tpotMs: 50 }, 10, 2000, 50],
    ['no TTFT: from the first token on', { tpotMs: 50 }, 3, 1310, 10],
    ['no TPOT: only the first token is due', { ttftMs: 500 }, 9, 99_000, 0],
    ['deadline alone', { deadlineMs: 2000 }, 400, 3100, 100],
    ['deadline before the flow', { ttftMs: 500, tpotMs: 50, deadlineMs: 600 }, 10, 1700, 100],
    ['no targets', {}, 10, 9e9, 0],
  ]
  for (const [name, targets, index, atMs, late] of cases) t.equal(tokenLatenessMs(timeline, targets, index, atMs), late, name)
  t.equal(tokenLatenessMs(timelineOf({ streamed: false }), { ttftMs: 1, tpotMs: 1 }, 1, 9e9), 0, 'not streamed: no flow')
})

t.test('smooth goodput: late streams earn in part', async (t) => {
  const targets = { ttftMs: 100, tpotMs: 10 }
  const run = (times: readonly number[]): number => {
    const timeline = timelineOf({ ending: 'completed', outputTokens: times.length })
    times.forEach((atMs, i) => {
      if (i === 0) timeline.firstTokenAtMs = atMs
      timeline.lastTokenAtMs = atMs
      noteLateness(timeline, targets, i + 1, atMs)
    })
    timeline.endedAtMs = times.at(-1)
    return smoothGoodputTokens(timeline, targets, outcomeOf(timeline, targets))
  }
  t.equal(run([90, 100, 110, 120]), 4, 'never late: all tokens')
  t.equal(run([120, 125, 130, 130]), 2, 'largest lateness 20 ms at 10 ms a token costs two')
  t.equal(run([90, 100, 190, 191]), 0, 'later than all its tokens are worth: nothing, never less')
  t.equal(smoothTokens(50, 1, undefined), 0, 'no TPOT: a late answer earns nothing')
  t.equal(smoothTokens(50, 0, undefined), 50)

  const partly = { outputTokens: 50, firstTokenAtMs: 10, lastTokenAtMs: 20, endedAtMs: 21 }
  t.equal(smoothGoodputTokens(timelineOf({ ...partly, ending: 'failed' }), targets, 'failed'), 0, 'a truncated stream earns nothing')
  t.equal(smoothGoodputTokens(timelineOf({ ...partly, ending: 'cancelled' }), targets, 'cancelled'), 0, 'nor a cancelled one')
  t.equal(smoothGoodputTokens(timelineOf({ ...partly, ending: 'completed' }), {}, 'untargeted'), 0, 'nor one without a promise')
})

t.test('smooth goodput: a chunk of several tokens is as late as its first', async (t) => {
  const targets = { ttftMs: 100, tpotMs: 10 }
  const timeline = timelineOf({ firstTokenAtMs: 50 })
  noteLateness(timeline, targets, 2, 130)
  t.equal(timeline.maxLatenessMs, 20)
  noteLateness(timeline, targets, 100, 140)
  t.equal(timeline.maxLatenessMs, 20, 'the largest stays')
})

t.test('lateness: what comes up to the due time answered need not be noted', async () => {
  const targetMs = fc.option(fc.integer({ min: 1, max: 400 }), { nil: undefined })
  const token = fc.record({ afterMs: fc.nat(60), together: fc.integer({ min: 1, max: 3 }) })
  fc.assert(fc.property(targetMs, targetMs, targetMs, fc.array(token, { minLength: 1 }), (ttftMs, tpotMs, deadlineMs, tokens) => {
    const targets = { ...(ttftMs !== undefined && { ttftMs }), ...(tpotMs !== undefined && { tpotMs }), ...(deadlineMs !== undefined && { deadlineMs }) }
    const all = timelineOf({ firstTokenAtMs: tokens[0]!.afterMs })
    const some = timelineOf({ firstTokenAtMs: tokens[0]!.afterMs })
    let atMs = 0
    let index = 1
    let untilMs = -Infinity
    for (const { afterMs, together } of tokens) {
      atMs += afterMs
      noteLateness(all, targets, index, atMs)
      if (atMs > untilMs) untilMs = noteLateness(some, targets, index, atMs)
      index += together
    }
    return all.maxLatenessMs === some.maxLatenessMs
  }))
})

t.test('smooth goodput: never above the tokens, never below none, falls with lateness', async () => {
  fc.assert(fc.property(fc.nat(5000), fc.double({ min: 0, max: 1e6, noNaN: true }), fc.double({ min: 0, max: 1e5, noNaN: true }), fc.double({ min: 0.1, max: 1000, noNaN: true }), (tokens, late, more, tpot) => {
    const earned = smoothTokens(tokens, late, tpot)
    return earned >= 0 && earned <= tokens && smoothTokens(tokens, late + more, tpot) <= earned
  }))
})
