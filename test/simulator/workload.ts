import { readFile } from 'node:fs/promises'
import t from 'tap'
import { createRandom } from '../../src/core/index.js'
import { Arrivals, parseArrivals, type ArrivalProcess } from '../../src/simulator/workload/arrivals.js'
import { drawLengths, independent, tableFromPairs } from '../../src/simulator/workload/lengths.js'
import { conversation, longConversation } from '../../src/simulator/workload/tables.js'
import { parseTrace } from '../../src/simulator/workload/trace.js'
import { openWorkload, traceWorkload, WORKLOADS } from '../../src/simulator/workload/workload.js'

const gaps = (process: ArrivalProcess, count: number): number[] => {
  const arrivals = new Arrivals(process, 10, createRandom(7))
  let last = 0
  return Array.from({ length: count }, () => {
    const at = arrivals.next()
    const gap = at - last
    last = at
    return gap
  })
}
const mean = (values: readonly number[]) => values.reduce((sum, value) => sum + value, 0) / values.length
const cv = (values: readonly number[]) => {
  const centre = mean(values)
  return Math.sqrt(mean(values.map(value => (value - centre) ** 2))) / centre
}

t.test('arrival processes keep the rate and have the spread that they name', async t => {
  for (const [text, spread] of [['poisson', 1], ['constant', 0], ['gamma:4', 4], ['gamma:0.5', 0.5]] as const) {
    const sample = gaps(parseArrivals(text), 60_000)
    t.ok(Math.abs(mean(sample) - 100) < 6, `${text}: mean gap ${mean(sample)} ms`)
    t.ok(Math.abs(cv(sample) - spread) < 0.06 * spread + 1e-6, `${text}: CV ${cv(sample)}`)
  }
})

t.test('on-off arrivals keep the mean rate, and the ratio between the phases', async t => {
  const arrivals = new Arrivals(parseArrivals('on-off:3:10:20'), 10, createRandom(3))
  let on = 0
  let total = 0
  for (;;) {
    const at = arrivals.next()
    if (at > 3_000_000) break
    total++
    if (at % 30_000 < 10_000) on++
  }
  t.ok(Math.abs(total / 3000 - 10) < 0.3, `${total / 3000} per second`)
  const ratio = (on / 10) / ((total - on) / 20)
  t.ok(Math.abs(ratio - 3) < 0.15, `on phases are ${ratio} times as busy`)
})

t.test('arrivals that cannot be read say what can', async t => {
  for (const text of ['gamma', 'gamma:-1', 'poisson:3', 'bursts', 'on-off:3:10']) t.throws(() => parseArrivals(text), /expected poisson, constant, gamma:CV/)
})

t.test('a length table gives back the quantiles and the dependence that it was derived from', async t => {
  const random = createRandom(5)
  const pairs = Array.from({ length: 4000 }, () => {
    const prompt = 100 + Math.floor(900 * random.next())
    return [prompt, prompt < 500 ? 10 + Math.floor(10 * random.next()) : 200 + Math.floor(10 * random.next())] as const
  })
  const table = tableFromPairs(pairs, [0, 0.2, 0.4, 0.6, 0.8, 1], [0, 0.5, 1])
  const drawn = { promptTokens: 0, outputTokens: 0 }
  let wrong = 0
  for (let i = 0; i < 5000; i++) {
    drawLengths(table, random, drawn)
    if (drawn.promptTokens < 440 && drawn.outputTokens > 100) wrong++
    if (drawn.promptTokens > 640 && drawn.outputTokens < 100) wrong++
  }
  t.equal(wrong, 0)
})

t.test('quantiles must rise from level 0 to level 1', async t => {
  t.throws(() => independent([[0, 1], [0.5, 10]], [[0, 1], [1, 2]]), /prompt quantiles must start at level 0 and end at level 1/)
  t.throws(() => independent([[0, 1], [1, 10]], [[0, 5], [0.5, 3], [1, 9]]), /output quantiles must rise/)
})

t.test('the committed tables are those of the traces', async t => {
  const read = async (name: string) => await readFile(new URL(`../../../shared/traces/${name}`, import.meta.url), 'utf8').catch(() => undefined)
  const azure = await read('azure_llm_2023_conv.csv')
  const mooncake = await read('mooncake_conversation_trace.jsonl')
  if (azure === undefined || mooncake === undefined) {
    t.equal(conversation.output.length, conversation.promptLevels.length - 1)
    t.equal(longConversation.output.length, longConversation.promptLevels.length - 1)
    return
  }
  const rows = parseTrace('azure', azure).rows
  t.equal(rows.length, 19_366)
  t.ok(Math.abs(rows.at(-1)!.arrivalMs - 3_501_721) < 1, `span ${rows.at(-1)!.arrivalMs}`)
  t.strictSame(tableFromPairs(rows.map(row => [row.promptTokens, row.outputTokens]), conversation.promptLevels, conversation.outputLevels), conversation)
  const long = parseTrace('mooncake', mooncake).rows
  t.equal(long.length, 12_031)
  t.ok(long.every((row, i) => i === 0 || row.arrivalMs >= long[i - 1]!.arrivalMs), 'spread over the ticks, in order')
  const cut = long.filter(row => row.promptTokens >= 2000 && row.promptTokens <= 16_000)
  t.strictSame(tableFromPairs(cut.map(row => [row.promptTokens, row.outputTokens]), longConversation.promptLevels, longConversation.outputLevels), longConversation)
})

