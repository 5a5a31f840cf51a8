import type { SloTargets } from '../../core/index.js'
import type { TraceRow } from './trace.js'

/**
 * The gateway's own request log: one RequestRecord as JSON a line. Requests without a token count (refused, failed
 * early) keep the estimate of their prompt, and an output of one token; those without either are left out.
 */
export function parseRequestLog(text: string): TraceRow[] {
  const rows: TraceRow[] = []
  const lines = text.split('\n')
  for (let i = 0; i < lines.length; i++) {
    const line = lines[i]!.trim()
    if (line === '') continue
    let record: LogLine
    try {
      record = JSON.parse(line) as LogLine
    } catch {
      throw new Error(`line ${i + 1}: expected one JSON object per line of a request log, found "${line.slice(0, 80)}"`)
    }
    const arrivalMs = record.timeline?.receivedAtMs
    if (typeof arrivalMs !== 'number') throw new Error(`line ${i + 1}: expected a request record with timeline.receivedAtMs`)
    const promptTokens = record.timeline?.promptTokens ?? record.estimatedPromptTokens ?? record.explanation?.promptTokens
    if (typeof promptTokens !== 'number') continue
    rows.push({ arrivalMs, promptTokens: Math.max(1, Math.round(promptTokens)), outputTokens: Math.max(1, record.timeline?.outputTokens ?? 1), prefixBlocks: [], className: record.class, targets: record.targets, sessionKey: undefined })
  }
  rows.sort((a, b) => a.arrivalMs - b.arrivalMs)
  const start = rows[0]?.arrivalMs ?? 0
  return rows.map(row => ({ ...row, arrivalMs: row.arrivalMs - start }))
}

/** The members of a RequestRecord that matter here; anything may be missing in a log that was cut or filtered. */
interface LogLine {
  readonly class?: string
  readonly targets?: SloTargets
  readonly estimatedPromptTokens?: number | null
  readonly explanation?: { readonly promptTokens?: number } | null
  readonly timeline?: { readonly receivedAtMs?: number, readonly promptTokens?: number | null, readonly outputTokens?: number | null }
}
