// Recomputes goodput from the JSON lines of `sluice bench --jsonl FILE`, from raw times, targets and endings alone; shares no code with it.
// usage: node scripts/goodput.js FILE   prints {"met","counted","attainment","request_goodput_per_s","token_goodput_per_s","classes"}
import { readFileSync } from 'node:fs'

const lines = readFileSync(process.argv[2], 'utf8').split('\n').filter(line => line !== '').map(line => JSON.parse(line))
const seconds = lines.filter(line => line.type === 'run').reduce((sum, run) => sum + run.duration_s, 0)

const judge = r => {
  const bound = r.ttft_target_ms !== null || r.tpot_target_ms !== null || r.deadline_ms !== null
  if (!bound) return { counted: false, met: false }
  if (r.ending === 'cancelled') {
    const dues = []
    if (r.ttft_target_ms !== null) dues.push(r.scheduled_ms + r.ttft_target_ms)
    if (r.deadline_ms !== null) dues.push(r.scheduled_ms + r.deadline_ms)
    if (dues.length === 0 && r.first_token_ms !== null) dues.push(r.first_token_ms + r.tpot_target_ms)
    return { counted: dues.length > 0 && r.ended_ms >= Math.min(...dues), met: false }
  }
  if (r.ending !== 'completed') return { counted: true, met: false }
  const ttft = (r.first_token_ms ?? r.ended_ms) - r.scheduled_ms
  const tpot = r.first_token_ms !== null && r.output_tokens > 1 ? (r.last_token_ms - r.first_token_ms) / (r.output_tokens - 1) : 0
  const met = !(r.ttft_target_ms !== null && ttft > r.ttft_target_ms) && !(r.tpot_target_ms !== null && tpot > r.tpot_target_ms)
    && !(r.deadline_ms !== null && r.ended_ms - r.scheduled_ms > r.deadline_ms)
  return { counted: true, met }
}

const totals = () => ({ offered: 0, counted: 0, met: 0, goodTokens: 0 })
const all = totals()
const classes = {}
for (const request of lines.filter(line => line.type === 'request')) {
  const { counted, met } = judge(request)
  for (const sums of [all, classes[request.class] ??= totals()]) {
    sums.offered++
    if (counted) sums.counted++
    if (met) {
      sums.met++
      sums.goodTokens += request.output_tokens
    }
  }
}
const figures = ({ offered, counted, met, goodTokens }) => ({
  offered, counted, met, attainment: counted === 0 ? null : met / counted, request_goodput_per_s: met / seconds, token_goodput_per_s: goodTokens / seconds,
})
console.log(JSON.stringify({ ...figures(all), classes: Object.fromEntries(Object.entries(classes).map(([name, sums]) => [name, figures(sums)])) }))
