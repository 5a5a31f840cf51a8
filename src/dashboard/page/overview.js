// Are promises kept? If not, why, and who pays?
import { el, render, panel, nothing } from './dom.js'
import { age, against, count, isKnown, level, money, ms, percent, rate, round, times, words, UNKNOWN } from './format.js'
import { bar, gauge, smooth, spark, timeChart } from './charts.js'

const promised = (targets) => [isKnown(targets.ttftMs) && `TTFT ${round(ms(targets.ttftMs))}`, isKnown(targets.tpotMs) && `TPOT ${round(ms(targets.tpotMs))}`, isKnown(targets.deadlineMs) && `end ${age(targets.deadlineMs)}`].filter(Boolean).join(' · ')

/** The window that judges: five minutes. */
const judged = ({ windows }) => windows['5m']

/** A fault in one sentence. */
const faultText = ({ backend, phase, ratio, against: basis, nowMs, expectedMs }) => {
  const what = phase === 'decode' ? 'makes tokens' : 'reads prompts'
  const usual = basis === 'past' ? 'than it used to at this load' : 'than the rest of its pool'
  return [el('b', {}, backend), ` ${what} `, el('b', {}, `${times(ratio)} slower`), ` ${usual} (${ms(nowMs)}, not ${ms(expectedMs)})`]
}

const payText = ({ pays }) => pays.length === 0 ? 'no class has missed a target by it so far'
  : pays.map(({ class: name, missed, ended, tokenMs, tpotTargetMs }) => `${name} pays${missed > 0 ? `: ${missed} of ${ended} missed` : ''}${isKnown(tokenMs) && isKnown(tpotTargetMs) && tokenMs > tpotTargetMs ? `${missed > 0 ? ',' : ':'} tokens come every ${ms(tokenMs)}, not ${ms(tpotTargetMs)}` : ''}`).join('; ')

const missText = ({ class: name, ended, missed, outcome, queueShare, backend }) => [el('b', {}, name), `: ${missed} of ${ended} broke their promise in the last minute, most of them ${words(outcome.name)} (${outcome.count})`,
  isKnown(queueShare) ? `; ${percent(queueShare, 0)} of their time to the first token was spent in the queue` : '', backend === undefined ? '; none reached a backend.' : `; ${backend.count === missed ? 'all' : backend.count} ran on ${backend.name}.`]

const causes = (snapshot, broken) => {
  const found = []
  for (const fault of snapshot.faults) found.push(['bad', [...faultText(fault), `, for ${age(fault.ageMs)}; ${payText(fault)}.`]])
  for (const { id, state, why, stateAgeMs } of snapshot.backends) {
    if (state === 'down') found.push(['bad', [el('b', {}, id), ` has been down for ${age(stateAgeMs)}: ${why}.`]])
    else if (state === 'draining') found.push(['warn', [el('b', {}, id), ` has been draining for ${age(stateAgeMs)}.`]])
    else if (state === 'degraded') found.push(['warn', [el('b', {}, id), ` is degraded: ${why}.`]])
  }
  for (const { class: name, p50Ms, p99Ms, beforeP99Ms } of snapshot.queueAlarms) found.push(['warn', [el('b', {}, name), `: a queue builds up early: p99 of TTFT rose from ${ms(beforeP99Ms)} to ${ms(p99Ms)} while p50 holds at ${ms(p50Ms)}.`]])
  for (const name of broken) {
    const miss = snapshot.misses.find((one) => one.class === name)
    if (miss !== undefined) found.push(['warn', missText(miss)])
  }
  if (snapshot.admission.configured === 'enforce' && snapshot.admission.effective !== 'enforce') found.push(['warn', ['Admission only observes: refusals were wrong too often.']])
  if (snapshot.draining) found.push(['warn', ['The gateway is shutting down.']])
  return found
}

