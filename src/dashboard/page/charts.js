// Charts as SVG: colours come from the style sheet, so light and dark need nothing here.
import { svg, el, nothing } from './dom.js'
import { UNKNOWN, isKnown, ms, rate, round, money, count, percent } from './format.js'

const W = 640

/** Round steps that cut [0, top] into about `n`; whole ones where halves mean nothing. */
const ticks = (top, n = 4, whole = false) => {
  if (!(top > 0)) return [0, 1]
  const raw = top / n, power = Math.pow(10, Math.floor(Math.log10(raw)))
  const step = [1, 2, 2.5, 5, 10].map((m) => m * power).find((s) => s >= raw && (!whole || Number.isInteger(s)))
  const out = []
  for (let v = 0; v < top + step * 0.999; v += step) out.push(v)
  return out
}

/** Mean of the last `span` values at each point; gaps stay gaps. */
export const smooth = (values, span = 5) => values.map((_, i) => {
  let sum = 0, n = 0
  for (let j = Math.max(0, i - span + 1); j <= i; j++) {
    if (isKnown(values[j])) {
      sum += values[j]
      n++
    }
  }
  return n === 0 ? null : sum / n
})

const pathOf = (values, x, y) => {
  let d = '', open = false
  values.forEach((value, i) => {
    if (!isKnown(value)) {
      open = false
      return
    }
    d += `${open ? 'L' : 'M'}${x(i).toFixed(1)} ${y(value).toFixed(1)}`
    open = true
  })
  return d
}

/** What the pointer can read, by chart id. */
const readable = new Map()

/** Key of a chart's series. */
const legend = (series) => el('ul', { class: 'legend' }, series.map(({ name, tone, value }) => el('li', { class: tone }, el('i', {}), name, value !== undefined && el('b', {}, value))))

/**
 * Lines over the last minutes. `series`: [{name, tone, values, area}], one value a second, the last one now; `marks`: [{value, name}];
 * `whole`: counts of things.
 */
export const timeChart = ({ id, label, series, marks = [], format = rate, whole = false, height = 150, seconds = 600 }) => {
  const shown = series.map((one) => ({ ...one, values: one.values.slice(-seconds) }))
  const known = shown.flatMap(({ values }) => values.filter(isKnown))
  if (known.length < 2) return el('figure', { class: 'chart', 'data-key': id }, nothing())
  const span = Math.max(60, ...shown.map(({ values }) => values.length))
  // A target far above everything measured would flatten it; it is named in the legend all the same.
  const most = Math.max(...known)
  const near = marks.filter(({ value }) => isKnown(value) && value <= most * 4)
  const axis = ticks(Math.max(most, ...near.map(({ value }) => value)) || 1, 4, whole)
  const top = axis.at(-1), left = 0, right = 1, upper = 8, lower = 6
  const x = (i, n) => left + (span - n + i) / (span - 1) * (W - left - right)
  const y = (value) => upper + (1 - value / top) * (height - upper - lower)
  readable.set(id, { kind: 'time', shown, span, left, right, format })
  const minutes = Math.floor(span / 60), every = minutes > 6 ? 2 : 1
  return el('figure', { class: 'chart', 'data-key': id, 'data-chart': id },
    legend([...shown.map(({ name, tone, values }) => ({ name, tone, value: format(values.at(-1)) })), ...marks.map(({ name }) => ({ name, tone: 'target' }))]),
    el('div', { class: 'plot' }, svg('svg', { viewBox: `0 0 ${W} ${height}`, role: 'img', 'aria-label': `${label}: ${shown.map(({ name, values }) => `${name} ${format(values.at(-1))}`).join(', ')}`, preserveAspectRatio: 'none' },
      axis.map((v) => svg('line', { class: 'grid', x1: left, x2: W - right, y1: y(v), y2: y(v) })),
      Array.from({ length: Math.floor(minutes / every) }, (_, i) => svg('line', { class: 'grid faint', x1: x(span - 1 - (i + 1) * every * 60, span), x2: x(span - 1 - (i + 1) * every * 60, span), y1: upper, y2: height - lower })),
      shown.map(({ values, tone, area }) => {
        const d = pathOf(values, (i) => x(i, values.length), y)
        const from = values.findIndex(isKnown)
        return [area && from >= 0 && svg('path', { class: `area ${tone}`, d: `${pathOf(values.map((v) => isKnown(v) ? v : 0).slice(from), (i) => x(i + from, values.length), y)}L${x(values.length - 1, values.length).toFixed(1)} ${y(0)}L${x(from, values.length).toFixed(1)} ${y(0)}Z` }), svg('path', { class: `line ${tone}`, d })]
      }),
      near.map(({ value }) => svg('line', { class: 'mark', x1: left, x2: W - right, y1: y(value), y2: y(value) }))),
    el('div', { class: 'y-axis', 'aria-hidden': 'true' }, [...axis].reverse().map((v) => el('span', {}, v === 0 ? '0' : round(format(v)))))),
    el('div', { class: 'x-axis', 'aria-hidden': 'true' }, el('span', {}, minutes >= 1 && span >= 60 ? `−${Math.round(span / 60)} min` : ''), el('span', {}, 'now')))
}

