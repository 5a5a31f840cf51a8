// Each query of each dashboard has an answer from a real Prometheus that scrapes a gateway at work.
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync, readdirSync } from 'node:fs'
import { writeFile } from 'node:fs/promises'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import t, { type Test } from 'tap'
import { startEmulator } from '../../src/emulator/index.js'
import { scratch, serve } from '../helpers/program.js'
import { isInstalled } from '../helpers/tools.js'

const MODEL = 'llama'

/** A Prometheus in front of one admin plane; resolves to its address once it answers. */
async function prometheus(t: Test, admin: string): Promise<string> {
  const folder = await scratch(t)
  const config = join(folder, 'prometheus.yml')
  const rules = new URL('../../deploy/prometheus/sluice.rules.yml', import.meta.url).pathname
  await writeFile(config, JSON.stringify({
    global: { scrape_interval: '500ms', scrape_timeout: '500ms', evaluation_interval: '1s' }, rule_files: [rules],
    scrape_configs: [{ job_name: 'sluice', static_configs: [{ targets: [new URL(admin).host] }] }],
  }))
  const probe = createServer().listen(0, '127.0.0.1')
  await once(probe, 'listening')
  const { port } = probe.address() as AddressInfo
  await new Promise((resolve) => { probe.close(resolve) })
  const child = spawn('prometheus', [`--config.file=${config}`, `--storage.tsdb.path=${join(folder, 'data')}`, `--web.listen-address=127.0.0.1:${port}`, '--log.level=error'], { stdio: ['ignore', 'ignore', 'inherit'] })
  const ended = once(child, 'exit')
  t.teardown(async () => { child.kill('SIGKILL'); await ended })
  const url = `http://127.0.0.1:${port}`
  while (!await fetch(`${url}/-/ready`).then(({ ok }) => ok, () => false)) {
    if (child.exitCode !== null) throw new Error(`prometheus ended with ${child.exitCode}`)
    await pause(50)
  }
  return url
}

interface Target { expr: string }
interface Answer { status: string, error?: string, data?: { result: { value: [number, string] }[] } }

t.test('every panel has data', { skip: isInstalled('prometheus') ? false : 'prometheus is not installed (Debian: apt-get install prometheus)', timeout: 55_000 }, async (t) => {
  const clock = { now: () => performance.now() }
  const emulators = await Promise.all([1, 2].map((seed) => startEmulator({ engine: 'vllm', clock, model: MODEL, seed, speed: 4 })))
  t.teardown(() => Promise.all(emulators.map((emulator) => emulator.stop())))
  const dcgm = createServer((_request, response) => { response.end('DCGM_FI_DEV_GPU_UTIL{gpu="0"} 93\n') }).listen(0, '127.0.0.1')
  await once(dcgm, 'listening')
  t.teardown(() => { dcgm.closeAllConnections(); dcgm.close() })
  const gpuUrl = `http://127.0.0.1:${(dcgm.address() as AddressInfo).port}/metrics`
  const program = await serve(t, {
    pools: { main: { backends: emulators.map(({ url }) => ({ url, engine: 'vllm', max_inflight: 64, cost_per_hour: 2, gpu_metrics: { url: gpuUrl } })) } },
    classes: { chat: { ttft: '20s', tpot: '5s' }, strict: { ttft: '1ms' } },
    routes: [{ match: { header: { 'x-strict': '*' } }, class: 'strict' }, { match: {}, class: 'chat' }],
    admission: { probe_share: 0.5 },
    log: { level: 'error', requests: false },
  })
  const url = await prometheus(t, program.admin)

  let working = true
  const prompt = 'The same beginning, over and over, so that a prefix cache has something to find. '.repeat(40)
  let asked = 0
  /**
   * A beginning of its own keeps a prompt out of every cache, and its length makes it take hundreds of milliseconds: also a busy machine,
   * whose timings scatter, can tell that nobody answers it within one.
   */
  const client = async (headers: Record<string, string>, shared: boolean) => {
    while (working) {
      const answer = await fetch(`${program.url}/v1/chat/completions`, {
        method: 'POST', headers: { 'content-type': 'application/json', ...headers },
        body: JSON.stringify({ model: MODEL, stream: true, max_tokens: 8, messages: [{ role: 'user', content: shared ? prompt : `${asked++} ${prompt.repeat(16)}` }] }),
      })
      await answer.text()
    }
  }
  const clients = [client({}, true), client({}, true), client({ 'x-strict': '1' }, false)]

  const folder = new URL('../../deploy/grafana/', import.meta.url)
  const missing = new Map(readdirSync(folder).flatMap((file) => {
    const { panels } = JSON.parse(readFileSync(new URL(file, folder), 'utf8')) as { panels: { title: string, targets?: Target[] }[] }
    return panels.flatMap(({ title, targets = [] }) => targets.map(({ expr }) => [`${file}: ${title}: ${expr}`, expr.replaceAll('$__rate_interval', '5s').replace(/\$(class|pool|backend|tenant)/g, '.*')] as const))
  }))
  const count = missing.size
  const untilMs = performance.now() + 40_000
  while (missing.size > 0 && performance.now() < untilMs) {
    await pause(500)
    await Promise.all([...missing].map(async ([name, expr]) => {
      const { status, error, data } = await (await fetch(`${url}/api/v1/query?${new URLSearchParams({ query: expr })}`)).json() as Answer
      if (status !== 'success') throw new Error(`${name}: ${error}`)
      if (data!.result.some(({ value: [, value] }) => value !== 'NaN')) missing.delete(name)
    }))
  }
  working = false
  await Promise.all(clients)
  t.ok(count > 50, `${count} queries`)
  t.same([...missing.keys()], [], 'no query is without an answer')
  const { data } = await (await fetch(`${url}/api/v1/rules`)).json() as { data: { groups: { rules: { name: string, health: string, lastError?: string }[] }[] } }
  t.same(data.groups.flatMap(({ rules }) => rules).filter(({ health }) => health === 'err'), [], 'no rule fails on real series')
})