t.test('traces are read as they are written, and errors name the line', async t => {
  const azure = parseTrace('azure', 'TIMESTAMP,ContextTokens,GeneratedTokens\r\n2023-11-16 18:15:46.6805900,374,44\r\n2023-11-16 18:15:50.9951690,396,109')
  t.match(azure.rows, [{ arrivalMs: 0, promptTokens: 374, outputTokens: 44 }, { promptTokens: 396, outputTokens: 109 }])
  t.ok(Math.abs(azure.rows[1]!.arrivalMs - 4314.579) < 0.01)
  const log = parseTrace('log', '{"class":"code","timeline":{"receivedAtMs":500,"promptTokens":12,"outputTokens":3}}\n{"class":"chat","estimatedPromptTokens":40,"timeline":{"receivedAtMs":300}}\n')
  t.match(log.rows, [{ arrivalMs: 0, promptTokens: 40, outputTokens: 1, className: 'chat' }, { arrivalMs: 200, promptTokens: 12, outputTokens: 3, className: 'code' }])
  t.throws(() => parseTrace('azure', 'a,b\n1,2'), /line 1: expected the header/)
  t.throws(() => parseTrace('azure', 'TIMESTAMP,ContextTokens,GeneratedTokens\nyesterday,1,2'), /line 2: expected a time/)
  t.throws(() => parseTrace('mooncake', '{"timestamp":0,"input_length":5,"output_length":1}\nnonsense'), /line 2: expected one JSON object/)
  t.throws(() => parseTrace('log', '{}'), /line 1: expected a request record/)
  t.throws(() => parseTrace('csv', ''), /unknown trace format "csv"; known: azure, mooncake, log/)
  t.throws(() => parseTrace('log', ''), /holds no request/)
})

t.test('a trace is stretched to the rate, goes round, and does not find its own cache again', async t => {
  const trace = parseTrace('mooncake', [0, 3000, 6000, 9000].map((timestamp, i) => JSON.stringify({ timestamp, input_length: 1100, output_length: 5, hash_ids: [0, i * 2 + 1, i * 2 + 2] })).join('\n'))
  const source = openWorkload(traceWorkload('t', 'mooncake', trace), 8, 1)
  const requests = Array.from({ length: 400 }, () => source.next())
  t.ok(Math.abs(requests.at(-1)!.arrivalMs / 399 - 125) < 2, `mean gap ${requests.at(-1)!.arrivalMs / 399} ms`)
  t.ok(requests.every((request, i) => i === 0 || request.arrivalMs >= requests[i - 1]!.arrivalMs))
  t.ok(requests.every(request => request.prefixBlocks.length === 2), 'full blocks only')
  const second = new Set(requests.map(request => request.prefixBlocks[1]))
  t.equal(second.size, 400)
})

t.test('a request log brings its own classes and targets', async t => {
  const record = (name: string, at: number, targets: object) => JSON.stringify({ class: name, targets, timeline: { receivedAtMs: at, promptTokens: 50, outputTokens: 9 } })
  const workload = traceWorkload('mine', 'log', parseTrace('log', [record('ide', 5, { ttftMs: 200 }), record('night', 9, {}), record('ide', 12, { ttftMs: 300 })].join('\n')))
  t.match(workload.classes, [{ service: { name: 'ide', targets: { ttftMs: 200 } } }, { service: { name: 'night', targets: {} } }])
  const source = openWorkload(workload, 10, 4)
  t.same(new Set(Array.from({ length: 30 }, () => source.next().classIndex)), new Set([0, 1]))
})

t.test('the same seed gives the same requests at every rate; another seed gives others', async t => {
  for (const workload of Object.values(WORKLOADS)) {
    if (workload.kind !== 'synthetic') continue
    const take = (rate: number, seed: number) => {
      const source = openWorkload(workload, rate, seed)
      return Array.from({ length: 50 }, () => source.next())
    }
    const slow = take(10, 1)
    const fast = take(20, 1)
    t.strictSame(slow.map(request => [request.promptTokens, request.outputTokens, request.classIndex]), fast.map(request => [request.promptTokens, request.outputTokens, request.classIndex]))
    t.ok(slow.every((request, i) => Math.abs(request.arrivalMs - 2 * fast[i]!.arrivalMs) < 1e-6))
    t.notSame(take(10, 2), slow)
  }
})

t.test('conversations send their history again and keep the rate', async t => {
  const source = openWorkload(WORKLOADS['multi-turn']!, 20, 1)
  const last = new Map<string, { promptTokens: number, outputTokens: number, prefixBlocks: readonly number[] }>()
  let count = 0
  let broken = 0
  for (let request = source.next(); request.arrivalMs < 400_000; request = source.next()) {
    count++
    const before = last.get(request.sessionKey!)
    if (before !== undefined) {
      if (request.promptTokens <= before.promptTokens + before.outputTokens) broken++
      if (before.prefixBlocks.some((block, i) => request.prefixBlocks[i] !== block)) broken++
    }
    last.set(request.sessionKey!, request)
  }
  t.equal(broken, 0)
  t.ok(Math.abs(count / 400 - 20) < 1.5, `${count / 400} per second`)
})
