// What one scheduling event costs: `npm run bench:scheduler -- [--json]`.
// 64 backends, 4,000 streams and 1,000 waiting requests throughout; every event is timed.
import { createRandom, createScheduler } from '../dist/core/index.js'

const BACKENDS = 64
const STREAMS = 4000
const QUEUED = 1000
const EVENTS = 60_000
const FILL_EVENTS = 2_000_000
const WARM_EVENTS = 20_000
// Every stream reports each 100 ms, at 25 ms a token.
const EVENT_MS = 100 / STREAMS
const TOKENS_PER_REPORT = 4
/** A stream ends here at the latest: while the fleet fills up none is taken away, and answers without end are no load that exists. */
const LONGEST_ANSWER = 400

const classes = [
  ['chat', { ttftMs: 5000, tpotMs: 80 }], ['code', { ttftMs: 2000, tpotMs: 60 }], ['summarise', { ttftMs: 30_000, tpotMs: 100 }], ['batch', { deadlineMs: 600_000 }],
].map(([name, targets]) => ({
  name, targets, objective: 0.9, weight: 1, minShare: 0.95, sheddable: false, pools: [], onInfeasible: 'reject', queueLimit: 100_000, maxQueueMs: 600_000, batchMode: 'guarded',
}))
const backends = Array.from({ length: BACKENDS }, (_, i) => ({ id: `b${i}`, pool: 'main', models: undefined, maxInflight: undefined, costPerHour: undefined }))
const random = createRandom(1)
const scheduler = createScheduler({
  policy: 'slo',
  fleet: { classes, backends, pools: [{ name: 'main', role: 'latency', mode: 'balanced' }] },
  admission: { mode: 'observe', probeShare: 0.02, maxFalseRejectionRatio: 1 },
}, createRandom(2), 0)

let nowMs = 0
let arrived = 0
let queued = 0
let turn = 0
const busyUntilMs = new Map()
const prefilling = []
const decoding = []
const timings = new Map()
let timed = false

function tell(event) {
  const start = performance.now()
  const decisions = scheduler.handle(event, nowMs)
  const tookUs = (performance.now() - start) * 1000
  if (timed) {
    const list = timings.get(event.type) ?? []
    list.push(tookUs)
    timings.set(event.type, list)
  }
  for (const decision of decisions) {
    if (decision.type === 'wake') continue
    queued--
    if (decision.type === 'dispatch') dispatched(decision)
  }
}

/** Each backend computes its prompts one after the other, at 0.09 ms a token. */
function dispatched({ id, backend, why }) {
  const readyMs = Math.max(nowMs, busyUntilMs.get(backend) ?? 0) + 15 + 0.09 * why.promptTokens
  busyUntilMs.set(backend, readyMs)
  prefilling.push({ id, tokens: 1, readyMs, promptTokens: why.promptTokens })
}

function arrive() {
  const { name, targets } = classes[Math.floor(random.next() * classes.length)]
  queued++
  tell({ type: 'arrival', request: {
    id: String(arrived++), kind: 'generation', class: name, tenant: `t${Math.floor(random.next() * 8)}`, model: undefined, receivedAtMs: nowMs, targets,
    promptBytes: 400 + Math.floor(4000 * random.next()), promptTokens: undefined, maxOutputTokens: undefined, streamed: true, prefixHashes: [], prefixBlockBytes: 64, sessionKey: undefined,
  } })
}

const takeAny = (list) => {
  const i = Math.floor(random.next() * list.length)
  const item = list[i]
  list[i] = list.at(-1)
  list.pop()
  return item
}

const end = ({ id, tokens, promptTokens }) => tell({ type: 'end', id, verdict: 'success', usage: { promptTokens, outputTokens: tokens } })

/** One event of a busy fleet; queue and streams are kept at their size. */
function step() {
  nowMs += EVENT_MS
  const ready = prefilling.findIndex(({ readyMs }) => readyMs <= nowMs)
  if (queued < QUEUED) arrive()
  else if (ready >= 0) {
    const [request] = prefilling.splice(ready, 1)
    decoding.push(request)
    tell({ type: 'first_token', id: request.id })
  } else if (decoding.length > STREAMS) {
    end(takeAny(decoding))
  } else if (decoding.length > 0) {
    const at = turn++ % decoding.length
    const request = decoding[at]
    request.tokens += TOKENS_PER_REPORT
    if (request.tokens >= LONGEST_ANSWER) {
      decoding[at] = decoding.at(-1)
      decoding.pop()
      return end(request)
    }
    tell({ type: 'progress', id: request.id, outputTokens: request.tokens })
  }
}

for (let i = 0; decoding.length < STREAMS; i++) {
  if (i > FILL_EVENTS) throw new Error(`only ${decoding.length} streams after ${FILL_EVENTS} events: the policy takes no more`)
  step()
}
for (let i = 0; i < WARM_EVENTS; i++) step()
timed = true
for (let i = 0; i < EVENTS; i++) step()

const quantile = (sorted, q) => sorted[Math.min(sorted.length - 1, Math.floor(q * sorted.length))]
const row = (list) => {
  const sorted = Float64Array.from(list).sort()
  return { events: sorted.length, p50_us: round(quantile(sorted, 0.5)), p99_us: round(quantile(sorted, 0.99)), mean_us: round(sorted.reduce((sum, us) => sum + us, 0) / sorted.length) }
}
const round = (value) => Math.round(value * 100) / 100
const all = row([...timings.values()].flat())
const byEvent = Object.fromEntries([...timings].map(([type, list]) => [type, row(list)]))
const deciding = row([...timings].filter(([type]) => type !== 'progress').flatMap(([, list]) => list))
const result = { backends: BACKENDS, streams: decoding.length, queued, all, deciding, by_event: byEvent }
if (process.argv.includes('--json')) console.log(JSON.stringify(result))
else {
  console.log(`${BACKENDS} backends, ${decoding.length} streams, ${queued} waiting; microseconds per event`)
  console.log('event          events     p50     p99    mean')
  for (const [name, { events, p50_us, p99_us, mean_us }] of [['all', all], ['all but progress', deciding], ...Object.entries(byEvent)]) {
    console.log(`${name.padEnd(16)}${String(events).padStart(5)}${p50_us.toFixed(1).padStart(8)}${p99_us.toFixed(1).padStart(8)}${mean_us.toFixed(1).padStart(8)}`)
  }
}
