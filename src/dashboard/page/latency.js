// How long things take: distributions, phases, and who stands where.
import { el, svg, render, panel, nothing } from './dom.js'
import { isKnown, ms, count, round } from './format.js'
import { distribution, matrix } from './charts.js'

/** Acknowledge, flow, complete: the three things that a person waits for. */
const phases = ({ distributions: { ttft, tpot, itl, e2e } }, targets) => {
  if (ttft === undefined || e2e === undefined) return nothing('no data yet: needs streams that ended')
  const most = e2e.percentiles.p95
  return el('div', { class: 'phases' },
    ['p50', 'p95'].map((p) => {
      const first = Math.min(ttft.percentiles[p], e2e.percentiles[p]), end = e2e.percentiles[p]
      return el('div', { class: 'phase-row', 'data-key': p }, el('span', {}, p),
        svg('svg', { viewBox: '0 0 100 10', preserveAspectRatio: 'none', role: 'img', 'aria-label': `${p}: first token after ${ms(first)}, complete after ${ms(end)}` },
          svg('rect', { class: 'ack', x: 0, width: (first / most * 100).toFixed(2), height: 10 }), svg('rect', { class: 'flow', x: (first / most * 100).toFixed(2), width: Math.max(0, (end - first) / most * 100).toFixed(2), height: 10 })), el('b', {}, ms(end)))
    }),
    el('dl', { class: 'facts' },
      el('div', { class: 'ack' }, el('dt', {}, 'acknowledge'), el('dd', {}, `${ms(ttft.percentiles.p50)} / ${ms(ttft.percentiles.p95)}`), el('small', {}, `first token, p50 / p95${isKnown(targets.ttftMs) ? `, target ${round(ms(targets.ttftMs))}` : ''}`)),
      el('div', { class: 'flow' }, el('dt', {}, 'flow'), el('dd', {}, `${ms(tpot?.percentiles.p50)} / ${ms(tpot?.percentiles.p95)}`), el('small', {}, `a token, p50 / p95${isKnown(targets.tpotMs) ? `, target ${round(ms(targets.tpotMs))}` : ''}${itl === undefined ? '' : `; longest pause p99 ${ms(itl.percentiles.p99)}`}`)),
      el('div', { class: 'done' }, el('dt', {}, 'complete'), el('dd', {}, `${ms(e2e.percentiles.p50)} / ${ms(e2e.percentiles.p95)}`), el('small', {}, `last byte, p50 / p95${isKnown(targets.deadlineMs) ? `, target ${round(ms(targets.deadlineMs))}` : ''}`))))
}

export const renderLatency = (into, { detail, personas, matrix: points }) => {
  const summary = personas.find(({ kind, name }) => kind === detail.kind && name === detail.name)
  const { targets } = summary, { distributions: d } = detail
  const who = detail.kind === 'all' ? 'everything' : `${detail.kind} ${detail.name}`
  render(into,
    el('h2', { class: 'who' }, 'Looking at ', el('b', {}, who)),
    el('div', { class: 'grid thirds' },
      el('section', { class: 'panel' }, distribution({ id: 'd-ttft', name: 'TTFT', view: d.ttft, target: targets.ttftMs })),
      el('section', { class: 'panel' }, distribution({ id: 'd-tpot', name: 'TPOT', view: d.tpot, target: targets.tpotMs })),
      el('section', { class: 'panel' }, detail.kind === 'pool' || detail.kind === 'tenant' ? el('figure', { class: 'dist' }, el('figcaption', {}, el('b', {}, 'ITL')), nothing('gaps are kept by class; choose one')) : distribution({ id: 'd-itl', name: 'ITL', view: d.itl, target: undefined })),
      el('section', { class: 'panel' }, distribution({ id: 'd-queue', name: 'Queue', view: d.queue, target: undefined })),
      el('section', { class: 'panel' }, distribution({ id: 'd-e2e', name: 'End to end', view: d.e2e, target: targets.deadlineMs })),
      panel('Phases', 'what a person waits for', phases(detail, targets))),
    panel('Latency and throughput', points === undefined ? undefined : `lines: TTFT ${round(ms(points.ttftLineMs))} (middle of the targets), ${count(points.tokensLine)} tokens/s (middle of the points)`,
      points === undefined ? nothing('no data yet: needs traffic on two classes or backends') : el('div', { class: 'matrix-box' }, matrix(points)),
      el('ul', { class: 'legend' }, el('li', { class: 'c-class' }, el('i', {}), 'class'), el('li', { class: 'c-backend' }, el('i', {}), 'backend'))))
}
