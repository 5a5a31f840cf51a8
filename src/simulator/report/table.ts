import type { Plan } from '../study/plan.js'
import type { Study } from '../study/study.js'
import { burden, columns, count, load, share } from './format.js'

/** A study as text for people. */
export function studyTable(study: Study): string {
  const objectives = Object.keys(study.policies[0]?.load_at_objective ?? {})
  const loads = study.policies[0]?.loads.map(entry => entry.load) ?? []
  const parts = [
    `Workload ${study.workload}, ${study.backends} backends, seeds ${study.seed_list.join(', ')}. Load 1.0 = ${count(study.raw_rate_per_s)} requests/s, what the fleet completes with no targets at all.`,
    '',
    'Share of requests that meet TTFT and TPOT, over all classes that have them, by load',
    ...objectives.length === 0 ? [] : ['"load at" is the highest at which every class attains the objective, batch work by its deadline'],
    columns([
      ['policy', ...loads.map(load), ...objectives.map(objective => `load at ${objective}`)],
      ...study.policies.map(policy => [policy.name, ...policy.loads.map(entry => share(entry.interactive_attainment)), ...objectives.map(objective => load(policy.load_at_objective[objective]!))]),
      ...objectives.length === 0 ? [] : [['clairvoyant bound', ...loads.map(() => ''), ...objectives.map(objective => study.bound[objective] === undefined ? 'none' : load(study.bound[objective]))]],
    ]),
  ]
  for (const policy of study.policies) {
    const classes = Object.keys(policy.loads[0]?.attainment ?? {})
    if (policy.loads.length === 0) continue
    parts.push('', `${policy.name}${policy.split === undefined ? '' : ` (${policy.split})`}`, columns([
      ['  load', ...classes, 'worst', 'over seeds', 'goodput/s', 'good tok/s', 'wasted', 'refused', 'false', 'batch kept'],
      ...policy.loads.map(entry => [
        `  ${load(entry.load)}`, ...classes.map(name => share(entry.attainment[name]!)), share(entry.worst_attainment),
        entry.spread.worst_attainment.map(share).join('–'), count(entry.goodput_per_s), count(entry.good_tokens_per_s), burden(entry.wasted_ratio),
        burden(entry.rejected_ratio), entry.false_rejection_ratio === null ? '–' : burden(entry.false_rejection_ratio), share(entry.batch_kept_ratio),
      ]),
    ]))
  }
  return `${parts.join('\n')}\n`
}

/** A capacity plan as text for people. */
export function planTable(workload: string, targetRate: number, objective: number, plans: readonly Plan[]): string {
  return `${[
    `Backends that keep ${share(objective)} in every class of ${workload} at ${targetRate} requests/s`,
    '',
    columns([
      ['policy', 'backends', 'pools', 'worst class', 'goodput/s', 'cost/hour'],
      ...plans.map(plan => [
        plan.policy, plan.backends === undefined ? 'not within the limit' : String(plan.backends), plan.pools, plan.summary === undefined ? '–' : share(plan.summary.worst_attainment),
        plan.summary === undefined ? '–' : count(plan.summary.goodput_per_s), plan.costPerHour === undefined ? '–' : plan.costPerHour.toFixed(2),
      ]),
    ]),
  ].join('\n')}\n`
}
