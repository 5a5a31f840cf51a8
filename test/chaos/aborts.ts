// Clients that leave in every phase of a request: what the servers see of it and when, and what the gateway still holds afterwards.
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { Agent, request as httpRequest } from 'node:http'
import { connect, type Socket } from 'node:net'
import { createRandom } from '../../src/core/index.js'
import { Backend, MODEL } from './backend.js'
import type { Check } from './chaos.js'
import { Gateway } from './gateway.js'

/** In whose midst the client leaves. `ending`: when it sees the last token, which the server may have finished by then. */
export const PHASES = ['queued', 'connecting', 'before the head', 'before the first token', 'streaming', 'ending'] as const
export type Phase = typeof PHASES[number]

const AT_ONCE = 48
const FULL = 'always-full'
const NOWHERE = 'never-accepts'
const MOST_MS = 100

export interface AbortReport {
  readonly aborts: number
  /** From the client's leaving (or the request's coming to the server, where that was later) to the server's seeing it, in ms, sorted. */
  readonly delaysMs: ReadonlyMap<Phase | 'all', readonly number[]>
  /** Requests that the server had answered whole before it could know. */
  readonly tooLate: number
  readonly checks: readonly Check[]
  /** Of time: what a busy machine may break. */
  readonly timely: Check
}

export const quantile = (sorted: readonly number[], q: number): number => sorted[Math.min(sorted.length - 1, Math.floor(q * sorted.length))] ?? NaN

/** Microseconds of the clock that all processes of a machine share. */
const nowUs = () => Number(process.hrtime.bigint() / 1000n)
const after = (ms: number) => new Promise(resolve => setTimeout(resolve, ms))

/** A server that is well as long as it is asked for its health, and from then on accepts no connection. */
async function neverAccepting(): Promise<{ url: string, shut: () => Promise<void>, end: () => void }> {
  const script = 'const s = require("http").createServer((q, r) => r.end("{}")).listen(0, "127.0.0.1", 1, () => console.log(s.address().port))'
  const child = spawn(process.execPath, ['-e', script], { stdio: ['ignore', 'pipe', 'inherit'] })
  const [said] = await once(child.stdout, 'data') as [Buffer]
  const port = Number(String(said))
  const fillers: Socket[] = []
  return {
    url: `http://127.0.0.1:${port}`,
    async shut() {
      child.kill('SIGSTOP')
      // The kernel accepts for it until the backlog is full.
      for (let i = 0; i < 8; i++) fillers.push(connect(port, '127.0.0.1').on('error', () => {}))
      await after(100)
    },
    end() {
      child.kill('SIGKILL')
      for (const filler of fillers) filler.destroy()
    },
  }
}

const FAULTS = {
  rules: [
    { kind: 'hang-before-headers', match: { body: 'before the head' } },
    { kind: 'hang-after-headers', match: { body: 'before the first token' } },
  ],
} as const

