import t from 'tap'
import { createScheduler, type PolicyName } from '../../src/core/index.js'
import { recordScript, replayScript, RUN_DEFAULTS, saturatedRate, simulate, uniformFleet, WORKLOADS, type Incident, type RunSpec, type ScriptEntry } from '../../src/simulator/index.js'
import { summarise } from '../../src/simulator/study/summary.js'

const backends = uniformFleet(4)
const mix = WORKLOADS['mix']!
const raw = saturatedRate(mix, backends)
const spec = (policy: PolicyName, load: number, changes: Partial<RunSpec> = {}): RunSpec => ({
  ...RUN_DEFAULTS, workload: mix, backends, classPools: {}, policy, ratePerSecond: load * raw, warmupMs: 15_000, measureMs: 45_000, ...changes,
})
const worst = (policy: PolicyName, load: number, changes: Partial<RunSpec> = {}) => summarise(load, load * raw, [simulate(spec(policy, load, changes))], undefined)

t.test('the same spec gives the same result, another seed another', async t => {
  const first = simulate(spec('power-of-two', 0.7))
  t.strictSame(simulate(spec('power-of-two', 0.7)), first)
  t.notSame(simulate(spec('power-of-two', 0.7, { seed: 2 })).classes, first.classes)
})

t.test('every measured request ends once, and is dispatched at most once unless an attempt failed', async t => {
  for (const incidents of [[], [{ kind: 'down', backend: 1, fromMs: 25_000, untilMs: 35_000, speed: 1 }]] satisfies Incident[][]) {
    const ended = new Map<string, number>()
    const dispatched = new Map<string, number>()
    let failed = 0
    const result = simulate(spec('round-robin', 0.8, { incidents }), {
      onDecision: ({ type, id }) => { if (type === 'dispatch') dispatched.set(id, (dispatched.get(id) ?? 0) + 1) },
      onEnd: request => {
        ended.set(request.id, (ended.get(request.id) ?? 0) + 1)
        if (request.ending === 'failed') failed++
      },
    })
    const offered = result.classes.reduce((sum, entry) => sum + entry.offered, 0)
    t.equal(ended.size, offered)
    t.ok([...ended.values()].every(count => count === 1))
    t.equal(result.classes.reduce((sum, entry) => sum + Object.values(entry.outcomes).reduce((a, b) => a + b, 0), 0), offered)
    t.equal([...dispatched.values()].some(count => count > 1), incidents.length > 0, 'only a failed attempt is tried again')
    t.equal(failed > 0, incidents.length > 0, 'what streamed when its backend died is lost')
  }
})

t.test('a backend that is down gets nothing once that is known, and something again afterwards', async t => {
  let whileDown = 0
  let afterwards = 0
  simulate(spec('least-requests', 0.5, { incidents: [{ kind: 'down', backend: 0, fromMs: 20_000, untilMs: 35_000, speed: 1 }] }), {
    onDecision: (decision, _request, nowMs) => {
      if (decision.type !== 'dispatch' || decision.backend !== 'b0') return
      if (nowMs > 21_000 && nowMs < 35_000) whileDown++
      if (nowMs > 36_001) afterwards++
    },
  })
  t.equal(whileDown, 0)
  t.ok(afterwards > 0)
})

t.test('a slowed backend and errors of knowledge cost attainment', async t => {
  const usual = worst('round-robin', 0.6)
  t.ok(worst('round-robin', 0.6, { incidents: [{ kind: 'slow', backend: 0, fromMs: 0, untilMs: Infinity, speed: 0.4 }] }).interactive_attainment < usual.interactive_attainment - 0.03)
})

t.test('schedulers see estimates only', async t => {
  let exact = 0
  let seen = 0
  let off = 0
  simulate(spec('random', 0.3, { knowledge: { promptError: 0.12, promptBias: 0, perfect: false } }), {
    onEnd: ({ spec: { promptBytes, promptTokens, maxOutputTokens }, source }) => {
      seen++
      if (promptTokens !== undefined || maxOutputTokens === source.outputTokens) exact++
      off = Math.max(off, Math.abs(promptBytes / 4 / source.promptTokens - 1) - 0.5 / source.promptTokens)
    },
  })
  t.ok(seen > 100)
  t.ok(exact < seen * 0.02, `${exact} of ${seen} exact by chance`)
  t.ok(off <= 0.12 && off > 0.1, `errors up to ${off}`)
})

t.test('more load means less attainment, and no backend is faster than its raw rate', async t => {
  const runs = [0.3, 0.7, 1.2].map(load => worst('round-robin', load))
  t.ok(runs[0]!.worst_attainment > 0.9)
  t.ok(runs[0]!.worst_attainment > runs[1]!.worst_attainment && runs[1]!.worst_attainment > runs[2]!.worst_attainment)
  t.ok(runs[2]!.completed_per_s < raw * 1.1, `${runs[2]!.completed_per_s} of ${raw}`)
})

t.test('affinity finds the prefix cache, spreading does not', async t => {
  const workload = WORKLOADS['multi-turn']!
  const rate = 0.6 * saturatedRate(workload, backends)
  const hits = (policy: PolicyName) => {
    const run = simulate(spec(policy, 1, { workload, ratePerSecond: rate }))
    return run.prefixHitTokens / run.prefixQueryTokens
  }
  const spread = hits('round-robin')
  t.ok(spread > 0.1, 'system prompts at least')
  for (const policy of ['session-hash', 'cache-aware', 'slo'] as const) t.ok(hits(policy) > spread + 0.05, `${policy} ${hits(policy)} against ${spread}`)
})

t.test('a recorded script gives the same decisions again, and others with another seed', async t => {
  const entries: ScriptEntry[] = []
  let options: Parameters<typeof createScheduler> | undefined
  simulate(spec('random', 0.5, { warmupMs: 1000, measureMs: 5000 }), {
    createScheduler: (...given) => {
      options = given
      return recordScript(createScheduler(...given), entries)
    },
  })
  t.ok(entries.length > 500)
  const { createRandom } = await import('../../src/core/index.js')
  const fresh = (seed: string) => createScheduler(options![0], createRandom(seed), options![2])
  t.strictSame(replayScript(entries, fresh('1/scheduler/0')).map(entry => entry.decisions), entries.map(entry => entry.decisions))
  t.notSame(replayScript(entries, fresh('2/scheduler/0')).map(entry => entry.decisions), entries.map(entry => entry.decisions))
})
