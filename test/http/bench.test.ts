// The load tool against live servers: emulated ones, and one whose timing is known.
import { execFileSync } from 'node:child_process'
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { parseTarget, runLoad, type LoadRunOptions } from '../../src/bench/index.js'
import { run as benchCommand } from '../../src/cli/commands/bench.js'
import { startEmulator } from '../../src/emulator/index.js'
import { parseScenario } from '../../src/simulator/index.js'
import { fakeIo } from '../helpers/io.js'
import { startScriptedServer, type Course } from '../bench/honesty/scripted-server.js'

const clock = { now: () => performance.now() }

const emulated = async (t: Test) => {
  const server = await startEmulator({ engine: 'vllm', clock, speed: 40 })
  t.teardown(() => server.stop())
  return server
}

const scripted = async (t: Test, courseOf: Parameters<typeof startScriptedServer>[0]) => {
  const server = await startScriptedServer(courseOf)
  t.teardown(() => server.stop())
  return server
}

const { workload } = parseScenario({ classes: { only: { ttft: '5s', tpot: '1s', lengths: { prompt: [[0, 20], [1, 40]], output: [[0, 5], [1, 9]] } } }, arrivals: 'constant' })

const options = (url: string, changes: Partial<LoadRunOptions> = {}): LoadRunOptions => ({
  target: parseTarget(url), style: { api: 'chat', model: undefined, trueLengths: 'emulate', headers: {}, classHeader: undefined },
  workload, load: { kind: 'open', ratePerSecond: 50 }, seed: 1, warmupMs: 100, measureMs: 600, cooldownMs: 0, timeoutMs: 20_000, cutLost: false, targets: new Map(), clock, runId: 'test', ...changes,
})

const bench = async (...args: string[]) => {
  const { io, written } = fakeIo()
  const code = await benchCommand(args, { ...io, clock })
  return { code, ...written }
}

t.test('what it measures is what the server did', async t => {
  const course: Course = { firstMs: 40, gapMs: 10, tokens: 12 }
  const server = await scripted(t, () => course)
  const { rows } = await runLoad(options(server.url))
  t.equal(rows.length, 30)
  for (const row of rows) {
    const deed = server.deeds.get(row.id)!
    t.ok(row.ttft_ms! >= deed.ttftMs && deed.ttftMs >= 40, 'never early')
    t.match(row, { ending: 'completed', output_tokens: 12, output_estimated: false, prompt_tokens: 10 })
  }
  const median = (errors: number[]) => errors.sort((a, b) => a - b)[errors.length >> 1]!
  t.ok(median(rows.map(row => row.ttft_ms! - server.deeds.get(row.id)!.ttftMs)) < 20, 'TTFT')
  t.ok(median(rows.map(row => Math.abs(row.tpot_ms! - server.deeds.get(row.id)!.tpotMs))) < 5, 'TPOT')
})

t.test('a server that stands still does not slow the load down, and its whole delay is counted', async t => {
  const server = await scripted(t, () => ({ firstMs: 1500, gapMs: 1, tokens: 2 }))
  const { rows, sendLag } = await runLoad(options(server.url, { warmupMs: 0, measureMs: 400 }))
  t.ok(rows.length >= 19, 'all were sent while none was answered')
  t.equal(server.received(), rows.length)
  t.ok(rows.every(row => row.sent_ms! < 1500 && row.ttft_ms! >= 1500), 'from the schedule on')
  t.equal(sendLag.count, rows.length)
})

t.test('endings: refused, failed, truncated, given up', async t => {
  let turn = 0
  const server = await scripted(t, (_req, res) => {
    switch (turn++ % 5) {
      case 0: res.writeHead(429, { 'x-sluice-reason': 'deadline_infeasible' }).end('{"error":{"message":"no"}}'); return undefined
      case 1: res.writeHead(500).end('{"error":{"message":"broken"}}'); return undefined
      case 2: res.writeHead(200).end('data: {"choices":[{"index":0,"delta":{"content":"a"}}]}\n\n'); return undefined
      case 3: return undefined
      default: return { firstMs: 1, gapMs: 1, tokens: 3 }
    }
  })
  const { rows } = await runLoad(options(server.url, { warmupMs: 0, measureMs: 200, timeoutMs: 400, targets: new Map([['*', { ttftMs: 300 }]]) }))
  const seen = (index: number) => rows[index]!
  t.match(seen(0), { ending: 'rejected', status: 429, reason: 'deadline_infeasible', counted: true })
  t.match(seen(1), { ending: 'failed', status: 500, reason: /broken/, truncated: false })
  t.match(seen(2), { ending: 'failed', truncated: true, output_tokens: 1 })
  t.match(seen(3), { ending: 'cancelled', outcome: 'cancelled', counted: true, first_token_ms: null })
  t.match(seen(4), { ending: 'completed' })
})