/** A distribution with its percentiles and the target. */
export const distribution = ({ id, name, view, target }) => {
  const head = el('figcaption', {}, el('b', {}, name), view && el('span', { class: 'muted' }, `${count(view.count)} samples, ${view.over === '5m' ? 'last 5 min' : 'since start'}`))
  if (view === undefined || view.count < 1) return el('figure', { class: 'dist', 'data-key': id }, head, nothing())
  const height = 110, upper = 6, lower = 4, { edges, counts, percentiles } = view
  const low = Math.min(edges[0], isKnown(target) ? target : Infinity), high = Math.max(edges.at(-1), isKnown(target) ? target * 1.05 : 0)
  const x = (value) => 4 + Math.log(value / low) / Math.log(high / low) * (W - 8)
  const most = Math.max(...counts)
  const y = (n) => upper + (1 - n / most) * (height - upper - lower)
  return el('figure', { class: 'dist', 'data-key': id }, head,
    svg('svg', { viewBox: `0 0 ${W} ${height}`, role: 'img', 'aria-label': `${name}: p50 ${ms(percentiles.p50)}, p99 ${ms(percentiles.p99)}`, preserveAspectRatio: 'none' },
      counts.map((n, i) => n > 0 && svg('rect', { class: isKnown(target) && edges[i] >= target ? 'bin over' : 'bin', x: x(edges[i]).toFixed(1), width: Math.max(1, x(edges[i + 1]) - x(edges[i]) - 1.5).toFixed(1), y: y(n).toFixed(1), height: (height - lower - y(n)).toFixed(1) })),
      Object.entries(percentiles).map(([p, value]) => svg('line', { class: `pct ${p}`, x1: x(value), x2: x(value), y1: upper, y2: height - lower })),
      isKnown(target) && svg('line', { class: 'mark', x1: x(target), x2: x(target), y1: 0, y2: height })),
    el('div', { class: 'ends' }, el('span', {}, ms(low)), el('span', {}, ms(high))),
    el('dl', { class: 'pcts' }, Object.entries(percentiles).map(([p, value]) => el('div', { class: isKnown(target) ? value <= target ? 'good' : 'bad' : '' }, el('dt', {}, p), el('dd', {}, ms(value)))),
      el('div', { class: 'slo' }, el('dt', {}, 'target'), el('dd', {}, isKnown(target) ? round(ms(target)) : 'none'))))
}

