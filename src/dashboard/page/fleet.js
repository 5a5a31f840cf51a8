// Backends as they are, what was learned of them, and what is wrong with one that looks healthy.
import { el, render, panel, nothing } from './dom.js'
import { age, count, isKnown, money, ms, percent, rate, times } from './format.js'
import { bar, batchCurve, timeChart } from './charts.js'

const MODES = ['lowest-ttft', 'balanced', 'highest-throughput']
const COLUMNS = ['', 'prefill · decode', 'KV cache', 'GPU', 'prefix hits', 'running · waiting', 'in flight', 'tokens/s', 'token', 'first token', 'learned model', 'cost/h', '']
const NUMBERS = ['prefix hits', 'running · waiting', 'in flight', 'tokens/s', 'token', 'first token', 'cost/h']
const LINES = ['s1', 's2', 's3', 's4', 's5', 's6', 's7', 's8']

const share = (value, tone, label) => isKnown(value) ? [bar([{ share: value, tone }], label), el('span', {}, percent(value, 0))] : el('span', { class: 'muted' }, 'unknown')
const pair = (actual, predicted) => !isKnown(actual) ? el('span', { class: 'muted' }, 'idle') : el('span', { class: isKnown(actual) && isKnown(predicted) && actual > predicted * 2 ? 'bad' : '' }, ms(actual), el('small', {}, ` predicted ${ms(predicted)}`))

/** A fault that was found stands above every page, with who pays. */
const faults = ({ faults: found, backends }) => found.length === 0 && panel('Hidden faults', 'speed against each backend’s own past, and against its pool at the same load',
  backends.some(({ curve }) => curve.length > 0) ? el('p', { class: 'calm' }, 'No backend is slower than it was, or than its pool.') : nothing('no data yet: needs streams for some seconds'))

/** A backend that passes every check and yet is slow is not simply up. */
const badge = (state, fault) => state === 'up' && fault !== undefined ? el('span', { class: 'state slow' }, `slow ${times(fault.ratio)}`) : el('span', { class: `state ${state}` }, state)

const backend = (one, fault, canAct, hasGpu) => {
  const { id, pool, engine, state, why, stateAgeMs, operatorDrain, breaker, models, restarts, report, reportAgeMs, reportError, reportFrozen, inflight, limit, learned, now, gpuUtilizationRatio: gpu, costPerHour } = one
  const stale = reportFrozen ? 'figures do not move' : reportError ?? (isKnown(reportAgeMs) ? `read ${age(reportAgeMs)} ago` : 'engine has no metrics')
  return el('tr', { 'data-key': id },
    el('th', { scope: 'row' }, badge(state, fault), ' ', el('b', {}, id), el('small', {}, `${engine} · ${pool}${models === undefined ? '' : ` · ${models.join(', ')}`}`), el('small', {}, `${why}, ${age(stateAgeMs)}${breaker === 'closed' ? '' : ` · breaker ${breaker.replace('_', ' ')}`}${restarts > 0 ? ` · ${restarts} restarts` : ''}`), fault && el('small', { class: 'warn' }, `slow ${fault.phase === 'decode' ? 'tokens' : 'prompts'} for ${age(fault.ageMs)}`)),
    el('td', { 'data-label': 'prefill · decode', class: 'meter-cell' }, isKnown(now.decodeShare) ? [bar([{ share: now.prefillShare ?? 0, tone: 'ack' }, { share: now.decodeShare, tone: 'flow' }], `prefill ${percent(now.prefillShare)}, decode ${percent(now.decodeShare)}`), el('span', {}, `${percent(now.prefillShare, 0)} · ${percent(now.decodeShare, 0)}`)] : el('span', { class: 'muted' }, 'unknown')),
    el('td', { 'data-label': 'KV cache', class: 'meter-cell' }, share(report.kvUsageRatio, report.kvUsageRatio > 0.9 ? 'fill bad' : 'fill', `KV cache of ${id}`)),
    hasGpu && el('td', { 'data-label': 'GPU', class: 'meter-cell' }, share(gpu, 'fill', `GPU utilisation of ${id}`)),
    el('td', { 'data-label': 'prefix hits', class: 'n' }, isKnown(report.prefixHitRatio) ? percent(report.prefixHitRatio, 0) : el('span', { class: 'muted' }, 'unknown')),
    el('td', { 'data-label': 'running · waiting', class: 'n' }, isKnown(report.running) ? `${report.running} · ${report.waiting ?? 'unknown'}` : el('span', { class: 'muted' }, 'unknown'), el('small', {}, stale)),
    el('td', { 'data-label': 'in flight', class: 'n' }, count(inflight), el('small', {}, isKnown(limit) ? `of ${limit}` : 'no limit')),
    el('td', { 'data-label': 'tokens/s', class: 'n' }, rate(now.tokensPerS)),
    el('td', { 'data-label': 'token', class: 'n' }, pair(now.tokenMs, now.predictedTokenMs)),
    el('td', { 'data-label': 'first token', class: 'n' }, pair(now.prefillMs, now.predictedPrefillMs)),
    el('td', { 'data-label': 'learned model', class: 'learned' }, learned === undefined || learned.prefillSamples + learned.decodeSamples === 0 ? el('span', { class: 'muted' }, 'no data yet') : [
      el('span', {}, `prefill ${learned.prefillMsPerToken.toFixed(3)} ms/token`), el('span', {}, `step ${learned.decodeBaseMs.toFixed(1)} ms + ${learned.decodeMsPerStream.toFixed(3)}·streams + ${learned.decodeMsPer1000ContextTokens.toFixed(3)}·k context`),
      el('small', {}, `${count(learned.prefillSamples)} prefills, ${count(learned.decodeSamples)} steps${isKnown(learned.predictionErrorRatio) ? `, error ${percent(learned.predictionErrorRatio, 0)}` : ''}`)]),
    el('td', { 'data-label': 'cost/h', class: 'n' }, isKnown(costPerHour) ? money(costPerHour) : el('span', { class: 'muted' }, 'unknown')),
    el('td', { class: 'act' }, el('button', { type: 'button', class: 'quiet', 'data-act': operatorDrain ? 'undrain' : 'drain', 'data-arg': id, title: canAct ? '' : 'asks for the admin token' }, operatorDrain ? 'Undrain' : 'Drain')))
}

