// Small runs that show what the policies are for; the published figures come from long ones (docs/results/simulation.md).
import t from 'tap'
import type { PolicyName } from '../../src/core/index.js'
import { publishedReport, RUN_DEFAULTS, saturatedRate, simulate, uniformFleet, WORKLOADS } from '../../src/simulator/index.js'
import { summarise } from '../../src/simulator/study/summary.js'

const backends = uniformFleet(8)
const workload = WORKLOADS['mix']!
const raw = saturatedRate(workload, backends)
const at = (policy: PolicyName, load: number, changes = {}) => summarise(load, load * raw, [
  simulate({ ...RUN_DEFAULTS, workload, backends, classPools: {}, policy, ratePerSecond: load * raw, warmupMs: 20_000, measureMs: 40_000, ...changes }),
], undefined)

t.test('at 0.9x slo keeps what round robin loses, and wastes little', async t => {
  const ours = at('slo', 0.9)
  const theirs = at('round-robin', 0.9)
  t.ok(ours.interactive_attainment > 0.85, `slo ${ours.interactive_attainment}`)
  t.ok(ours.interactive_attainment > theirs.interactive_attainment + 0.2, `round robin ${theirs.interactive_attainment}`)
  t.ok(ours.wasted_ratio < 0.1 && ours.wasted_ratio < theirs.wasted_ratio, `wasted ${ours.wasted_ratio} against ${theirs.wasted_ratio}`)
  t.ok(ours.batch_kept_ratio > 0.95, `batch ${ours.batch_kept_ratio}`)
})

t.test('goodput does not fall as load rises', async t => {
  const goodput = [0.6, 0.9, 1.2, 1.5].map(load => at('slo', load).goodput_per_s)
  goodput.slice(1).forEach((value, i) => t.ok(value > goodput[i]! * 0.98, `${value} after ${goodput[i]}`))
  t.ok(at('slo', 1.5).interactive_attainment > 0.65)
})

t.test('in overload no class pays for all others, unless it is configured to', async t => {
  const over = (minShare: number) => at('slo', 1.5, { workload: { ...workload, classes: workload.classes.map(each => ({ ...each, service: { ...each.service, minShare } })) } })
  const [fair, free] = [over(0.95), over(0)]
  t.ok(fair.attainment['summarise']! > free.attainment['summarise']! + 0.1, `long prompts ${fair.attainment['summarise']} against ${free.attainment['summarise']}`)
  t.ok(fair.interactive_attainment > free.interactive_attainment - 0.1 && fair.interactive_attainment > 0.75, `all ${fair.interactive_attainment} against ${free.interactive_attainment}`)
})

t.test('in lasting overload work with a deadline is served in part, and what is served makes it', async t => {
  const fleet = uniformFleet(2)
  const rate = 1.5 * saturatedRate(workload, fleet)
  const lasting = at('slo', 1.5, { backends: fleet, ratePerSecond: rate, warmupMs: 150_000, measureMs: 60_000 })
  t.ok(lasting.attainment['batch']! > 0.5, `batch ${lasting.attainment['batch']}`)
  t.ok(lasting.wasted_ratio < 0.1, `wasted ${lasting.wasted_ratio}`)
})

t.test('conversations stay with their cache, and wait no longer for it than it is worth', async t => {
  const conversations = WORKLOADS['multi-turn']!
  const rate = 1.4 * saturatedRate(conversations, backends)
  const ours = at('slo', 1.4, { workload: conversations, ratePerSecond: rate })
  const theirs = at('round-robin', 1.4, { workload: conversations, ratePerSecond: rate })
  t.ok(ours.worst_attainment > 0.95, `slo ${ours.worst_attainment}`)
  t.ok(ours.worst_attainment > theirs.worst_attainment + 0.2, `round robin ${theirs.worst_attainment}`)
})

t.test('what is refused could hardly have been served', async t => {
  const over = at('slo', 1.5)
  t.ok(over.rejected_ratio > 0.02)
  t.ok(over.refused_with_room_ratio! < 0.1, `${over.refused_with_room_ratio} of the refusals had room`)
})

t.test('bytes that lie by half about every prompt are learned', async t => {
  const honest = at('slo', 0.8)
  const biased = at('slo', 0.8, { knowledge: { promptError: 0.12, promptBias: 0.5, perfect: false } })
  t.ok(biased.interactive_attainment > honest.interactive_attainment - 0.04, `${biased.interactive_attainment} against ${honest.interactive_attainment}`)
})

t.test('the published report can be made', async t => {
  const page = await publishedReport({
    quick: true, command: 'sim:report',
    runnerFor: workload => async spec => {
      if (spec.workload !== workload) throw new Error('not the workload that the runner was asked for')
      return simulate(spec)
    },
  })
  const row = (name: string) => page.split('\n').find(line => line.includes(name))!.split('|').slice(4).join('|')
  t.not(row('bursts: Gamma'), row('bursts: 3 times'), 'each condition is simulated')
  t.match(page, /## mix under other conditions/)
  t.notMatch(page, /NaN|undefined|Infinity/)
  t.equal(page.match(/^## /gm)?.length, 6)
})