export const renderVerdict = (into, snapshot) => {
  const classes = snapshot.personas.filter(({ kind, objective }) => kind === 'class' && isKnown(objective))
  const measured = classes.filter((one) => isKnown(judged(one).attainment))
  const broken = measured.filter((one) => judged(one).attainment < one.objective).sort((a, b) => judged(a).attainment - judged(b).attainment)
  const found = causes(snapshot, broken.map(({ name }) => name))
  const all = snapshot.personas.find(({ kind }) => kind === 'all')
  const tone = measured.length === 0 ? '' : broken.length === 0 ? 'good' : broken.some((one) => level(judged(one).attainment, one.objective) === 'bad') ? 'bad' : 'warn'
  const slow = snapshot.faults.map(({ backend }) => backend)
  const sentence = classes.length === 0 ? 'No promises are configured: no class has targets.'
    : measured.length === 0 ? 'No data yet: nothing under a target has ended in the last five minutes.'
      : broken.length === 0 ? `Promises are kept${slow.length === 0 ? '' : `, though ${slow.join(', ')} ${slow.length === 1 ? 'is' : 'are'} slow`}.` : `${broken.map(({ name }) => name).join(', ')} ${broken.length === 1 ? 'misses its objective' : 'miss their objectives'}.`
  const queue = all?.queue
  const why = found.length > 0 || broken.length === 0 ? undefined
    : queue?.depth > 0 ? `More comes in than the fleet carries: ${queue.depth} wait, the oldest for ${ms(queue.oldestWaitMs)}, ${rate(queue.drainPerS)} leave a second.`
      : 'No backend is slow or down now and nothing waits; see Tuning.'
  document.title = tone === '' ? 'Sluice' : `${tone === 'good' ? '●' : '▲'} Sluice`
  render(into, el('div', { class: `headline ${tone}` }, el('i', { class: 'lamp' }), el('h1', {}, sentence),
    el('dl', { class: 'facts' },
      fact('offered', `${rate(all?.windows['1m'].offeredPerS)}/s`), fact('goodput', `${rate(all?.windows['1m'].metPerS)}/s`), fact('waiting', count(queue?.depth)),
      fact('good tokens', `${rate(all?.windows['1m'].goodTokensPerS)}/s`), fact('admission', snapshot.admission.effective), fact('policy', snapshot.policy))),
  (found.length > 0 || why !== undefined) && el('ul', { class: 'causes' }, found.map(([kind, text]) => el('li', { class: kind }, text)), why && el('li', { class: 'warn' }, why)))
}

const fact = (name, value) => el('div', {}, el('dt', {}, name), el('dd', {}, value))

const cell = (value, target, label) => el('td', { class: `n ${against(value, target)}`, 'data-label': label }, ms(value))

const row = (persona, isChosen) => {
  const { kind, name, targets, objective, windows, queue, live } = persona
  const { attainment, burnRate } = judged(persona)
  const tone = level(attainment, objective)
  return el('tr', { 'data-key': `${kind}:${name}`, class: isChosen ? 'chosen' : '' },
    el('th', { scope: 'row' }, el('button', { class: 'link', type: 'button', 'data-act': 'persona', 'data-arg': `${kind}:${name}`, 'aria-pressed': isChosen ? 'true' : 'false' }, name), el('small', {}, kind === 'class' ? promised(targets) || 'no targets' : '')),
    el('td', { class: `att ${tone}`, 'data-label': 'attainment 5 min' }, el('b', {}, percent(attainment)), bar(isKnown(attainment) ? [{ share: attainment, tone: `fill ${tone}` }] : [], `attainment of ${name}`), el('small', {}, isKnown(objective) ? `of ${percent(objective)}` : 'no objective')),
    el('td', { class: 'sp', 'data-label': '10 min' }, spark(persona.spark, objective)),
    el('td', { class: `n ${isKnown(burnRate) || burnRate === null ? burnRate === null || burnRate > 1 ? burnRate === null || burnRate > 2 ? 'bad' : 'warn' : 'good' : ''}`, 'data-label': 'budget burn' }, isKnown(objective) && isKnown(attainment) ? times(burnRate) : UNKNOWN),
    el('td', { class: 'n', 'data-label': 'offered/s' }, rate(windows['1m'].offeredPerS)), el('td', { class: 'n', 'data-label': 'goodput/s' }, isKnown(objective) ? rate(windows['1m'].metPerS) : UNKNOWN),
    cell(live.ttft?.p50, targets.ttftMs, 'TTFT p50'), cell(live.ttft?.p99, targets.ttftMs, 'TTFT p99'),
    cell(live.tpot?.p50, targets.tpotMs, 'TPOT p50'), cell(live.tpot?.p99, targets.tpotMs, 'TPOT p99'),
    el('td', { class: 'n', 'data-label': 'waiting' }, count(queue?.depth), queue?.depth > 0 && el('small', {}, ms(queue.oldestWaitMs))))
}

const table = (personas, chosen) => el('div', { class: 'scroll' }, el('table', { class: 'promises' },
  el('thead', {}, el('tr', {}, el('th', { scope: 'col' }, ''), ...['attainment 5 min', '10 min', 'budget burn', 'offered/s', 'goodput/s', 'TTFT p50', 'p99', 'TPOT p50', 'p99', 'waiting'].map((name, i) => el('th', { scope: 'col', class: i > 1 ? 'n' : '' }, name)))),
  el('tbody', {}, personas.map((persona) => row(persona, `${persona.kind}:${persona.name}` === chosen)))))

const bars = (entries, format = count) => {
  const most = Math.max(...entries.map(({ value }) => value), 0)
  if (!(most > 0)) return nothing('none so far')
  return el('ul', { class: 'bars' }, entries.filter(({ value }) => value > 0).sort((a, b) => b.value - a.value).map(({ name, value, tone }) => el('li', { 'data-key': name }, el('span', {}, words(name)), bar([{ share: value / most, tone: `fill ${tone ?? ''}` }], `${words(name)} ${format(value)}`), el('b', {}, format(value)))))
}

