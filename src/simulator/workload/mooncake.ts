import { createRandom } from '../../core/index.js'
import type { TraceRow } from './trace.js'

/** Tokens that one entry of `hash_ids` stands for. */
export const MOONCAKE_BLOCK_TOKENS = 512
/** The stamps of these traces are quantised to ticks of this length. */
const TICK_MS = 3000
const SPREAD_SEED = 1

/**
 * The Mooncake traces: one JSON object a line with `timestamp` (ms), `input_length`, `output_length`, `hash_ids`.
 * Requests of one stamp are spread over the 3 s that the stamp stands for (uniformly, with a fixed seed, in the order
 * of the file): taken as stored, they would be bursts that did not happen.
 */
export function parseMooncakeTrace(text: string): TraceRow[] {
  const rows: (TraceRow & { arrivalMs: number })[] = []
  const lines = text.split('\n')
  for (let i = 0; i < lines.length; i++) {
    const line = lines[i]!.trim()
    if (line === '') continue
    const row = parseLine(line, i + 1)
    rows.push({ arrivalMs: row.timestamp, promptTokens: row.input_length, outputTokens: row.output_length, prefixBlocks: row.hash_ids, className: undefined, targets: undefined, sessionKey: row.hash_ids.length > 1 ? `c${row.hash_ids[1]}` : undefined })
  }
  const random = createRandom(SPREAD_SEED)
  for (let from = 0; from < rows.length;) {
    let to = from + 1
    while (to < rows.length && rows[to]!.arrivalMs === rows[from]!.arrivalMs) to++
    const offsets = Array.from({ length: to - from }, () => random.next() * TICK_MS).sort((a, b) => a - b)
    for (let k = from; k < to; k++) rows[k]!.arrivalMs += offsets[k - from]!
    from = to
  }
  return rows
}

interface MooncakeLine { readonly timestamp: number, readonly input_length: number, readonly output_length: number, readonly hash_ids: readonly number[] }

function parseLine(line: string, lineNumber: number): MooncakeLine {
  let row: Partial<MooncakeLine>
  try {
    row = JSON.parse(line) as Partial<MooncakeLine>
  } catch {
    throw new Error(`line ${lineNumber}: expected one JSON object, found "${line.slice(0, 80)}"`)
  }
  const { timestamp, input_length, output_length, hash_ids = [] } = row
  if (typeof timestamp !== 'number' || typeof input_length !== 'number' || typeof output_length !== 'number' || !Array.isArray(hash_ids)) {
    throw new Error(`line ${lineNumber}: expected timestamp, input_length, output_length and hash_ids, found "${line.slice(0, 80)}"`)
  }
  return { timestamp, input_length, output_length, hash_ids }
}
