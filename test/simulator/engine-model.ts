import fc from 'fast-check'
import t from 'tap'
import { ENGINE_PRESETS, EngineModel, type EngineLimits, type EngineRequest, type Sequence, type StepCosts } from '../../src/simulator/engine/index.js'

/** Round figures, so that a reader can add them up: 10 ms a step, 1 ms a stream, 1 ms per 1000 context tokens, 0.1 ms a prompt token. */
const COSTS: StepCosts = { baseMs: 10, perStreamMs: 1, perKiloContextMs: 1, perPrefillTokenMs: 0.1, perPrefillKiloContextMs: 0 }

function engine (limits: Partial<EngineLimits> = {}, costs: Partial<StepCosts> = {}): EngineModel<string> {
  const preset = ENGINE_PRESETS['a100-8b']
  return new EngineModel<string>({ profile: { costs: { ...COSTS, ...costs }, limits: { ...preset.limits, ...limits } } })
}

const tags = (sequences: ReadonlyArray<Sequence<string>>): string => sequences.map(sequence => sequence.tag).join('')

/** Steps until idle; returns the end of each step with the tags that got a token. */
function drain (model: EngineModel<string>, nowMs: number): Array<[number, string]> {
  const steps: Array<[number, string]> = []
  let report = model.step(nowMs)
  while (report.endsAtMs !== Infinity) {
    report = model.step(report.endsAtMs)
    steps.push([report.endedAtMs, tags(report.emitted)])
  }
  return steps
}

t.test('one request: prefill makes the first token, each decode step one more', async t => {
  const model = engine()
  const sequence = model.submit({ promptTokens: 100, outputTokens: 3, tag: 'a' }, 5)
  const steps = drain(model, 5)
  t.equal(steps.length, 3)
  t.ok(Math.abs(steps[0]![0] - 25) < 1e-9, '10 ms + 100 × 0.1 ms after the start')
  t.ok(Math.abs(steps[1]![0] - (25 + 11 + 0.101)) < 1e-9, 'a decode step: base, one stream, 101 tokens of context')
  t.equal(sequence?.state, 'finished')
  t.equal(sequence?.firstTokenAtMs, steps[0]![0])
  t.equal(sequence?.lastTokenAtMs, steps[2]![0])
  t.match(model.counters, { steps: 3, prefillTokens: 100, decodeTokens: 2, generatedTokens: 3, finished: 1 })
  t.match(model.gauges(), { running: 0, waiting: 0, kvUsageRatio: 0, queuedPromptTokens: 0 })
})

t.test('chunked prefill shares the step budget with decode and slows it', async t => {
  const model = engine({ stepTokenBudget: 512 })
  model.submit({ promptTokens: 10, outputTokens: 10, tag: 'a' }, 0)
  let report = model.step(0)
  model.submit({ promptTokens: 1000, outputTokens: 1, tag: 'b' }, 1)
  report = model.step(report.endsAtMs)
  const mixedFrom = report.endedAtMs
  t.ok(report.endsAtMs - mixedFrom > 10 + 1 + 511 * 0.1, 'the step with a chunk of 511 costs decode and prefill together')
  report = model.step(report.endsAtMs)
  t.equal(tags(report.emitted), 'a', 'b has 511 of 1000 tokens')
  report = model.step(report.endsAtMs)
  t.equal(tags(report.emitted), 'ab', 'b is done with its second chunk')
})

t.test('first come, first served within the sequence limit', async t => {
  const model = engine({ maxSequences: 2 })
  for (const tag of ['a', 'b', 'c', 'd']) model.submit({ promptTokens: 10, outputTokens: 2, tag }, 0)
  t.same(drain(model, 0).map(step => step[1]), ['ab', 'ab', 'cd', 'cd'])
})

t.test('a request that comes during a step waits for the next one', async t => {
  const model = engine()
  model.submit({ promptTokens: 10, outputTokens: 2, tag: 'a' }, 0)
  const endsAtMs = model.step(0).endsAtMs
  model.submit({ promptTokens: 10, outputTokens: 1, tag: 'b' }, endsAtMs + 3)
  let report = model.step(endsAtMs)
  report = model.step(report.endsAtMs)
  t.equal(tags(report.emitted), 'a', 'b came after that step had begun')
  report = model.step(report.endsAtMs)
  t.equal(tags(report.emitted), 'b')
})

t.test('an idle model starts no earlier than the request came', async t => {
  const model = engine()
  model.submit({ promptTokens: 10, outputTokens: 1, tag: 'a' }, 100)
  t.equal(model.step(40).endsAtMs, 111)
  t.throws(() => model.step(50), /under way ends at 111/)
})

