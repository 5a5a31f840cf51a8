// Yesterday's traffic against tomorrow's fleet: the request log of a gateway is a workload of `sluice simulate`.
import { spawnSync } from 'node:child_process'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import t from 'tap'
import { startEmulator } from '../../src/emulator/index.js'
import { scratch, serve } from '../helpers/program.js'

t.test('a request log replays', async (t) => {
  const emulator = await startEmulator({ engine: 'vllm', clock: { now: () => performance.now() }, model: 'llama', seed: 1, speed: 20 })
  t.teardown(() => emulator.stop())
  const file = join(await scratch(t), 'requests.jsonl')
  const program = await serve(t, {
    pools: { main: { backends: [{ url: emulator.url, engine: 'vllm' }] } },
    classes: { chat: { ttft: '10s', tpot: '1s' }, docs: { ttft: '20s' } },
    routes: [{ match: { header: { 'x-docs': '*' } }, class: 'docs' }, { match: {}, class: 'chat' }],
    log: { level: 'error', request_file: file },
  })
  const ask = async (n: number) => {
    const answer = await fetch(`${program.url}/v1/chat/completions`, {
      method: 'POST', headers: { 'content-type': 'application/json', ...(n % 4 === 0 ? { 'x-docs': '1' } : {}) },
      body: JSON.stringify({ model: n === 7 ? 'nobody' : 'llama', stream: true, max_tokens: 5 + n, messages: [{ role: 'user', content: 'CANARY words of a prompt '.repeat(1 + n) }] }),
    })
    await answer.text()
  }
  for (let n = 0; n < 40; n += 4) await Promise.all([0, 1, 2, 3].map((k) => ask(n + k)))
  t.equal(await program.stop(), 0)

  const text = await readFile(file, 'utf8')
  t.equal(text.trimEnd().split('\n').length, 40, 'a line per request')
  t.notMatch(text, /CANARY/)
  const times = ['receivedAtMs', 'classifiedAtMs', 'queuedAtMs', 'dispatchedAtMs', 'connectedAtMs', 'firstTokenAtMs', 'lastTokenAtMs', 'endedAtMs', 'maxLatenessMs']
  const figures = ['promptTokens', 'uncachedTokens', 'waitedMs', 'predictedTtftMs', 'predictedTtftErrorMs', 'predictedTpotMs', 'slackMs', 'score']
  const numbers = (names: string[]) => Object.fromEntries(names.map((name) => [name, Number]))
  t.match(JSON.parse(text.split('\n')[0]!), {
    timeline: { ...numbers(times), id: String, ending: 'completed', streamed: true, attempts: 1, pool: 'main' },
    explanation: { ...numbers(figures), policy: 'slo', verdict: String, chosen: String },
    attempts: [{ verdict: 'success', pool: 'main', ...numbers(['dispatchedAtMs', 'endedAtMs']) }],
  }, 'all that is known of the request')
  const { status, stdout, stderr } = spawnSync(process.execPath, [
    'dist/cli/main.js', 'simulate', '--workload', `log:${file}`, '--backends', '2', '--loads', '0.5', '--seeds', '1', '--duration', '5s', '--warmup', '0s', '--no-search', '--jobs', '1', '--json',
  ], { encoding: 'utf8' })
  t.equal(status, 0, stderr)
  const report = JSON.stringify(JSON.parse(stdout))
  for (const name of ['chat', 'docs']) t.match(report, new RegExp(`"${name}"`), `class ${name} is in the report`)
})
