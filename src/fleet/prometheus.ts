/** The Prometheus text format 0.0.4, read tolerantly: unknown or broken lines are skipped, never fatal. */

/** Answers larger than this are refused: real engines stay far below. */
export const MAX_METRICS_BYTES = 8 * 1024 * 1024
/** Samples kept of one text; a server that exports more of the wanted names is broken or hostile. */
const MAX_SAMPLES = 10_000

export interface Sample {
  readonly labels: ReadonlyMap<string, string>
  readonly value: number
}

/** Ray writes `ray_vllm_x` or `vllm_x` where the engine itself writes `vllm:x`; both are `vllm_x` here. */
export function canonicalName(name: string): string {
  const plain = name.replaceAll(':', '_')
  return plain.startsWith('ray_') ? plain.slice(4) : plain
}

/** Labels that tell independent parts of one server apart; over every other label (tensor ranks) the parts repeat themselves. */
const PARTS = ['model_name', 'engine', 'engine_type', 'dp_rank'] as const

export class MetricSet {
  readonly #samples: ReadonlyMap<string, readonly Sample[]>

  constructor(samples: ReadonlyMap<string, readonly Sample[]>) {
    this.#samples = samples
  }

  samples(name: string): readonly Sample[] {
    return this.#samples.get(name) ?? []
  }

  /** Sum over independent parts of the first of `names` that has samples; undefined = unknown. */
  sum(...names: readonly string[]): number | undefined {
    for (const name of names) {
      const parts = this.#byPart(name)
      if (parts.length > 0) return parts.reduce((total, value) => total + value, 0)
    }
    return undefined
  }

  /** Largest sample of the first of `names` that has samples; undefined = unknown. */
  max(...names: readonly string[]): number | undefined {
    for (const name of names) {
      const samples = this.samples(name)
      if (samples.length > 0) return samples.reduce((most, sample) => Math.max(most, sample.value), -Infinity)
    }
    return undefined
  }

  /** Plain sum over all samples of a counter that is split by a label such as `finished_reason`. */
  total(...names: readonly string[]): number | undefined {
    for (const name of names) {
      const samples = this.samples(name)
      if (samples.length > 0) return samples.reduce((total, sample) => total + sample.value, 0)
    }
    return undefined
  }

  #byPart(name: string): readonly number[] {
    const parts = new Map<string, number>()
    for (const { labels, value } of this.samples(name)) {
      const part = JSON.stringify(PARTS.map((label) => labels.get(label) ?? ''))
      parts.set(part, Math.max(value, parts.get(part) ?? -Infinity))
    }
    return [...parts.values()]
  }
}

/**
 * Read the samples of `wanted` names (canonical). Values that are not finite say nothing and are left out; a timestamp
 * after the value and an OpenMetrics exemplar are ignored.
 */
export function parseMetrics(text: string, wanted: ReadonlySet<string>): MetricSet {
  const found = new Map<string, Sample[]>()
  const known = new Map<string, string | undefined>()
  let count = 0
  for (let start = 0; start < text.length && count < MAX_SAMPLES;) {
    let end = text.indexOf('\n', start)
    if (end === -1) end = text.length
    const nameEnd = endOfName(text, start, end)
    if (nameEnd > start) {
      const raw = text.slice(start, nameEnd)
      let name = known.get(raw)
      if (name === undefined && !known.has(raw)) {
        const canonical = canonicalName(raw)
        name = wanted.has(canonical) ? canonical : undefined
        known.set(raw, name)
      }
      if (name !== undefined) {
        const sample = parseSample(text, nameEnd, end)
        if (sample !== undefined) {
          const samples = found.get(name)
          if (samples === undefined) found.set(name, [sample])
          else samples.push(sample)
          count++
        }
      }
    }
    start = end + 1
  }
  return new MetricSet(found)
}

const HASH = 0x23, SPACE = 0x20, TAB = 0x09, OPEN = 0x7b, CR = 0x0d

/** End of the metric name, or `start` for a comment, an empty line or one without a name. */
function endOfName(text: string, start: number, end: number): number {
  if (text.charCodeAt(start) === HASH) return start
  let at = start
  while (at < end) {
    const code = text.charCodeAt(at)
    if (code === OPEN || code === SPACE || code === TAB || code === CR) break
    at++
  }
  return at
}

function parseSample(text: string, from: number, end: number): Sample | undefined {
  const labels = new Map<string, string>()
  let at = from
  if (text.charCodeAt(at) === OPEN) {
    at = parseLabels(text, at + 1, end, labels)
    if (at === -1) return undefined
  }
  const rest = text.slice(at, end).trim()
  const gap = rest.search(/[ \t]/)
  const word = gap === -1 ? rest : rest.slice(0, gap)
  const value = word === '' ? NaN : Number(word)
  return Number.isFinite(value) ? { labels, value } : undefined
}

/** Reads `name="value",…}`; returns the position after `}`, or -1 where the line is broken. */
function parseLabels(text: string, from: number, end: number, labels: Map<string, string>): number {
  let at = from
  for (;;) {
    while (at < end && (text[at] === ',' || text[at] === ' ' || text[at] === '\t')) at++
    if (at >= end) return -1
    if (text[at] === '}') return at + 1
    const equals = text.indexOf('=', at)
    if (equals === -1 || equals >= end) return -1
    const name = text.slice(at, equals).trim()
    at = equals + 1
    while (at < end && text[at] === ' ') at++
    if (text[at] !== '"') return -1
    at++
    let value = ''
    let plain = at
    for (;;) {
      if (at >= end) return -1
      const char = text[at]
      if (char === '"') break
      if (char === '\\') {
        value += text.slice(plain, at)
        const escaped = text[at + 1]
        value += escaped === 'n' ? '\n' : escaped === '\\' || escaped === '"' ? escaped : `\\${escaped ?? ''}`
        at += 2
        plain = at
      } else at++
    }
    labels.set(name, value + text.slice(plain, at))
    at++
  }
}
