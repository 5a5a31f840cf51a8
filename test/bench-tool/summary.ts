import t from 'tap'
import { Histogram } from '../../src/core/index.js'
import type { LoadRunResult } from '../../src/bench/load-run.js'
import { benchTable } from '../../src/bench/report/table.js'
import { kneeOf } from '../../src/bench/report/result.js'
import { summarise, type LoadSummary } from '../../src/bench/summary.js'
import type { RequestRow } from '../../src/bench/types.js'

const row = (changes: Partial<RequestRow> = {}): RequestRow => ({
  id: 'r', class: 'chat', scheduled_ms: 0, sent_ms: 0, first_token_ms: 100, last_token_ms: 1000, ended_ms: 1000, ending: 'completed', truncated: false, status: 200, reason: null, backend: null,
  prompt_tokens: 100, ordered_output_tokens: 10, output_tokens: 10, output_estimated: false, ttft_ms: 100, tpot_ms: 100, max_itl_ms: 100, e2e_ms: 1000, max_lateness_ms: 0,
  ttft_target_ms: 200, tpot_target_ms: 100, deadline_ms: null, outcome: 'met', counted: true, ...changes,
})
const refused = row({ ending: 'rejected', outcome: 'rejected', first_token_ms: null, last_token_ms: null, ttft_ms: null, tpot_ms: null, output_tokens: 0, status: 429, reason: 'queue_full' })
const late = row({ outcome: 'missed_ttft', ttft_ms: 300, max_lateness_ms: 100 })

const result = (seed: number, rows: readonly RequestRow[]): LoadRunResult => ({
  target: 'http://x', workload: 'chat', load: { kind: 'open', ratePerSecond: 2 }, seed, measureMs: 2000, classes: [{ name: 'chat', targets: { ttftMs: 200, tpotMs: 100 } }, { name: 'code', targets: {} }],
  rows, intervals: new Map([['chat', new Histogram()], ['code', new Histogram()]]), sendLag: new Histogram(), throughput: { completed: 1, inputTokens: 100, outputTokens: 10, peakOutputTokens: 7, peakRequests: 3 },
})

t.test('seeds are pooled; refused requests are in the denominator', async t => {
  const summary = summarise([result(1, [row(), late]), result(2, [row(), refused])])
  t.match(summary, {
    offered: 4, completed: 3, met: 2, attainment: 0.5, worst_attainment: 0.5, duration_s: 4, request_goodput_per_s: 0.5, token_goodput_per_s: 5, output_tokens_per_s: 5, request_throughput: 0.5, max_output_tokens_per_s: 7, max_concurrent_requests: 3,
    // Two good answers of 10 tokens, one 100 ms late: worth 9. Over 4 s.
    smooth_tokens_per_s: 29 / 4,
    // Three answers cost 100 + 2 · 10 each, one of them for nothing; the refused one cost nothing.
    wasted_ratio: 1 / 3,
    spread: { attainment: [0.5, 0.5] }, p99_ttft_ms: Number, send_lag_ms: null,
  })
  t.match(summary.classes, { chat: { offered: 4, rejected: 1, outcomes: { met: 2, missed_ttft: 1, rejected: 1 }, reasons: { queue_full: 1 }, itl_ms: null }, code: { offered: 0, attainment: null, ttft_ms: null } })
  t.match(benchTable({ kind: 'loads', loads: [summary] }), /chat +4 +3 +2 +0\.500 +1 [^]*chat did not complete: 1 × queue_full\n/)

  const tables = (load: LoadSummary) => [{ kind: 'loads', loads: [load] } as const, { kind: 'sweep', sweeps: [{ target: 'x', loads: [summary, load] }] } as const,
    { kind: 'maximum', maxima: [{ target: 'x', objective: 0.9, rate_per_s: 1, probes: [load, summary] }] } as const].map(benchTable)
  for (const table of tables({ ...summary, send_lag_ms: { p50: 1, p99: 46, max: 50 } })) t.match(table, /sent up to 46\.0 ms late/)
  for (const table of tables(summary)) t.notMatch(table, /late/)
})

t.test('nothing measured is null, not zero', async t => {
  t.match(summarise([result(1, [])]), { attainment: null, worst_attainment: null, wasted_ratio: null, mean_ttft_ms: null, request_goodput_per_s: 0 })
})

t.test('the knee of a sweep', async t => {
  const load = (rate: number, tokens: number, ttft: number) => ({ rate_per_s: rate, concurrency: null, output_tokens_per_s: tokens, p90_ttft_ms: ttft }) as LoadSummary
  t.match(kneeOf({ target: 'x', loads: [load(1, 100, 50), load(2, 200, 52), load(3, 300, 60), load(4, 310, 900)] }), { rate_per_s: 3, output_tokens_per_s: 300 })
  t.equal(kneeOf({ target: 'x', loads: [load(1, 100, 50)] }), undefined)
  t.equal(kneeOf({ target: 'x', loads: [load(1, 100, 113), load(2, 200, 428), load(3, 300, 327)] }), undefined, 'not the highest load, with nothing beyond it')
  t.match(kneeOf({ target: 'x', loads: [load(1, 100, 50), load(2, 300, 70), load(3, 200, 9000)] }), { rate_per_s: 2 }, 'throughput that falls again')
})