export async function aborts({ count, seed }: { readonly count: number, readonly seed: string }): Promise<AbortReport> {
  const random = createRandom(`aborts ${seed}`)
  const [full, ...backends] = await Promise.all([Backend.start(1, FULL), Backend.start(1), Backend.start(1)])
  await Promise.all([full, ...backends].map(backend => backend.answers()))
  const nowhere = await neverAccepting()
  await Promise.all([...backends.map(backend => backend.faults(FAULTS)), full.faults({ rules: [{ kind: 'hang-before-headers' }] })])
  const gateway = await Gateway.start({
    pools: {
      main: { backends: backends.map(({ url }, i) => ({ url, name: `b${i}`, engine: 'vllm', models: [MODEL] })) },
      full: { backends: [{ url: full.url, name: 'full', engine: 'vllm', models: [FULL], max_inflight: 1 }] },
      nowhere: { backends: [{ url: nowhere.url, name: 'nowhere', engine: 'openai', models: [NOWHERE] }] },
    },
    timeouts: { connect: '60s' }, health: { interval: '1h', timeout: '30s' }, limits: { event_loop_lag: '0s' },
  })
  await nowhere.shut()

  const agent = new Agent({ keepAlive: false })
  const leftAtUs = new Map<string, number>()
  let refused = 0
  const ask = (id: string, phase: Phase | 'holder', leaveAfterMs: number, afterTokens: number): Promise<void> => new Promise(resolve => {
    const call = httpRequest(`${gateway.dataUrl}/v1/completions`, { method: 'POST', agent, headers: { 'content-type': 'application/json', 'x-request-id': id } }, response => {
      let bytes = ''
      if (response.statusCode !== 200) refused++
      response.on('data', (piece: Buffer) => {
        if (afterTokens === Infinity) return
        bytes += String(piece)
        if (phase === 'ending' ? bytes.includes('"finish_reason":"length"') : bytes.split('\n\n').length > afterTokens) leave()
      })
      response.on('error', () => {})
    })
    const leave = () => {
      if (!leftAtUs.has(id)) leftAtUs.set(id, nowUs())
      call.destroy()
    }
    call.on('error', () => {})
    call.on('close', resolve)
    const model = phase === 'queued' || phase === 'holder' ? FULL : phase === 'connecting' ? NOWHERE : MODEL
    call.end(JSON.stringify({ model, stream: true, prompt: phase, max_tokens: phase === 'ending' ? 2 : 100, ignore_eos: true }))
    if (leaveAfterMs < Infinity) setTimeout(leave, leaveAfterMs)
  })

  // Takes the only place of the full server.
  const holder = ask('holder', 'holder', Infinity, Infinity)
  while (await gateway.sum('sluice_backend_inflight_requests') === 0) await after(20)
  const phaseOf = new Map<string, Phase>()
  let next = 0
  await Promise.all(Array.from({ length: AT_ONCE }, async () => {
    for (let n = next++; n < count; n = next++) {
      const phase = PHASES[n % PHASES.length]!
      const id = `a${n}`
      phaseOf.set(id, phase)
      const byToken = phase === 'streaming' || phase === 'ending'
      await ask(id, phase, byToken ? Infinity : 30 + 50 * random.next(), byToken ? 1 + Math.floor(10 * random.next()) : Infinity)
    }
  }))
  // Long enough for every abort to be seen, on a busy machine as well.
  for (let tries = 0; tries < 50 && await gateway.sum('sluice_backend_inflight_requests', 'sluice_queue_depth') > 1; tries++) await after(100)
  await after(200)
  const seen = new Map((await Promise.all(backends.map(backend => backend.answers()))).flat().map(([id, cameAtUs, closedAtUs, whole]) => [id, { cameAtUs, closedAtUs, whole }]))
  const heardOfQueued = (await full.answers()).length
  // The last one to leave is the one that held the place.
  agent.destroy()
  const held = await gateway.held()
  void holder
  const lines = await gateway.stop()
  nowhere.end()
  const states = await Promise.all(backends.map(async ({ url }) => (await (await fetch(`${url}/emulator/state`)).json()) as { requests: { active: number } }))
  for (const backend of [full, ...backends]) backend.kill()

  const records = new Map<string, typeof lines>()
  for (const line of lines) records.set(line.timeline.id, [...records.get(line.timeline.id) ?? [], line])
  const delaysMs = new Map<Phase | 'all', number[]>([['all', []]])
  let tooLate = 0
  let unseen = 0
  let wrong = 0
  for (const [id, phase] of phaseOf) {
    const own = records.get(id) ?? []
    const [record] = own
    // A client that left before its request had been read is no request; one whose answer was out is no abort.
    if (own.length > 1 || (record !== undefined && record.outcome !== 'cancelled' && phase !== 'ending')) wrong++
    if (phase === 'queued' && record?.timeline.dispatchedAtMs !== undefined) wrong++
    if (phase === 'connecting' && record?.timeline.connectedAtMs !== undefined) wrong++
    if (record?.timeline.connectedAtMs === undefined) continue
    const answer = seen.get(id)
    const leftUs = leftAtUs.get(id)
    if (answer === undefined || leftUs === undefined) unseen++
    else if (answer.whole) tooLate++
    else for (const key of [phase, 'all'] as const) delaysMs.set(key, [...delaysMs.get(key) ?? [], (answer.closedAtUs - Math.max(leftUs, answer.cameAtUs)) / 1000])
  }
  for (const list of delaysMs.values()) list.sort((a, b) => a - b)
  const p99 = quantile(delaysMs.get('all')!, 0.99)
  const active = states.reduce((sum, { requests }) => sum + requests.active, 0)
  return {
    aborts: leftAtUs.size, delaysMs, tooLate,
    checks: [
      { what: 'nothing is held afterwards', holds: held === 0 && active === 0, figure: `${held} in the gateway, ${active} in the servers` },
      { what: 'servers saw every abort of a request that had reached them', holds: unseen === 0, figure: `${unseen} unseen` },
      { what: 'one outcome each, and the right one', holds: wrong === 0 && refused === 0, figure: `${wrong} wrong, ${refused} refused` },
      { what: 'the server of those that were queued never heard of them', holds: heardOfQueued === 0, figure: String(heardOfQueued) },
    ],
    timely: { what: `servers see an abort within ${MOST_MS} ms (p99)`, holds: p99 <= MOST_MS, figure: `${p99.toFixed(1)} ms` },
  }
}