/** Attainment as an arc, with the objective as a notch. */
export const gauge = (attainment, objective, tone) => {
  const r = 52, cx = 64, cy = 62
  const point = (share, radius) => [cx - radius * Math.cos(Math.PI * share), cy - radius * Math.sin(Math.PI * share)]
  const arc = (share) => {
    const [x, y] = point(Math.max(0.001, share), r)
    return `M${cx - r} ${cy}A${r} ${r} 0 0 1 ${x.toFixed(2)} ${y.toFixed(2)}`
  }
  const known = isKnown(attainment)
  const [x1, y1] = point(objective ?? 0, r - 6), [x2, y2] = point(objective ?? 0, r + 9)
  return svg('svg', { class: `gauge ${tone}`, viewBox: '0 0 128 74', role: 'img', 'aria-label': known ? `attainment ${percent(attainment)}${isKnown(objective) ? ` of an objective of ${percent(objective)}` : ''}` : 'attainment: no data yet' },
    svg('path', { class: 'track', d: arc(1) }), known && svg('path', { class: 'value', d: arc(attainment) }),
    isKnown(objective) && svg('line', { class: 'notch', x1, y1, x2, y2 }),
    svg('text', { x: cx, y: cy - 6, 'text-anchor': 'middle' }, known ? percent(attainment) : UNKNOWN))
}

export const spark = (values, objective) => {
  const known = values.filter(isKnown)
  if (known.length < 2) return el('span', { class: 'muted' }, UNKNOWN)
  const low = Math.min(...known, isKnown(objective) ? objective - 0.05 : 1, 0.9), n = values.length
  const x = (i) => i / Math.max(11, n - 1) * 116 + 2, y = (v) => 22 - (v - low) / (1 - low || 1) * 20
  return svg('svg', { class: 'spark', viewBox: '0 0 120 24', 'aria-hidden': 'true' },
    isKnown(objective) && svg('line', { class: 'mark', x1: 0, x2: 120, y1: y(objective), y2: y(objective) }),
    svg('path', { class: 'line', d: pathOf(values, x, y) }))
}

/** A bar out of parts: [{share, tone, name}]. */
export const bar = (parts, label) => svg('svg', { class: 'meter', viewBox: '0 0 100 8', preserveAspectRatio: 'none', role: 'img', 'aria-label': label },
  svg('rect', { class: 'track', width: 100, height: 8 }),
  parts.map(({ share, tone }, i) => svg('rect', { class: tone, x: Math.min(100, parts.slice(0, i).reduce((sum, part) => sum + part.share, 0) * 100).toFixed(2), width: Math.max(0, Math.min(1, share) * 100).toFixed(2), height: 8 })))

