import type { TraceRow } from './trace.js'

/**
 * The Azure LLM inference traces: CSV with a header `TIMESTAMP,ContextTokens,GeneratedTokens`, CRLF or LF, times like
 * `2023-11-16 18:15:46.6805900` without a zone. Arrivals are given relative to the first row.
 */
export function parseAzureTrace(text: string): TraceRow[] {
  const rows: TraceRow[] = []
  const lines = text.split('\n')
  const header = (lines[0] ?? '').trim().replace(/^\uFEFF/, '')
  if (header !== 'TIMESTAMP,ContextTokens,GeneratedTokens') {
    throw new Error(`line 1: expected the header "TIMESTAMP,ContextTokens,GeneratedTokens" of an Azure trace, found "${header.slice(0, 80)}"`)
  }
  let start = Number.NaN
  for (let i = 1; i < lines.length; i++) {
    const line = lines[i]!.trim()
    if (line === '') continue
    const [stamp = '', context, generated] = line.split(',')
    const atMs = stampMs(stamp)
    const promptTokens = Number(context)
    const outputTokens = Number(generated)
    if (Number.isNaN(atMs) || !(promptTokens >= 0) || !(outputTokens >= 0)) throw new Error(`line ${i + 1}: expected a time and two token counts, found "${line.slice(0, 80)}"`)
    if (Number.isNaN(start)) start = atMs
    rows.push({ arrivalMs: Math.max(0, atMs - start), promptTokens, outputTokens, prefixBlocks: [], className: undefined, targets: undefined, sessionKey: undefined })
  }
  return rows
}

function stampMs(stamp: string): number {
  const match = /^(\d{4})-(\d\d)-(\d\d)[ T](\d\d):(\d\d):(\d\d)(\.\d+)?/.exec(stamp)
  if (match === null) return Number.NaN
  const [, year, month, day, hour, minute, second, fraction = '.0'] = match
  return Date.UTC(Number(year), Number(month) - 1, Number(day), Number(hour), Number(minute), Number(second)) + Number(`0${fraction}`) * 1000
}