export const renderFleet = (into, snapshot, history, canAct) => {
  const { backends, pools } = snapshot
  const broken = new Map(snapshot.faults.map((fault) => [fault.backend, fault]))
  const hasGpu = backends.some(({ gpuUtilizationRatio }) => isKnown(gpuUtilizationRatio))
  const unmeasured = backends.filter(({ curve }) => curve.length < 2).map(({ id }) => id)
  const shown = new Set([...backends].sort((a, b) => Number(broken.has(b.id)) - Number(broken.has(a.id))).slice(0, LINES.length))
  // In the order of the table, so that a fault changes nobody's colour.
  const charted = backends.filter((one) => shown.has(one))
  const whose = charted.length < backends.length ? `${charted.length} of ${backends.length} backends, slow ones first` : 'by backend'
  const lines = (column) => charted.map(({ id }, i) => ({ name: id, tone: LINES[i], values: history.backends[id]?.[column] ?? [] }))
  render(into,
    faults(snapshot),
    el('section', { class: 'panel flush' }, el('h2', { class: 'group' }, 'Backends'), backends.length === 0 ? nothing('no backend is configured') : el('div', { class: 'scroll' }, el('table', { class: 'fleet' },
      el('thead', {}, el('tr', {}, ...COLUMNS.filter((name) => hasGpu || name !== 'GPU').map((name) => el('th', { scope: 'col', class: NUMBERS.includes(name) ? 'n' : '' }, name)))),
      el('tbody', {}, backends.map((one) => backend(one, broken.get(one.id), canAct, hasGpu)))))),
    el('div', { class: 'grid' },
      panel('Time of a token', `mean over 3 s, ${whose}`, timeChart({ id: 'b-token', label: 'time of a token', format: ms, series: lines('tokenMs') })),
      panel('Output', `tokens/s, ${whose}`, timeChart({ id: 'b-tokens', label: 'output tokens per second', series: lines('tokensPerS') })),
      panel('KV cache', `share in use, ${whose}`, timeChart({ id: 'b-kv', label: 'share of the KV cache in use', format: (value) => percent(value, value < 0.1 ? 1 : 0), series: lines('kv') })),
      hasGpu ? panel('GPU utilisation', `share of time with a kernel running, ${whose}`, timeChart({ id: 'b-gpu', label: 'GPU utilisation', format: (value) => percent(value, 0), series: lines('gpu') }))
        : panel('Streams', `at once, ${whose}`, timeChart({ id: 'b-streams', label: 'streams at once', series: lines('streams') }))),
    panel('Batch and latency', 'measured while serving: what a token takes with so many streams at once; the knee is where more streams add little',
      el('div', { class: 'curves' }, backends.filter(({ curve }) => curve.length > 1).map((one) => el('div', { class: 'curve-box', 'data-key': one.id }, el('h3', {}, one.id, el('span', { class: 'muted' }, isKnown(one.kneeStreams) ? ` knee at ${Math.round(one.kneeStreams)} streams` : '')), batchCurve(one, history.backends[one.id]?.streams.at(-1))))),
      unmeasured.length > 0 && el('p', { class: 'muted' }, `no data yet: ${unmeasured.join(', ')}; a curve needs streams at two levels of concurrency`)),
    panel('Pools and configuration', canAct ? undefined : 'changes ask for the admin token',
      el('div', { class: 'pools' }, pools.map(({ name, role, mode }) => el('div', { 'data-key': name }, el('b', {}, name), el('span', { class: 'muted' }, ` ${role}, ${backends.filter(({ pool }) => pool === name).length} backends `),
        el('label', {}, el('span', { class: 'muted' }, 'mode '), el('select', { 'data-act': 'mode', 'data-arg': name, 'aria-label': `mode of ${name}` }, MODES.map((one) => el('option', { value: one, selected: one === mode }, one)))))),
      el('div', {}, el('button', { type: 'button', class: 'quiet', 'data-act': 'reload' }, 'Reload configuration')))))
}

