import t from 'tap'
import { parseScenario, RUN_DEFAULTS, runStudy, saturatedRate, simulate, studyHtml, studyTable, uniformFleet, WORKLOADS, loadAtObjective, planCapacity } from '../../src/simulator/index.js'
import { knee } from '../../src/simulator/report/knee.js'
import { clairvoyantRate } from '../../src/simulator/study/bound.js'
import { describeSplit, staticSplits } from '../../src/simulator/study/static-pools.js'

const short = { ...RUN_DEFAULTS, warmupMs: 10_000, measureMs: 30_000 }
const runCell = async (spec: Parameters<typeof simulate>[0]) => simulate(spec)

t.test('the search finds where a falling line crosses the objective', async t => {
  for (const objective of [0.9, 0.99]) {
    for (const known of [[], [0.5, 1.5], [2.5], [0.1, 0.2]]) {
      let calls = 0
      const line = (load: number) => Math.max(0, Math.min(1, 1.2 - 0.3 * load))
      const found = await loadAtObjective({ known: known.map(load => ({ load, worst: line(load) })), objective, tolerance: 0.02, maxLoad: 3, measure: async load => { calls++; return line(load) } })
      t.ok(Math.abs(found - (1.2 - objective) / 0.3) < 1e-9, `${found}`)
      t.ok(calls < 14)
    }
  }
  t.equal(await loadAtObjective({ known: [], objective: 0.9, tolerance: 0.02, maxLoad: 3, measure: async () => 0 }), 0)
  t.equal(await loadAtObjective({ known: [], objective: 0.9, tolerance: 0.02, maxLoad: 3, measure: async () => 1 }), 3)
})

t.test('the bound falls with the objective, grows with the fleet, and is out of reach', async t => {
  const workload = WORKLOADS['mix']!
  const bound = (objective: number, count = 4) => clairvoyantRate(workload, uniformFleet(count), objective)!
  t.ok(bound(0.8) > bound(0.9) && bound(0.9) > bound(0.99))
  t.ok(Math.abs(bound(0.9, 8) / bound(0.9, 4) - 2) < 0.05)
  t.equal(clairvoyantRate(workload, [...uniformFleet(1), ...uniformFleet(1, '4xa100-70b')], 0.9), undefined)
  const kept = simulate({ ...short, workload, backends: uniformFleet(4), policy: 'least-prefill-tokens', classPools: {}, ratePerSecond: bound(0.9) })
  t.ok(kept.classes.some(entry => entry.met / entry.counted < 0.9))
})

t.test('static splits keep the order of urgency and leave no pool empty', async t => {
  const splits = staticSplits(WORKLOADS['mix']!, uniformFleet(4))
  t.equal(splits.length, 9)
  t.equal(describeSplit(splits[0]!), '1 for code; 3 for chat, summarise, batch')
  t.equal(describeSplit(splits.at(-1)!), '3 for code, chat, summarise; 1 for batch')
  t.equal(describeSplit(staticSplits(WORKLOADS['chat']!, uniformFleet(2))[0]!), '2 for all')
})