t.test('memory runs out: the youngest is preempted, computed again, and loses no token', async t => {
  const model = engine({ kvCapacityTokens: 160, blockTokens: 16 })
  const a = model.submit({ promptTokens: 60, outputTokens: 60, tag: 'a' }, 0)
  const b = model.submit({ promptTokens: 60, outputTokens: 60, tag: 'b' }, 0)
  const emitted = drain(model, 0).map(step => step[1]).join('')
  t.equal(emitted.replaceAll('b', '').length, 60)
  t.equal(emitted.replaceAll('a', '').length, 60)
  t.equal(a?.preemptions, 0)
  t.ok(b!.preemptions > 0)
  t.ok(a!.endedAtMs < b!.endedAtMs)
  t.equal(model.counters.preemptions, b?.preemptions)
  t.ok(model.counters.recomputedTokens >= 60)
  t.equal(model.counters.prefillTokens + model.counters.decodeTokens - model.counters.recomputedTokens, 2 * 60 + 2 * 59)
})

t.test('prefix cache: shared blocks are computed once, chains are evicted from their end', async t => {
  const model = engine({ kvCapacityTokens: 320, blockTokens: 16 })
  const hashes = (...values: number[]): EngineRequest<string>['prefixHashes'] => values
  const run = (prefixHashes: EngineRequest<string>['prefixHashes'], promptTokens: number): number => {
    const sequence = model.submit({ promptTokens, outputTokens: 1, prefixHashes, tag: 'x' }, 0)
    drain(model, model.endsAtMs === Infinity ? 0 : model.endsAtMs)
    return sequence!.cachedTokens
  }
  t.equal(run(hashes(1, 2, 3, 4), 64), 0)
  t.equal(run(hashes(1, 2, 3, 4), 64), 48, 'one token must be left to compute, so the last block does not count')
  t.equal(run(hashes(1, 2, 9, 10), 70), 32)
  t.equal(model.gauges().kvUsageRatio, 0, 'what nobody references is free')
  t.equal(run(undefined, 250), 0, 'takes 16 of 20 blocks: two of the six cached ones must go')
  t.equal(run(hashes(1, 2, 3, 4), 70), 32, 'the oldest ends of chains went first')
  t.equal(model.counters.prefixHitTokens, 48 + 32 + 32)
})

t.test('running requests share blocks and memory counts them once', async t => {
  const model = engine({ stepTokenBudget: 64 })
  const prefixHashes = [1, 2, 3, 4]
  model.submit({ promptTokens: 64, outputTokens: 5, prefixHashes, tag: 'a' }, 0)
  let report = model.step(0)
  model.submit({ promptTokens: 65, outputTokens: 5, prefixHashes, tag: 'b' }, 0)
  report = model.step(report.endsAtMs)
  t.equal(model.gauges().kvUsageRatio * model.gauges().kvTotalBlocks, 4 + 1 + 1)
  t.equal(report.endsAtMs !== Infinity, true)
})

t.test('abort: waiting goes at once, running carries on to the end of the step, work is counted as wasted', async t => {
  const model = engine({ maxSequences: 1 })
  const a = model.submit({ promptTokens: 100, outputTokens: 50, tag: 'a' }, 0)!
  const b = model.submit({ promptTokens: 100, outputTokens: 50, tag: 'b' }, 0)!
  model.submit({ promptTokens: 10, outputTokens: 1, tag: 'c' }, 0)
  let report = model.step(0)
  report = model.step(report.endsAtMs)
  model.abort(b, report.endedAtMs)
  t.match(model.gauges(), { running: 1, waiting: 1 })
  model.abort(a, report.endedAtMs)
  model.abort(a, report.endedAtMs)
  t.match(model.gauges(), { running: 0, waiting: 1, queuedPromptTokens: 10 })
  t.ok(model.gauges().kvUsageRatio > 0, 'the step under way still uses the memory')
  report = model.step(report.endsAtMs)
  t.equal(tags(report.emitted), '', 'nothing more for a')
  report = model.step(report.endsAtMs)
  t.equal(tags(report.finished), 'c')
  t.match(model.counters, { aborted: 2, finished: 1, wastedPrefillTokens: 100, wastedDecodeTokens: 1 })
})

t.test('limits refuse, and what can never fit is an error', async t => {
  const model = engine({ maxInflight: 2, maxQueuedPromptTokens: 1000, kvCapacityTokens: 4096 })
  t.ok(model.submit({ promptTokens: 600, outputTokens: 1, tag: 'a' }, 0))
  t.equal(model.submit({ promptTokens: 600, outputTokens: 1, tag: 'b' }, 0), undefined, 'too many prompt tokens wait')
  t.ok(model.submit({ promptTokens: 6, outputTokens: 1, tag: 'c' }, 0))
  t.equal(model.submit({ promptTokens: 6, outputTokens: 1, tag: 'd' }, 0), undefined, 'two are inside')
  t.equal(model.counters.refused, 2)
  t.throws(() => model.submit({ promptTokens: 4000, outputTokens: 200, tag: 'e' }, 0), /never fit/)
  t.throws(() => model.submit({ promptTokens: 0, outputTokens: 1, tag: 'f' }, 0), RangeError)
})

