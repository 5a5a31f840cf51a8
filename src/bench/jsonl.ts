import type { LoadRunResult } from './load-run.js'

/**
 * One run as JSON lines: first what was run (`"type":"run"`), then a line per request (`"type":"request"`), in the order of their schedule.
 * Everything that goodput is made of is in them: schedule, token times, ending and targets.
 */
export function runLines({ target, workload, load, seed, measureMs, rows }: LoadRunResult, run: number): string {
  const head = { type: 'run', run, target, workload, ...load.kind === 'open' ? { rate_per_s: load.ratePerSecond } : { concurrency: load.concurrency }, seed, duration_s: measureMs / 1000 }
  return [head, ...rows.map(row => ({ type: 'request', run, ...row }))].map(line => `${JSON.stringify(line)}\n`).join('')
}