/** TTFT against throughput; fast and busy is upper left. */
export const matrix = ({ points, ttftLineMs, tokensLine }) => {
  const width = 640, height = 330, left = 50, right = 14, upper = 14, lower = 34
  const ttfts = [...points.map(({ ttftMs }) => ttftMs), ttftLineMs].map((v) => Math.max(1, v))
  const low = Math.min(...ttfts) / 1.6, high = Math.max(Math.max(...ttfts) * 1.6, ttftLineMs * 3)
  const axis = ticks(Math.max(...points.map(({ tokensPerS }) => tokensPerS), tokensLine, 1)), top = axis.at(-1) * 1.06
  const x = (v) => left + Math.log(Math.max(low, v) / low) / Math.log(high / low) * (width - left - right)
  const y = (v) => upper + (1 - v / top) * (height - upper - lower)
  const corners = [['fast, busy', left + 6, upper + 14, 'start'], ['slow, busy: saturated', width - right - 6, upper + 14, 'end'], ['fast, idle', left + 6, height - lower - 8, 'start'], ['slow, idle: look here', width - right - 6, height - lower - 8, 'end']]
  const decades = []
  for (let v = Math.pow(10, Math.ceil(Math.log10(low))); v < high; v *= 10) decades.push(v, v * 2, v * 5)
  // Labels of points that lie close are pushed apart, away from the nearer edge, and off the names of the corners.
  const placed = corners.map(([, cx, cy, anchor]) => [anchor === 'end' ? cx - 60 : cx, cy])
  const labelY = (px, py) => {
    const step = py > (upper + height - lower) / 2 ? -12 : 12
    let at = py + 4
    while (placed.some(([qx, qy]) => Math.abs(qx - px) < 110 && Math.abs(qy - at) < 12)) at += step
    placed.push([px, at])
    return at
  }
  return svg('svg', { class: 'matrix', viewBox: `0 0 ${width} ${height}`, role: 'img', 'aria-label': points.map(({ name, ttftMs, tokensPerS }) => `${name}: ${ms(ttftMs)}, ${rate(tokensPerS)} tokens/s`).join('; ') },
    svg('rect', { class: 'quad best', x: left, y: upper, width: x(ttftLineMs) - left, height: y(tokensLine) - upper }),
    svg('rect', { class: 'quad worst', x: x(ttftLineMs), y: y(tokensLine), width: width - right - x(ttftLineMs), height: height - lower - y(tokensLine) }),
    svg('line', { class: 'axis', x1: left, x2: width - right, y1: height - lower, y2: height - lower }), svg('line', { class: 'axis', x1: left, x2: left, y1: upper, y2: height - lower }),
    svg('line', { class: 'mark', x1: x(ttftLineMs), x2: x(ttftLineMs), y1: upper, y2: height - lower }), svg('line', { class: 'mark', x1: left, x2: width - right, y1: y(tokensLine), y2: y(tokensLine) }),
    axis.map((v) => svg('text', { x: left - 6, y: y(v) + 4, 'text-anchor': 'end' }, round(rate(v)))),
    decades.filter((v) => v > low && v < high).map((v) => svg('text', { x: x(v), y: height - lower + 14, 'text-anchor': 'middle' }, round(ms(v)))),
    svg('text', { class: 'title', x: (left + width - right) / 2, y: height - 4, 'text-anchor': 'middle' }, 'time to first token, p50 of classes, mean of backends'),
    svg('text', { class: 'title', x: 12, y: (upper + height - lower) / 2, 'text-anchor': 'middle', transform: `rotate(-90 12 ${(upper + height - lower) / 2})` }, 'output tokens/s'),
    corners.map(([name, cx, cy, anchor]) => svg('text', { class: 'corner', x: cx, y: cy, 'text-anchor': anchor }, name)),
    points.map(({ kind, name, ttftMs, tokensPerS }) => {
      const px = x(ttftMs), py = y(tokensPerS), isRight = px > width - 120
      return svg('g', { class: `point ${kind}` }, kind === 'class' ? svg('circle', { cx: px, cy: py, r: 6 }) : svg('rect', { x: px - 5, y: py - 5, width: 10, height: 10 }),
        svg('text', { x: isRight ? px - 10 : px + 10, y: labelY(px, py), 'text-anchor': isRight ? 'end' : 'start' }, name))
    }))
}