t.test('prefill only: finishes without a token', async t => {
  const model = engine()
  model.submit({ promptTokens: 100, outputTokens: 0, tag: 'e' }, 0)
  let report = model.step(0)
  report = model.step(report.endsAtMs)
  t.equal(tags(report.finished), 'e')
  t.equal(report.emitted.length, 0)
})

t.test('speed and noise', async t => {
  const profile = ENGINE_PRESETS['a100-8b']
  const ends = (speed: number, noise: number): number => {
    let state = 7
    const random = { next: () => (state = Math.imul(state, 48271) & 0x7fffffff) / 0x7fffffff }
    const model = new EngineModel<string>({ profile, speed, noise, random })
    model.submit({ promptTokens: 1000, outputTokens: 20, tag: 'a' }, 0)
    return drain(model, 0).at(-1)![0]
  }
  t.ok(Math.abs(ends(1, 0) / ends(10, 0) - 10) < 1e-9)
  t.equal(ends(1, 0.1), ends(1, 0.1), 'same seed, same run')
  t.not(ends(1, 0.1), ends(1, 0))
  t.throws(() => new EngineModel({ profile, noise: 0.1 }), /random/)
})

t.test('whatever comes: every token is made, work is conserved, memory returns to zero', async () => {
  const request = fc.record({
    gapMs: fc.integer({ min: 0, max: 60 }),
    promptTokens: fc.integer({ min: 1, max: 700 }),
    outputTokens: fc.integer({ min: 0, max: 80 }),
    /** Requests of one group share a prompt start; 0 = none. */
    group: fc.integer({ min: 0, max: 3 }),
    /** Let go so many ms after it came, if still inside. */
    abortAfterMs: fc.option(fc.integer({ min: 0, max: 500 }), { nil: undefined })
  })
  fc.assert(fc.property(fc.array(request, { minLength: 1, maxLength: 60 }), fc.integer({ min: 64, max: 600 }), (requests, budget) => {
    const model = engine({ kvCapacityTokens: 1600, stepTokenBudget: budget, maxSequences: 12 })
    const tokens = new Map<string, number>()
    const sequences: Array<Sequence<string>> = []
    const events: Array<{ atMs: number, run: () => void }> = []
    let atMs = 0
    requests.forEach((r, i) => {
      atMs += r.gapMs
      const at = atMs
      events.push({ atMs: at, run: () => {
        const prefixHashes = r.group === 0 ? undefined : Array.from({ length: Math.floor(r.promptTokens / 16) }, (_, j) => r.group * 1000 + j)
        const sequence = model.submit({ promptTokens: r.promptTokens, outputTokens: r.outputTokens, prefixHashes, tag: String(i) }, at)!
        sequences.push(sequence)
        if (r.abortAfterMs !== undefined) {
          const abortAt = at + r.abortAfterMs
          events.push({ atMs: abortAt, run: () => model.abort(sequence, abortAt) })
          events.sort((x, y) => x.atMs - y.atMs)
        }
      } })
    })
    while (events.length > 0 || model.endsAtMs !== Infinity) {
      const next = events[0]
      if (next !== undefined && next.atMs < model.endsAtMs) {
        events.shift()
        next.run()
        if (model.endsAtMs === Infinity) model.step(next.atMs)
        continue
      }
      for (const sequence of model.step(model.endsAtMs).emitted) tokens.set(sequence.tag, (tokens.get(sequence.tag) ?? 0) + 1)
    }
    const counters = model.counters
    let useful = 0
    for (const sequence of sequences) {
      const made = tokens.get(sequence.tag) ?? 0
      if (made !== sequence.generated) return false
      if (sequence.state === 'finished') {
        if (made !== sequence.outputTokens) return false
        const firstTime = sequence.prefillWork - sequence.recomputeWork + sequence.decodeWork
        if (sequence.prefixHashes.length === 0 && firstTime !== sequence.promptTokens + Math.max(0, made - 1)) return false
        useful += sequence.prefillWork - sequence.recomputeWork + sequence.decodeWork
      } else if (sequence.state !== 'aborted') return false
    }
    const spent = counters.recomputedTokens + counters.wastedPrefillTokens + counters.wastedDecodeTokens + useful
    const gauges = model.gauges()
    return counters.prefillTokens + counters.decodeTokens === spent && gauges.running === 0 && gauges.waiting === 0 &&
      gauges.kvUsageRatio === 0 && gauges.queuedPromptTokens === 0 && counters.finished + counters.aborted === sequences.length
  }), { seed: 11, numRuns: 150 })
})
