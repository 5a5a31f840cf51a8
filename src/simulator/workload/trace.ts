import type { Ms, SloTargets, Tokens } from '../../core/index.js'
import { parseAzureTrace } from './azure.js'
import { MOONCAKE_BLOCK_TOKENS, parseMooncakeTrace } from './mooncake.js'
import { parseRequestLog } from './requestlog.js'

/** One request of a recorded workload; `arrivalMs` counts from the trace's start. */
export interface TraceRow {
  readonly arrivalMs: Ms
  readonly promptTokens: Tokens
  readonly outputTokens: Tokens
  /** Ids of the prompt's blocks, prefix-chained; empty = unknown. */
  readonly prefixBlocks: readonly number[]
  /** Undefined where the trace has no classes. */
  readonly className: string | undefined
  /** Undefined where the trace has none. */
  readonly targets: SloTargets | undefined
  readonly sessionKey: string | undefined
}

export interface Trace {
  readonly rows: readonly TraceRow[]
  /** Prompt tokens that one entry of `prefixBlocks` stands for. */
  readonly blockTokens: Tokens
}

const FORMATS: Readonly<Record<string, (text: string) => Trace>> = {
  azure: text => ({ rows: parseAzureTrace(text), blockTokens: 1 }),
  mooncake: text => ({ rows: parseMooncakeTrace(text), blockTokens: MOONCAKE_BLOCK_TOKENS }),
  log: text => ({ rows: parseRequestLog(text), blockTokens: 1 }),
}

export const TRACE_FORMATS: readonly string[] = Object.keys(FORMATS)

/** Reads a trace of the named format (`azure`, `mooncake`, `log`); errors name the line and what was expected there. */
export function parseTrace(format: string, text: string): Trace {
  const parse = FORMATS[format]
  if (parse === undefined) throw new Error(`unknown trace format "${format}"; known: ${TRACE_FORMATS.join(', ')}`)
  const trace = parse(text)
  if (trace.rows.length === 0) throw new Error(`the ${format} trace holds no request`)
  return trace
}