/** The batch–latency curve of one backend, its throughput, its knee and what a token costs there. */
export const batchCurve = ({ id, curve, kneeStreams, learned }, nowStreams) => {
  const width = 320, height = 182, left = 40, right = 40, upper = 22, lower = 28
  const most = curve.at(-1).streams * 1.08
  const time = ticks(Math.max(...curve.map(({ tokenMs }) => tokenMs)), 3), through = ticks(Math.max(...curve.map(({ tokensPerS }) => tokensPerS)), 3)
  const x = (v) => left + v / most * (width - left - right)
  const y = (axis) => (v) => upper + (1 - v / axis.at(-1)) * (height - upper - lower)
  const yt = y(time), yr = y(through)
  const costs = curve.map(({ costPerMillion }) => costPerMillion).filter(isKnown), highest = Math.max(...costs)
  const yc = y([0, highest * 1.05])
  const isRunning = isKnown(nowStreams) && nowStreams > 0.5, here = isRunning ? Math.min(width - right, x(nowStreams)) : 0
  const at = (points, to) => points.map((point, i) => `${i === 0 ? 'M' : 'L'}${x(point.streams).toFixed(1)} ${to(point).toFixed(1)}`).join('')
  const model = learned !== undefined && learned.decodeSamples > 0
    ? curve.map(({ streams, modelMs }) => ({ streams, tokenMs: modelMs })) : []
  return [svg('svg', { class: 'curve', viewBox: `0 0 ${width} ${height}`, role: 'img', 'aria-label': `${id}: ${curve.map(({ streams, tokenMs }) => `${Math.round(streams)} streams ${ms(tokenMs)}`).join(', ')}` },
    time.map((v) => [svg('line', { class: 'grid', x1: left, x2: width - right, y1: yt(v), y2: yt(v) }), svg('text', { x: left - 5, y: yt(v) + 4, 'text-anchor': 'end' }, String(v))]),
    through.map((v) => svg('text', { x: width - right + 5, y: yr(v) + 4 }, count(v))),
    isKnown(kneeStreams) && [svg('line', { class: 'knee', x1: x(kneeStreams), x2: x(kneeStreams), y1: upper, y2: height - lower }), svg('text', { class: 'knee-name', x: x(kneeStreams), y: height - lower + 12, 'text-anchor': 'middle' }, `knee ${Math.round(kneeStreams)}`)],
    isRunning && svg('line', { class: 'here', x1: here, x2: here, y1: upper, y2: height - lower }),
    costs.length > 1 && svg('path', { class: 'line cost', d: at(curve.filter(({ costPerMillion }) => isKnown(costPerMillion)), ({ costPerMillion }) => yc(costPerMillion)) }),
    svg('path', { class: 'line raw', d: at(curve, ({ tokensPerS }) => yr(tokensPerS)) }),
    model.length > 0 && svg('path', { class: 'line model', d: at(model, ({ tokenMs }) => Math.max(upper, yt(tokenMs))) }),
    svg('path', { class: 'line token', d: at(curve, ({ tokenMs }) => yt(tokenMs)) }),
    curve.map(({ streams, tokenMs }) => svg('circle', { class: 'dot', cx: x(streams), cy: yt(tokenMs), r: 2.5 })),
    svg('text', { x: left, y: height - lower + 12 }, '0'), svg('text', { x: width - right, y: height - lower + 12, 'text-anchor': 'end' }, String(Math.round(most))),
    svg('text', { class: 'title', x: left - 5, y: 11, 'text-anchor': 'end' }, 'ms'), svg('text', { class: 'title', x: width - right + 5, y: 11 }, 'tok/s'),
    svg('text', { class: 'title', x: width / 2, y: height - 3, 'text-anchor': 'middle' }, 'streams at once')),
  legend([{ name: 'ms a token', tone: 'token' }, { name: 'tokens/s', tone: 'raw' }, model.length > 0 ? { name: 'learned model', tone: 'model' } : undefined, isRunning ? { name: 'now', tone: 'here' } : undefined,
    costs.length > 1 ? { name: 'cost per M tokens', tone: 'cost', value: `${money(Math.min(...costs))}–${money(highest)}` } : undefined].filter(Boolean))]
}

/** Lets the pointer read values off time charts. */
export const watchPointer = (tip) => {
  document.addEventListener('pointermove', (event) => {
    const figure = event.target instanceof Element ? event.target.closest('[data-chart]') : null
    const chart = figure === null ? undefined : readable.get(figure.getAttribute('data-chart'))
    tip.hidden = chart === undefined
    if (chart === undefined) return
    const box = figure.querySelector('svg').getBoundingClientRect()
    const inside = (event.clientX - box.left) / box.width * W
    const back = Math.round((1 - (inside - chart.left) / (W - chart.left - chart.right)) * (chart.span - 1))
    if (back < 0 || back > chart.span - 1) {
      tip.hidden = true
      return
    }
    tip.replaceChildren(el('div', { class: 'muted' }, back === 0 ? 'now' : `${back} s ago`),
      ...chart.shown.map(({ name, tone, values }) => el('div', { class: tone }, el('i', {}), `${name} `, el('b', {}, chart.format(values.at(-1 - back))))))
    tip.style.left = `${Math.min(window.innerWidth - 180, event.clientX + 14)}px`
    tip.style.top = `${event.clientY + 14}px`
  })
}
