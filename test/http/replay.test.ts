// The main job, whole: a recorded conversation load through the gateway, in front of three servers that behave like vLLM and
// one that behaves like TGI, in another process. What the servers sent is read off the wire and compared with what
// clients got; what the gateway measured is compared with the clients' own stopwatches.
import { existsSync, readFileSync } from 'node:fs'
import t, { type Test } from 'tap'
import { realIo } from '../../src/cli/process.js'
import { startGateway } from '../../src/cli/serve/gateway.js'
import { configFrom } from '../../src/config/index.js'
import { tpotMs, ttftMs } from '../../src/core/index.js'
import { parseTrace } from '../../src/simulator/index.js'
import type { RequestRecord } from '../../src/telemetry/index.js'
import { recordedServers } from '../helpers/recorded-servers.js'
import { pooled, time } from '../helpers/stopwatch.js'

type TraceRow = ReturnType<typeof parseTrace>['rows'][number]

const REQUESTS = 320
/** The trace's clock and the servers' both run so much faster. */
const SPEED = 3
/**
 * A machine with other work takes the processor away between two readings of the clock, and that is what the difference then
 * measures. It hits other requests the next time; what the gateway itself measures wrongly shows in every round. So the best
 * round of each request counts.
 */
const ROUNDS = 5
const MEDIAN_MS = 1
const P99_MS = 5

t.setTimeout(300_000)

const AZURE = new URL('../../../shared/traces/azure_llm_2023_conv.csv', import.meta.url)
const OWN = new URL('../fixtures/traces/conversation.csv', import.meta.url)
const rows = parseTrace('azure', readFileSync(existsSync(AZURE) ? AZURE : OWN, 'utf8')).rows.slice(0, REQUESTS)

interface Call {
  readonly id: string
  readonly path: '/v1/chat/completions' | '/generate_stream'
  readonly streamed: boolean
  /** The client asks for usage itself, so nothing is put in and nothing taken out. */
  readonly asksUsage: boolean
  readonly body: string
}

/** Every fifth goes by TGI's own protocol; some leave usage to the gateway, some want the answer whole, some get several tokens an event. */
function callOf({ promptTokens, outputTokens }: TraceRow, index: number): Call {
  const id = `replay-${index}`
  const text = `${index}${' and'.repeat(Math.max(0, promptTokens - 1))}`
  if (index % 5 === 4) {
    const body = JSON.stringify({ inputs: text, parameters: { max_new_tokens: 1024, details: true }, emulate_output_tokens: outputTokens })
    return { id, path: '/generate_stream', streamed: true, asksUsage: true, body }
  }
  const streamed = index % 20 !== 7
  const asksUsage = index % 10 !== 3
  const body = JSON.stringify({
    model: 'm', messages: [{ role: 'user', content: text }], max_tokens: 1024, emulate_output_tokens: outputTokens,
    ...(streamed ? { stream: true } : {}), ...(index % 2 === 0 ? { stream_interval: 4 } : {}), ...(streamed && asksUsage ? { stream_options: { include_usage: true } } : {}),
  })
  return { id, path: '/v1/chat/completions', streamed, asksUsage, body }
}