const TONES = { met: 'good', missed_ttft: 'bad', missed_tpot: 'bad', missed_both: 'bad', missed_deadline: 'bad', failed: 'bad', rejected: 'warn', expired: 'warn', cancelled: 'dim', untargeted: 'dim' }

export const renderOverview = (into, snapshot, history) => {
  const { detail, personas } = snapshot
  const chosen = `${detail.kind}:${detail.name}`
  const summary = personas.find(({ kind, name }) => kind === detail.kind && name === detail.name)
  const { persona: past } = history
  const { attainment, burnRate } = judged(summary)
  const groups = ['class', 'pool', 'tenant'].map((kind) => [kind, personas.filter((one) => one.kind === kind && (kind !== 'class' || one.name !== 'default' || one.windows['6h'].offeredPerS > 0))]).filter(([, list]) => list.length > 0)
  const who = detail.kind === 'all' ? 'everything' : `${detail.kind} ${detail.name}`
  const { cost } = detail
  render(into,
    groups.map(([kind, list]) => el('section', { class: 'panel flush', 'data-key': `group-${kind}` }, el('h2', { class: 'group' }, kind === 'class' ? 'Classes' : kind === 'pool' ? 'Pools' : 'Tenants'), table(list, chosen))),
    el('h2', { class: 'who' }, 'Looking at ', el('b', {}, who)),
    el('div', { class: 'grid' },
      panel('Goodput', 'requests/s, mean of 5 s', timeChart({
        id: 'requests', label: 'requests per second', series: [
          { name: 'offered', tone: 'offered', values: smooth(past.offered) },
          { name: 'goodput', tone: 'goodput', values: smooth(past.met), area: true }] })),
      panel('Throughput', 'output tokens/s, booked when requests end, mean of 15 s', timeChart({
        id: 'tokens', label: 'output tokens per second', series: [
          { name: 'raw', tone: 'raw', values: smooth(past.outputTokens, 15) },
          { name: 'good', tone: 'goodput', values: smooth(past.goodTokens, 15), area: true }] })),
      panel('Time to first token', 'of the last 30 s', timeChart({
        id: 'ttft', label: 'time to first token', format: ms, series: [
          { name: 'p99', tone: 'p99', values: past.ttftP99 }, { name: 'p50', tone: 'p50', values: past.ttftP50 }],
        marks: isKnown(summary.targets.ttftMs) ? [{ value: summary.targets.ttftMs, name: `target ${round(ms(summary.targets.ttftMs))}` }] : [] })),
      detail.kind === 'all' || detail.kind === 'class'
        ? panel('Queue', 'requests waiting', timeChart({ id: 'queue', label: 'requests waiting', format: count, whole: true, series: [{ name: 'waiting', tone: 'offered', values: past.queued, area: true }] }),
          el('dl', { class: 'facts tight' }, fact('oldest', ms(summary.queue?.oldestWaitMs)), fact('prompt tokens', count(summary.queue?.tokens)), fact('leave', `${rate(summary.queue?.drainPerS)}/s`), fact('wait p50', ms(detail.distributions.queue?.percentiles.p50)), fact('wait p99', ms(detail.distributions.queue?.percentiles.p99))))
        : panel('Queue', undefined, nothing('queues belong to classes'))),
    el('div', { class: 'grid three' },
      panel('Attainment', 'last 5 min', el('div', { class: 'gauge-box' }, gauge(attainment, summary.objective, level(attainment, summary.objective)),
        el('dl', { class: 'facts tight' }, fact('objective', percent(summary.objective)), fact('budget burn', isKnown(attainment) && isKnown(summary.objective) ? times(burnRate) : UNKNOWN),
          ...['1m', '1h', '6h'].map((window) => fact(window, percent(summary.windows[window].attainment)))))),
      panel('Outcomes', `${count(Object.values(detail.outcomes).reduce((sum, value) => sum + value, 0))} ended since start`, bars(Object.entries(detail.outcomes).map(([name, value]) => ({ name, value, tone: TONES[name] })))),
      panel('Wasted work', `tokens, by reason${isKnown(detail.goodputRatio) ? `; ${percent(detail.goodputRatio)} of work was useful` : ''}`, bars(Object.entries(detail.wastedTokens).map(([name, value]) => ({ name, value, tone: 'bad' })))),
      panel('Cost per million tokens', 'last 5 min, in the currency of cost_per_hour', cost === undefined ? nothing('no data yet: needs cost_per_hour for every backend') : el('div', { class: 'prices' },
        el('div', {}, el('span', { class: 'muted' }, 'output tokens'), el('b', {}, money(cost.perMillion))), el('div', {}, el('span', { class: 'muted' }, 'good output tokens'), el('b', { class: isKnown(cost.perMillionGood) && cost.perMillionGood > cost.perMillion * 1.25 ? 'bad' : '' }, money(cost.perMillionGood))),
        el('p', { class: 'muted' }, detail.kind === 'all' ? `the fleet costs ${money(snapshot.costPerHour)} an hour` : detail.kind === 'pool' ? 'of the backends of this pool' : 'at the fleet’s price of a token')))))
}
