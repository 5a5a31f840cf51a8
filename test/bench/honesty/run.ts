/**
 * `npm run bench:honesty [-- --streams 2000] [--json]`: what `sluice bench` measures, against what a server of known timing did.
 * The server counts from a request's arrival, the load tool from its schedule: the difference is the load tool's own error and the loopback.
 */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { startScriptedServer } from './scripted-server.js'

const { values: flags } = parseArgs({ options: { streams: { type: 'string', default: '2000' }, json: { type: 'boolean', default: false } } })
const streams = Number(flags.streams)
/** One stream lives 20 s, and so many start per second that the ordered number is open at once. */
const course = { firstMs: 300, gapMs: 100, tokens: 198 }
const lifeS = (course.firstMs + course.tokens * course.gapMs) / 1000

const folder = mkdtempSync(join(tmpdir(), 'honesty-'))
const server = await startScriptedServer(() => course)
try {
  const scenario = join(folder, 'scenario.json')
  const lines = join(folder, 'rows.jsonl')
  writeFileSync(scenario, JSON.stringify({ name: 'known', arrivals: 'constant', classes: { known: { ttft: '1s', lengths: { prompt: [[0, 20], [1, 40]], output: [[0, 100], [1, 100]] } } } }))
  const bench = spawn(process.execPath, [new URL('../../../dist/cli/main.js', import.meta.url).pathname, 'bench', server.url, '--workload', scenario,
    '--rate', String(streams / lifeS), '--warmup', `${lifeS + 1}s`, '--duration', '10s', '--cooldown', '30s', '--jsonl', lines, '--json'], { stdio: ['ignore', 'pipe', 'inherit'] })
  let out = ''
  bench.stdout.on('data', chunk => { out += String(chunk) })
  const [code] = await once(bench, 'close') as [number]
  if (code !== 0) throw new Error(`the load tool ended with ${code}`)
  const summary = JSON.parse(out) as { send_lag_ms: { p50: number, p99: number, max: number } }
  const rows = readFileSync(lines, 'utf8').split('\n').filter(Boolean).map(line => JSON.parse(line) as { type: string, id: string, ttft_ms: number, tpot_ms: number }).filter(row => row.type === 'request')
  const errors = (of: (row: typeof rows[number]) => number) => {
    const sorted = rows.map(of).sort((a, b) => a - b)
    const at = (q: number) => Math.round(sorted[Math.min(sorted.length - 1, Math.floor(q * sorted.length))]! * 1000) / 1000
    return { p1: at(0.01), p50: at(0.5), p99: at(0.99), max: at(1) }
  }
  const result = {
    streams, requests: rows.length,
    ttft_error_ms: errors(row => row.ttft_ms - server.deeds.get(row.id)!.ttftMs),
    tpot_error_ms: errors(row => row.tpot_ms - server.deeds.get(row.id)!.tpotMs),
    send_lag_ms: summary.send_lag_ms,
  }
  process.stdout.write(flags.json ? `${JSON.stringify(result)}\n` : `${JSON.stringify(result, null, 2)}\n`)
} finally {
  await server.stop()
  rmSync(folder, { recursive: true })
}