t.test('lengths are honoured on every interface', async t => {
  const vllm = await emulated(t)
  const tgi = await startEmulator({ engine: 'tgi', clock, speed: 20 })
  t.teardown(() => tgi.stop())
  for (const [server, api] of [[vllm, 'chat'], [vllm, 'completions'], [tgi, 'tgi'], [tgi, 'chat']] as const) {
    const { rows } = await runLoad(options(server.url, { measureMs: 300, style: { api, model: undefined, trueLengths: 'emulate', headers: {}, classHeader: undefined } }))
    t.ok(rows.length >= 14, api)
    t.same(rows.filter(row => row.ending !== 'completed' || row.output_tokens !== row.ordered_output_tokens), [], api)
  }
  const { rows } = await runLoad(options(vllm.url, { measureMs: 200, style: { api: 'chat', model: undefined, trueLengths: 'ignore-eos', headers: {}, classHeader: undefined } }))
  t.same(rows.filter(row => row.output_tokens !== row.ordered_output_tokens), [])
})

t.test('closed loop: so many at once', async t => {
  const server = await scripted(t, () => ({ firstMs: 20, gapMs: 1, tokens: 2 }))
  const { rows } = await runLoad(options(server.url, { load: { kind: 'closed', concurrency: 3 }, warmupMs: 0, measureMs: 300 }))
  t.ok(rows.length >= 6 && rows.length <= 45, `${rows.length} requests`)
  const open = rows.map(row => rows.filter(other => other.scheduled_ms <= row.scheduled_ms && other.ended_ms > row.scheduled_ms).length)
  t.ok(Math.max(...open) <= 3)
})

t.test('the command: JSON as promised, and the same goodput by an independent program', async t => {
  const folder = await mkdtemp(join(tmpdir(), 'sluice-bench-'))
  t.teardown(() => rm(folder, { recursive: true }))
  const server = await emulated(t)
  const lines = join(folder, 'requests.jsonl')
  const page = join(folder, 'page.html')
  const { code, out } = await bench(server.url, '--workload', 'mix', '--rate', '60', '--duration', '1s', '--warmup', '200ms', '--seeds', '2', '--cut-lost',
    '--goodput', 'chat=ttft:30,tpot:2', '--json', '--jsonl', lines, '--html', page)
  t.equal(code, 0)
  const result = JSON.parse(out) as Record<string, unknown> & { classes: Record<string, object> }
  const quantiles = { p50: Number, p90: Number, p95: Number, p99: Number }
  t.match(result, {
    target: server.url, rate_per_s: 60, duration_s: 2, request_goodput_per_s: Number, token_goodput_per_s: Number, input_tokens_per_s: Number, output_tokens_per_s: Number,
    classes: { chat: { offered: Number, completed: Number, met: Number, attainment: Number, rejected: 0, failed: 0, truncated: 0, ttft_ms: quantiles, tpot_ms: quantiles, itl_ms: quantiles, e2e_ms: quantiles } },
    request_throughput: Number, output_throughput: Number, total_token_throughput: Number, mean_ttft_ms: Number, median_tpot_ms: Number, p99_itl_ms: Number, mean_e2el_ms: Number, request_goodput: Number, max_output_tokens_per_s: Number, max_concurrent_requests: Number,
  })
  const again = JSON.parse(execFileSync(process.execPath, ['scripts/goodput.js', lines], { encoding: 'utf8' })) as Record<string, unknown> & { classes: Record<string, Record<string, number>> }
  for (const field of ['offered', 'met', 'attainment', 'request_goodput_per_s', 'token_goodput_per_s']) t.equal(again[field], result[field], field)
  for (const [name, figures] of Object.entries(again.classes)) t.match(result.classes[name], { offered: figures['offered'], counted: figures['counted'], met: figures['met'], attainment: figures['attainment'] }, name)
  t.match(await readFile(page, 'utf8'), /<svg[^]*TTFT of chat, target 30 ms/)
})

t.test('the command: a sweep, a search, a comparison', async t => {
  const server = await emulated(t)
  const short = ['--duration', '300ms', '--warmup', '0s', '--cooldown', '0s', '--goodput', 'ttft:1000', '--json']
  const sweep = JSON.parse((await bench(server.url, '--rates', '20,10', '--concurrency', '1,2', ...short)).out) as { loads: { rate_per_s: number | null, concurrency: number | null }[] }
  t.same(sweep.loads.map(load => load.rate_per_s ?? `x${load.concurrency}`), [10, 20, 'x1', 'x2'])
  const compared = JSON.parse((await bench(server.url, `${server.url}/v1`, '--compare', '--rate', '20', '--seeds', '2', ...short)).out) as { targets: { target: string, seeds: number[] }[] }
  t.same(compared.targets.map(({ target, seeds }) => [target, seeds]), [[server.url, [1, 2]], [`${server.url}/v1`, [1, 2]]])
  const refusing = await scripted(t, (_req, res) => { res.writeHead(503).end(); return undefined })
  const none = await bench(refusing.url, '--find-goodput', '--rate', '50', ...short, '--duration', '100ms')
  t.equal(none.code, 1, 'nothing completed')
  t.match(JSON.parse(none.out), { objective: 0.9, rate_per_s: 0 })
})

t.test('a server that is not there', async t => {
  const gone = await startScriptedServer(() => undefined)
  await gone.stop()
  await t.rejects(bench(gone.url), /does not tell a model .*ECONNREFUSED.*is the server up/)
  const { code, err } = await bench(gone.url, '--model', 'm', '--rate', '20', '--duration', '200ms', '--warmup', '0s')
  t.equal(code, 1)
  t.match(err, /failed: connect ECONNREFUSED/)
})