/** By request, how far the two clocks are apart; NaN where the client sees no tokens come. */
async function replay(t: Test): Promise<{ ttft: number, tpot: number }[]> {
  const servers = await recordedServers(t, ['vllm', 'vllm', 'vllm', 'tgi'], 'm', SPEED)
  const config = configFrom({
    listen: { port: 0 }, admin: { port: 0 }, log: { level: 'error' },
    pools: {
      vllm: { backends: servers.urls.slice(0, 3).map((url, index) => ({ url, name: `vllm-${index}`, engine: 'vllm' })) },
      tgi: { backends: [{ url: servers.urls[3]!, name: 'tgi', engine: 'tgi' }] },
    },
    classes: { chat: { ttft: '2s', tpot: '100ms' }, native: { ttft: '2s', pools: ['tgi'] } },
    routes: [{ match: { path: '/generate_stream' }, class: 'native' }, { match: {}, class: 'chat' }],
  })
  const gateway = await startGateway(config, realIo, 'test', async () => {})
  t.teardown(() => gateway.stop())
  const records = new Map<string, RequestRecord>()
  gateway.telemetry.onFinished(record => { records.set(record.timeline.id, record) })

  const agent = pooled()
  t.teardown(() => { agent.destroy() })
  const calls = rows.map(callOf)
  const answers = await Promise.all(calls.map(async ({ id, path, body }, index) => {
    await new Promise(resolve => setTimeout(resolve, rows[index]!.arrivalMs / SPEED))
    return await time(agent, gateway.dataUrl + path, body, { 'x-request-id': id })
  }))
  const sent = await servers.exchanges()

  t.ok(calls.length >= 300, `${calls.length} requests`)
  t.same(answers.filter(({ status, cutOff }) => status !== 200 || cutOff), [], 'none failed')
  t.same([...records.values()].filter(({ timeline: { ending, attempts } }) => ending !== 'completed' || attempts !== 1), [], 'nor does the gateway know of one')
  t.equal(records.size, calls.length, 'each is accounted')
  t.same(calls.filter((call, index) => !answers[index]!.body.equals(withoutUsage(call, Buffer.from(sent.get(call.id)!.answerBody)))).map(({ id }) => id), [], 'to the byte what the servers sent')
  t.same(calls.filter(call => call.asksUsage && Buffer.from(sent.get(call.id)!.requestBody).toString() !== call.body).map(({ id }) => id), [], 'to the byte what the clients sent')
  const miscounted = rows.filter(({ outputTokens }, index) => records.get(calls[index]!.id)!.timeline.outputTokens !== outputTokens)
  t.same(miscounted, [], 'as many tokens as the trace says')

  return calls.map(({ id, streamed }, index) => {
    if (!streamed) return { ttft: Number.NaN, tpot: Number.NaN }
    const { firstTokenMs, lastTokenMs } = answers[index]!
    const { timeline } = records.get(id)!
    return {
      ttft: Math.abs(firstTokenMs - ttftMs(timeline)!),
      tpot: Math.abs((lastTokenMs - firstTokenMs) / (timeline.outputTokens! - 1) - tpotMs(timeline)!),
    }
  })
}

/** What a server's answer is without the event that only the gateway asked for. */
function withoutUsage({ streamed, asksUsage }: Call, bytes: Buffer): Buffer {
  if (!streamed || asksUsage) return bytes
  const text = bytes.toString()
  if (!text.includes('"usage":{')) throw new Error('the server was not asked for usage')
  // TGI says it in the event that ends the answer, which stays.
  return Buffer.from(text.split(/(?<=\n\n)/).filter(event => !event.includes('"choices":[],')).join(''))
}

/** Median and 99th percentile. */
function spread(gaps: readonly number[]): [median: number, p99: number] {
  const sorted = gaps.filter(gap => !Number.isNaN(gap)).sort((a, b) => a - b)
  return [sorted[Math.ceil(sorted.length * 0.5) - 1]!, sorted[Math.ceil(sorted.length * 0.99) - 1]!]
}

t.test('a recorded load, to the byte and on two clocks', async t => {
  const best = rows.map(() => ({ ttft: Infinity, tpot: Infinity }))
  const found = () => ({ ttft: spread(best.map(({ ttft }) => ttft)), tpot: spread(best.map(({ tpot }) => tpot)) })
  const agree = () => Object.values(found()).every(([median, p99]) => median <= MEDIAN_MS && p99 <= P99_MS)
  for (let round = 1; round <= ROUNDS && t.passing() && !agree(); round++) {
    await t.test(`round ${round}`, async t => {
      for (const [index, gap] of (await replay(t)).entries()) {
        best[index] = { ttft: Math.min(best[index]!.ttft, gap.ttft), tpot: Math.min(best[index]!.tpot, gap.tpot) }
      }
    })
    t.comment(found())
  }
  t.ok(agree(), `TTFT and TPOT as the clients measured them: median within ${MEDIAN_MS} ms, p99 within ${P99_MS} ms`, { found: found() })
})
