import type { Random, Tokens } from '../../core/index.js'

/**
 * Joint distribution of prompt and output length, by quantiles: the prompt's at `promptLevels`, and for each band
 * between two of those the output's at `outputLevels` (one row alone holds for every band: independent lengths).
 * Between two quantiles the lengths are uniform.
 */
export interface LengthTable {
  readonly promptLevels: readonly number[]
  readonly prompt: readonly Tokens[]
  readonly outputLevels: readonly number[]
  readonly output: readonly (readonly Tokens[])[]
}

export interface Lengths {
  promptTokens: Tokens
  outputTokens: Tokens
}

/** Draws one pair into `into`; both lengths are at least 1. */
export function drawLengths(table: LengthTable, random: Random, into: Lengths): void {
  const u = random.next()
  const band = bandOf(table.promptLevels, u)
  into.promptTokens = Math.max(1, Math.round(at(table.promptLevels, table.prompt, band, u)))
  const row = table.output[Math.min(band, table.output.length - 1)]!
  const v = random.next()
  into.outputTokens = Math.max(1, Math.round(at(table.outputLevels, row, bandOf(table.outputLevels, v), v)))
}

function bandOf(levels: readonly number[], u: number): number {
  let band = 0
  while (band < levels.length - 2 && u >= levels[band + 1]!) band++
  return band
}

function at(levels: readonly number[], values: readonly number[], band: number, u: number): number {
  const low = levels[band]!
  const high = levels[band + 1]!
  const a = values[band]!
  const b = values[band + 1]!
  return high === low ? b : a + (b - a) * (u - low) / (high - low)
}

/** Derives a table from pairs `[prompt, output]`; quantiles by the nearest lower rank. */
export function tableFromPairs(pairs: readonly (readonly [Tokens, Tokens])[], promptLevels: readonly number[], outputLevels: readonly number[]): LengthTable {
  if (pairs.length === 0) throw new Error('a length table needs at least one request; the trace has none')
  const sorted = [...pairs].sort((x, y) => x[0] - y[0] || x[1] - y[1])
  const rank = (level: number, count: number) => Math.min(count - 1, Math.floor(level * count))
  const output: Tokens[][] = []
  for (let band = 0; band + 1 < promptLevels.length; band++) {
    const from = rank(promptLevels[band]!, sorted.length)
    const to = Math.max(from + 1, promptLevels[band + 1] === 1 ? sorted.length : rank(promptLevels[band + 1]!, sorted.length))
    const outputs = sorted.slice(from, to).map(pair => pair[1]).sort((x, y) => x - y)
    output.push(outputLevels.map(level => outputs[rank(level, outputs.length)]!))
  }
  return { promptLevels, prompt: promptLevels.map(level => sorted[rank(level, sorted.length)]![0]), outputLevels, output }
}

/** A table of two independent lists of quantiles, each `[level, tokens]` from level 0 to level 1. */
export function independent(prompt: readonly (readonly [number, Tokens])[], output: readonly (readonly [number, Tokens])[]): LengthTable {
  for (const [what, points] of [['prompt', prompt], ['output', output]] as const) {
    if (points.length < 2 || points[0]![0] !== 0 || points.at(-1)![0] !== 1) throw new Error(`${what} quantiles must start at level 0 and end at level 1, like [[0, 10], [0.5, 100], [1, 800]]`)
    for (let i = 1; i < points.length; i++) {
      if (points[i]![0] <= points[i - 1]![0] || points[i]![1] < points[i - 1]![1]) throw new Error(`${what} quantiles must rise: ${JSON.stringify(points[i - 1])} is followed by ${JSON.stringify(points[i])}`)
    }
  }
  return {
    promptLevels: prompt.map(point => point[0]),
    prompt: prompt.map(point => point[1]),
    outputLevels: output.map(point => point[0]),
    output: [output.map(point => point[1])],
  }
}

/** The same shape with every length multiplied. */
export function scaled(table: LengthTable, factor: number): LengthTable {
  return {
    ...table,
    prompt: table.prompt.map(tokens => tokens * factor),
    output: table.output.map(row => row.map(tokens => tokens * factor)),
  }
}