t.test('a study has the form that programs rely on, and reports that stand alone', async t => {
  const workload = WORKLOADS['chat']!
  const backends = uniformFleet(2, 'a100-8b', ['default'], 2)
  const study = await runStudy({
    workload, backends, policies: ['round-robin', 'least-requests'], loads: [0.4, 1.2], seeds: [1, 2], conditions: short, rawRate: saturatedRate(workload, backends), objectives: [0.9], tolerance: 0.2, perfect: false,
  }, runCell)
  t.strictSame(JSON.parse(JSON.stringify(study)), study, 'plain data')
  t.match(study, { workload: 'chat', backends: 2, seeds: 2, bound: { 0.9: Number }, policies: [{ name: 'round-robin', load_at_objective: { 0.9: Number } }, { name: 'least-requests' }] })
  const [low, high] = study.policies[0]!.loads
  for (const entry of [low!, high!]) {
    for (const ratio of [entry.attainment['chat']!, entry.worst_attainment, entry.wasted_ratio, entry.rejected_ratio, entry.batch_kept_ratio]) t.ok(ratio >= 0 && ratio <= 1)
    t.ok(entry.spread.worst_attainment[0] <= entry.worst_attainment && entry.worst_attainment <= entry.spread.worst_attainment[1])
    t.ok(entry.goodput_per_s <= entry.offered_per_s * 1.1)
  }
  t.ok(low!.worst_attainment > high!.worst_attainment)
  t.ok(low!.cost_per_million_good_tokens! > 0 && high!.cost_per_million_good_tokens! > high!.cost_per_million_tokens!)
  t.match(studyTable(study), /clairvoyant bound/)
  const html = studyHtml(study, 'sluice simulate --workload "<chat>"')
  t.match(html, /<svg/)
  t.notMatch(html, /https?:|<script|src=|@import|NaN|undefined/)
  t.notMatch(html, /<chat>/)
})

t.test('the planner finds the least fleet', async t => {
  const workload = WORKLOADS['chat']!
  const conditions = short
  const plan = async (targetRate: number, maxBackends: number) => (await planCapacity({ workload, fleet: count => uniformFleet(count), policies: ['least-requests'], seeds: [1], conditions, targetRate, objective: 0.9, maxBackends }, runCell))[0]!
  const found = await plan(11, 8)
  t.ok(found.backends! >= 2 && found.backends! <= 4, `${found.backends}`)
  t.ok(found.summary!.worst_attainment >= 0.9)
  t.equal((await plan(40, 2)).backends, undefined)
})

t.test('a scenario is read, or its error names the member', async t => {
  const scenario = parseScenario({
    name: 'two', arrivals: 'gamma:2', gateways: 2, prompt_error: 0.4,
    classes: { fast: { share: 0.7, ttft: '300ms', tpot: '40ms', lengths: 'conversation' }, slow: { deadline: '2m', batch_mode: 'hold', lengths: { prompt: [[0, 10], [1, 100]], output: [[0, 1], [1, 50]] } } },
    backends: [{ count: 2 }, { preset: '4xa100-70b', speed: 2, pool: 'big', cost_per_hour: 9 }],
    incidents: [{ kind: 'slow', backend: 1, speed: 0.5, from: '1m' }],
  })
  t.match(scenario, {
    workload: { kind: 'synthetic', name: 'two', arrivals: { process: 'gamma', cv: 2 }, classes: [{ share: 0.7, service: { name: 'fast', targets: { ttftMs: 300, tpotMs: 40 } } }, { service: { targets: { deadlineMs: 120_000 }, batchMode: 'hold' } }] },
    backends: [{ preset: 'a100-8b', speed: 1 }, {}, { preset: '4xa100-70b', pool: 'big', costPerHour: 9 }],
    incidents: [{ fromMs: 60_000, untilMs: Infinity }], gateways: 2, knowledge: { promptError: 0.4 },
  })
  t.throws(() => parseScenario({ classes: { a: { lenghts: 'conversation' } } }), /classes\.a: unknown key "lenghts"; did you mean "lengths"\?/)
  t.throws(() => parseScenario({ classes: { a: { lengths: 'poems' } } }), /classes\.a\.lengths: unknown table "poems"; known: conversation/)
  t.throws(() => parseScenario({ classes: { a: { ttft: 'soon', lengths: 'conversation' } } }), /classes\.a\.ttft: expected a duration/)
  t.throws(() => parseScenario({ classes: {} }), /at least one class/)
  t.throws(() => parseScenario([]), /expected a mapping/)
})

t.test('the knee is where the curve leaves the floor', async t => {
  t.strictSame(knee([[0, 1], [1, 1], [2, 1.1], [3, 2], [4, 10]]), [3, 2])
  t.equal(knee([[0, 0], [1, 1], [2, 2]]), undefined)
  t.equal(knee([[0, 0], [1, 1]]), undefined)
})
