// The main job, whole: a recorded conversation load through the gateway, in front of three servers that behave like vLLM and
// one that behaves like TGI. Gateway, servers and clients are three processes. What the servers sent is read off the wire and
// compared with what clients got; what the gateway measured of each request is compared with the client's own stopwatch.
import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { tpotMs, ttftMs } from '../../src/core/index.js'
import { parseTrace } from '../../src/simulator/index.js'
import type { RequestRecord } from '../../src/telemetry/index.js'
import { scratch, serve } from '../helpers/program.js'
import { recordedServers } from '../helpers/recorded-servers.js'
import { stopwatch } from '../helpers/stopwatch.js'

type TraceRow = ReturnType<typeof parseTrace>['rows'][number]

const REQUESTS = 320
/** The trace's clock and the servers' both run so much faster: as fast as leaves two cores idle most of the time. */
const SPEED = 6
const MEDIAN_MS = 1
const P99_MS = 5
/**
 * Both bars hold over all requests of one round. Other programs that want the processor come between two readings of the clock,
 * and what differs then is their doing, so there are further rounds, each of all requests anew; what the gateway
 * itself measures wrongly it measures wrongly in every one. Bytes, tokens and outcomes are right in every round.
 */
const ROUNDS = 4
/** A round can tell something where an echo between two idle processes takes no more than this share of the bars. */
const ECHO_SHARE = 0.5

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
function callOf({ promptTokens, outputTokens }: TraceRow, index: number, round: number): Call {
  const id = `replay-${round}-${index}`
  const text = `${id}${' and'.repeat(Math.max(0, promptTokens - 1))}`
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

interface Gap {
  readonly ttft: number
  readonly tpot: number
}

/** The processes, and a round of the whole load through them: how far the two clocks are apart, for each request whose tokens the client sees come. */
async function setUp(t: Test): Promise<(t: Test, round: number) => Promise<{ gaps: Gap[], echoMs: readonly number[] }>> {
  const servers = await recordedServers(t, ['vllm', 'vllm', 'vllm', 'tgi'], 'm', SPEED)
  const file = join(await scratch(t), 'requests.jsonl')
  const gateway = await serve(t, {
    // A machine that is slow with other work is neither the gateway's saturation nor a server's death.
    limits: { event_loop_lag: '0s' },
    health: { interval: '5s', timeout: '30s' },
    log: { level: 'error', request_file: file },
    pools: {
      vllm: { backends: servers.urls.slice(0, 3).map((url, index) => ({ url, name: `vllm-${index}`, engine: 'vllm' })) },
      tgi: { backends: [{ url: servers.urls[3]!, name: 'tgi', engine: 'tgi' }] },
    },
    classes: { chat: { ttft: '2s', tpot: '100ms' }, native: { ttft: '2s', pools: ['tgi'] } },
    routes: [{ match: { path: '/generate_stream' }, class: 'native' }, { match: {}, class: 'chat' }],
  })
  const client = await stopwatch(t)
  /** Of all rounds so far, by id; a line is written when its request is over, which the client may learn first. */
  const recorded = async (count: number): Promise<Map<string, RequestRecord>> => {
    for (let tries = 0; ; tries++) {
      const lines = readFileSync(file, 'utf8').split('\n').slice(0, -1)
      if (lines.length >= count || tries === 100) return new Map(lines.map(line => JSON.parse(line) as RequestRecord).map(record => [record.timeline.id, record]))
      await new Promise(resolve => setTimeout(resolve, 50))
    }
  }

  return async (t, round) => {
    const calls = rows.map((row, index) => callOf(row, index, round))
    const { answers, echoMs } = await client.time(gateway.url, calls.map(({ id, path, body }, index) => ({ atMs: rows[index]!.arrivalMs / SPEED, path, body, headers: { 'x-request-id': id } })))
    const sent = await servers.exchanges()
    const records = await recorded(round * calls.length)

    t.ok(calls.length >= 300, `${calls.length} requests`)
    t.same(answers.filter(({ status, cutOff }) => status !== 200 || cutOff), [], 'none failed')
    t.equal(records.size, round * calls.length, 'each is accounted')
    t.same([...records.values()].filter(({ timeline: { ending, attempts } }) => ending !== 'completed' || attempts !== 1), [], 'nor does the gateway know of one that failed')
    t.same(calls.filter((call, index) => Buffer.compare(answers[index]!.body, withoutUsage(call, Buffer.from(sent.get(call.id)!.answerBody))) !== 0).map(({ id }) => id), [], 'to the byte what the servers sent')
    t.same(calls.filter(call => call.asksUsage && Buffer.from(sent.get(call.id)!.requestBody).toString() !== call.body).map(({ id }) => id), [], 'to the byte what the clients sent')
    t.same(rows.filter(({ outputTokens }, index) => records.get(calls[index]!.id)?.timeline.outputTokens !== outputTokens), [], 'as many tokens as the trace says')

    const gaps = calls.flatMap(({ id, streamed }, index) => {
      if (!streamed) return []
      const { firstTokenMs, lastTokenMs } = answers[index]!
      const { timeline } = records.get(id)!
      return [{
        ttft: Math.abs(firstTokenMs - ttftMs(timeline)!),
        tpot: Math.abs((lastTokenMs - firstTokenMs) / (timeline.outputTokens! - 1) - tpotMs(timeline)!),
      }]
    })
    return { gaps, echoMs }
  }
}

/** What a server's answer is without the event that only the gateway asked for. */
function withoutUsage({ streamed, asksUsage }: Call, bytes: Buffer): Buffer {
  if (!streamed || asksUsage) return bytes
  const text = bytes.toString()
  if (!text.includes('"usage":{')) throw new Error('the server was not asked for usage')
  // TGI says it in the event that ends the answer, which stays.
  return Buffer.from(text.split(/(?<=\n\n)/).filter(event => !event.includes('"choices":[],')).join(''))
}

interface Spread {
  readonly median: number
  readonly p99: number
}

/** In milliseconds. */
function spread(gaps: readonly number[]): Spread {
  const sorted = [...gaps].sort((a, b) => a - b)
  const at = (share: number) => Math.round(sorted[Math.ceil(sorted.length * share) - 1]! * 1000) / 1000
  return { median: at(0.5), p99: at(0.99) }
}

const within = ({ median, p99 }: Spread, share = 1): boolean => median <= share * MEDIAN_MS && p99 <= share * P99_MS
const shown = ({ median, p99 }: Spread): string => `median ${median}, p99 ${p99}`

t.test('a recorded load, to the byte and on two clocks', async t => {
  const replay = await setUp(t)
  let agree = false
  let quiet = false
  for (let round = 1; round <= ROUNDS && t.passing() && !agree; round++) {
    await t.test(`round ${round}`, async t => {
      const { gaps, echoMs } = await replay(t, round)
      const ttft = spread(gaps.map(gap => gap.ttft))
      const tpot = spread(gaps.map(gap => gap.tpot))
      const echo = spread(echoMs)
      agree = within(ttft) && within(tpot)
      quiet ||= within(echo, ECHO_SHARE)
      t.comment(`gateway and client apart, in ms over ${gaps.length} streams: TTFT ${shown(ttft)}; TPOT ${shown(tpot)}; an echo between idle processes took ${shown(echo)}`)
    })
  }
  const claim = `TTFT and TPOT as the clients measured them, in one whole round: median within ${MEDIAN_MS} ms, p99 within ${P99_MS} ms`
  if (!agree && !quiet && t.passing()) t.pass(claim, { skip: 'this machine is too busy to tell: an echo alone takes that long' })
  else t.ok(agree, claim)
})
