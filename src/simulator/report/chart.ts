/** A line of a chart; points in rising order of x. */
export interface Series {
  readonly name: string
  readonly points: readonly (readonly [number, number])[]
  /** Drawn as a ring, with a title. */
  readonly mark?: { readonly at: readonly [number, number], readonly title: string } | undefined
}

export interface ChartOptions {
  readonly title: string
  readonly x: string
  readonly y: string
  readonly series: readonly Series[]
  readonly yLimits?: readonly [number, number]
  readonly logY?: boolean
  /** Horizontal lines. */
  readonly levels?: readonly number[]
  /** Vertical lines with a name. */
  readonly marks?: readonly { readonly x: number, readonly name: string }[]
}

const WIDTH = 520
const HEIGHT = 300
const LEFT = 66
const RIGHT = 12
const TOP = 34
const BOTTOM = 44

/** One line chart as SVG, colours by CSS classes `s0`, `s1`, … */
export function lineChart(options: ChartOptions): string {
  const { title, series, logY = false } = options
  const shown = series.map(line => ({ ...line, points: line.points.filter(([x, y]) => Number.isFinite(x) && Number.isFinite(y) && (!logY || y > 0)) }))
  const xs = shown.flatMap(line => line.points.map(([x]) => x))
  const ys = shown.flatMap(line => line.points.map(([, y]) => y))
  if (xs.length === 0) return ''
  const [xMin, xMax] = widen(Math.min(...xs), Math.max(...xs))
  const [yMin, yMax] = options.yLimits ?? (logY ? outward(Math.min(...ys), Math.max(...ys)) : [0, Math.max(...ys, 1e-9) * 1.05])
  const scale = (value: number) => logY ? Math.log(value) : value
  const px = (x: number) => LEFT + (x - xMin) / (xMax - xMin) * (WIDTH - LEFT - RIGHT)
  const py = (y: number) => HEIGHT - BOTTOM - (scale(Math.max(y, logY ? yMin : -Infinity)) - scale(yMin)) / (scale(yMax) - scale(yMin)) * (HEIGHT - TOP - BOTTOM)
  const parts = [`<svg viewBox="0 0 ${WIDTH} ${HEIGHT}" role="img" aria-label="${escapeHtml(title)}"><text x="${LEFT}" y="18" class="title">${escapeHtml(title)}</text>`]
  for (const y of logY ? decades(yMin, yMax) : ticks(yMin, yMax)) {
    parts.push(`<line class="grid" x1="${LEFT}" x2="${WIDTH - RIGHT}" y1="${fixed(py(y))}" y2="${fixed(py(y))}"/><text class="tick" x="${LEFT - 6}" y="${fixed(py(y) + 4)}" text-anchor="end">${label(y)}</text>`)
  }
  for (const x of ticks(xMin, xMax)) parts.push(`<text class="tick" x="${fixed(px(x))}" y="${HEIGHT - BOTTOM + 16}" text-anchor="middle">${label(x)}</text>`)
  for (const y of options.levels ?? []) parts.push(`<line class="level" x1="${LEFT}" x2="${WIDTH - RIGHT}" y1="${fixed(py(y))}" y2="${fixed(py(y))}"/>`)
  for (const { x, name } of options.marks ?? []) {
    if (x >= xMin && x <= xMax) parts.push(`<line class="level" x1="${fixed(px(x))}" x2="${fixed(px(x))}" y1="${TOP}" y2="${HEIGHT - BOTTOM}"><title>${escapeHtml(name)}</title></line>`)
  }
  shown.forEach((line, i) => {
    if (line.points.length === 0) return
    parts.push(`<polyline class="s${i}" points="${line.points.map(([x, y]) => `${fixed(px(x))},${fixed(py(y))}`).join(' ')}"><title>${escapeHtml(line.name)}</title></polyline>`)
    for (const [x, y] of line.points) parts.push(`<circle class="s${i}" cx="${fixed(px(x))}" cy="${fixed(py(y))}" r="2.5"><title>${escapeHtml(line.name)}: ${label(x)}, ${label(y)}</title></circle>`)
    if (line.mark !== undefined) parts.push(`<circle class="s${i} knee" cx="${fixed(px(line.mark.at[0]))}" cy="${fixed(py(line.mark.at[1]))}" r="7"><title>${escapeHtml(line.mark.title)}</title></circle>`)
  })
  parts.push(`<text class="axis" x="${(LEFT + WIDTH - RIGHT) / 2}" y="${HEIGHT - 8}" text-anchor="middle">${escapeHtml(options.x)}</text>`,
    `<text class="axis" transform="translate(11 ${(TOP + HEIGHT - BOTTOM) / 2}) rotate(-90)" text-anchor="middle">${escapeHtml(options.y)}</text></svg>`)
  return parts.join('')
}

export function escapeHtml(text: string): string {
  return text.replace(/[&<>"']/g, char => `&#${char.charCodeAt(0)};`)
}

const widen = (low: number, high: number): [number, number] => low === high ? [low * 0.9, high * 1.1 + 1e-9] : [low, high]
/** To the next grid lines of a logarithmic axis, so that there are some. */
const outward = (low: number, high: number): [number, number] => {
  const [from, to] = widen(low, high)
  const lines = decades(from / 10, to * 10)
  return [lines.findLast(line => line <= from)!, lines.find(line => line >= to)!]
}
const fixed = (value: number): string => value.toFixed(1)
const label = (value: number): string => Math.abs(value) >= 1000 ? Math.round(value).toLocaleString('en') : String(Number(value.toPrecision(3)))

function ticks(low: number, high: number): number[] {
  const raw = (high - low) / 5
  const power = Math.pow(10, Math.floor(Math.log10(raw)))
  const step = [1, 2, 5, 10].map(factor => factor * power).find(candidate => candidate >= raw)!
  const result: number[] = []
  for (let i = Math.ceil(low / step - 1e-9); i * step <= high + step * 1e-9; i++) result.push(i * step)
  return result
}

function decades(low: number, high: number): number[] {
  const result: number[] = []
  for (let power = Math.floor(Math.log10(low)); power <= Math.ceil(Math.log10(high)); power++) {
    for (const factor of [1, 2, 5]) {
      const value = factor * Math.pow(10, power)
      if (value >= low && value <= high) result.push(value)
    }
  }
  return result
}
