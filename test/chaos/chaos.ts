// A whole gateway before four servers in processes of their own, of which one breaks every second, and what became of all requests.
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Io } from '../../src/cli/process.js'
import { startGateway } from '../../src/cli/serve/gateway.js'
import { configFrom } from '../../src/config/index.js'
import { createRandom } from '../../src/core/index.js'
import type { FaultPlan } from '../../src/emulator/index.js'
import type { RequestRecord } from '../../src/telemetry/index.js'
import { Backend, MODEL } from './backend.js'
import { ask, type Ending, type Seen } from './client.js'

/** So many of the four may be broken at once: a healthy one with room is always left. */
const MOST_BROKEN = 2
const PROMPTS = Array.from({ length: 20 }, (_, i) => `Tell me story number ${i} of the sea.`)
const OUTPUT_TOKENS = 60

const FAULTS: Readonly<Record<string, (backend: Backend, forMs: number) => Promise<void>>> = {
  kill: async (backend, forMs) => {
    backend.kill()
    setTimeout(() => { void backend.up() }, forMs)
  },
  restart: async backend => {
    backend.kill()
    await backend.up()
  },
  hang: (backend, forMs) => rules(backend, forMs, [{ kind: 'hang-before-headers', probability: 0.5 }, { kind: 'hang-after-headers' }]),
  stall: (backend, forMs) => rules(backend, forMs, [{ kind: 'stall', afterTokens: 20 }]),
  reset: (backend, forMs) => rules(backend, forMs, [{ kind: 'reset-before-headers', probability: 0.3 }, { kind: 'reset-after-headers', probability: 0.3 }, { kind: 'reset-stream', afterTokens: 10 }]),
  garbage: (backend, forMs) => rules(backend, forMs, [{ kind: 'garbage', probability: 0.3, afterTokens: 5 }, { kind: 'cut-mid-utf8', probability: 0.5, afterTokens: 7 }, { kind: 'end-early', afterTokens: 9 }]),
  slow: (backend, forMs) => during(backend, forMs, { slowFactor: 10 }),
  overload: (backend, forMs) => rules(backend, forMs, [{ kind: 'status', status: 429, retryAfterS: 1, probability: 0.5 }, { kind: 'error-first', status: 503 }]),
}
const during = async (backend: Backend, forMs: number, plan: FaultPlan) => {
  await backend.faults(plan)
  setTimeout(() => { void backend.faults({}) }, forMs)
}
const rules = (backend: Backend, forMs: number, list: NonNullable<FaultPlan['rules']>) => during(backend, forMs, { rules: list })

export interface ChaosOptions {
  readonly seconds: number
  readonly streams: number
  readonly seed: string
}

export interface Check {
  readonly what: string
  readonly holds: boolean
  readonly figure: string
}

export interface ChaosReport {
  readonly requests: number
  readonly endings: ReadonlyMap<Ending, number>
  readonly continued: number
  readonly brokenOff: number
  /** Mean resident set in MiB, of the middle and the last third of the run. */
  readonly memoryMiB: readonly [middle: number, last: number]
  readonly checks: readonly Check[]
  /** How requests were lost that should not have been. */
  readonly losses: readonly string[]
}

export async function chaos({ seconds, streams, seed }: ChaosOptions, io: Io): Promise<ChaosReport> {
  const random = createRandom(`chaos ${seed}`)
  const folder = await mkdtemp(join(tmpdir(), 'sluice-chaos-'))
  const requestFile = join(folder, 'requests.jsonl')
  const backends = await Promise.all(Array.from({ length: 4 }, () => Backend.start(6)))
  const gateway = await startGateway(configFrom({
    listen: { port: 0 }, admin: { port: 0 },
    pools: { main: { backends: backends.map(({ url }, i) => ({ url, name: `b${i}`, engine: 'vllm' })) } },
    routes: [{ match: { header: { 'x-continue': '1' } }, class: 'default', continuation: true, name: 'continued' }],
    timeouts: { connect: '1s', first_token: '3s', idle: '2s' },
    retries: { max_attempts: 4, min_per_second: 100, budget_ratio: 1 },
    limits: { event_loop_lag: '0s' },
    health: { interval: '500ms', timeout: '1s' }, breaker: { open: '1s' },
    log: { level: 'silent', request_file: requestFile },
  }), io, '0', async () => {})

  const bodyOf = (prompt: string, chat: boolean) => ({ model: MODEL, stream: true, max_tokens: OUTPUT_TOKENS, ignore_eos: true, temperature: 0, ...(chat ? { messages: [{ role: 'user', content: prompt }] } : { prompt }) })
  const pathOf = (chat: boolean) => `${gateway.dataUrl}${chat ? '/v1/chat/completions' : '/v1/completions'}`

  // What each answer is when nothing breaks.
  const undisturbed = new Map<string, string>()
  for (const prompt of PROMPTS) {
    for (const chat of [true, false]) undisturbed.set(`${chat} ${prompt}`, (await ask(pathOf(chat), `reference-${undisturbed.size}`, bodyOf(prompt, chat), {}, undefined)).text)
  }

  const startedAtMs = io.clock.now()
  const endsAtMs = startedAtMs + 1000 * seconds
  const seen: Seen[] = []
  let continued = 0
  let brokenOff = 0
  let differing = 0
  const client = async (index: number) => {
    for (let n = 0; io.clock.now() < endsAtMs; n++) {
      const prompt = PROMPTS[Math.floor(random.next() * PROMPTS.length)]!
      const chat = random.next() < 0.5
      const goesOn = random.next() < 0.5
      const leave = random.next() < 0.1 ? random.next() * 800 : undefined
      const answer = await ask(pathOf(chat), `c${index}-${n}`, bodyOf(prompt, chat), goesOn ? { 'x-continue': '1' } : {}, leave)
      seen.push(answer)
      if (goesOn && answer.ending === 'told') brokenOff++
      if (answer.ending !== 'complete') continue
      if (goesOn) continued++
      if (answer.text !== undisturbed.get(`${chat} ${prompt}`)) differing++
    }
  }

  const injected = new Map<string, number>()
  const breaker = setInterval(() => {
    const nowMs = io.clock.now()
    const whole = backends.filter(({ brokenUntilMs }) => brokenUntilMs < nowMs)
    if (whole.length <= backends.length - MOST_BROKEN) return
    const backend = whole[Math.floor(random.next() * whole.length)]!
    const names = Object.keys(FAULTS)
    const name = names[Math.floor(random.next() * names.length)]!
    const forMs = 800 + 1200 * random.next()
    // Time to come back, and to be found again, is part of being broken.
    backend.brokenUntilMs = nowMs + forMs + 2000
    injected.set(name, (injected.get(name) ?? 0) + 1)
    void FAULTS[name]!(backend, forMs)
  }, 1000)

  const memory: number[] = []
  const sampler = setInterval(() => { memory.push(process.memoryUsage().rss / 2 ** 20) }, 1000)
  await Promise.all(Array.from({ length: streams }, (_, index) => client(index)))
  clearInterval(breaker)
  clearInterval(sampler)

  const metrics = await (await fetch(`${gateway.adminUrl}/metrics`)).text()
  const sumOf = (name: string) => [...metrics.matchAll(new RegExp(`^${name}(?:\\{[^}]*\\})? (\\S+)$`, 'gm'))].reduce((sum, [, value]) => sum + Number(value), 0)
  const held = sumOf('sluice_backend_inflight_requests') + sumOf('sluice_queue_depth')
  await gateway.stop()
  for (const backend of backends) backend.kill()

  type Line = Pick<RequestRecord, 'outcome' | 'code' | 'detail' | 'timeline'>
  const lines = (await readFile(requestFile, 'utf8')).trim().split('\n').map(line => JSON.parse(line) as Line)
  await rm(folder, { recursive: true })
  const outcomes = new Map<string, number>()
  for (const { timeline: { id } } of lines) outcomes.set(id, (outcomes.get(id) ?? 0) + 1)
  const endings = new Map<Ending, number>()
  for (const { ending } of seen) endings.set(ending, (endings.get(ending) ?? 0) + 1)

  /** An attempt failed before a token had gone out. */
  const retried = lines.filter(({ timeline, outcome }) => outcome !== 'cancelled' && (timeline.attempts > 1 || (outcome === 'failed' && timeline.firstTokenAtMs === undefined)))
  const lost = retried.filter(({ outcome, timeline }) => outcome === 'failed' && timeline.firstTokenAtMs === undefined)
  const savedRatio = retried.length === 0 ? 1 : 1 - lost.length / retried.length
  const twice = [...outcomes.values()].filter(count => count !== 1).length
  // A client that left before its request had been read is no request.
  const without = seen.filter(({ id, ending }) => ending !== 'left' && !outcomes.has(id)).length

  const checks = ([
    ['nothing is held afterwards', held === 0, held],
    ['no stream ended silently truncated', (endings.get('truncated') ?? 0) === 0, endings.get('truncated') ?? 0],
    ['exactly one outcome per request', twice === 0 && without === 0, `${twice} twice, ${without} without`],
    ['requests without a token succeed elsewhere, at least 99.9 %', savedRatio >= 0.999, `${(100 * savedRatio).toFixed(3)} % of ${retried.length}`],
    ['no whole answer differs from the undisturbed one', differing === 0, `${differing} of ${endings.get('complete') ?? 0}`],
    ['faults were injected', injected.size > 0, [...injected].map(([name, count]) => `${name} ${count}`).join(', ')],
  ] as const).map(([what, holds, figure]) => ({ what, holds, figure: String(figure) }))
  const third = Math.max(1, Math.floor(memory.length / 3))
  const mean = (list: number[]) => list.reduce((sum, value) => sum + value, 0) / Math.max(1, list.length)
  return {
    requests: seen.length, endings, continued, brokenOff, checks,
    memoryMiB: [mean(memory.slice(third, 2 * third)), mean(memory.slice(-third))],
    losses: lost.map(({ code, detail }) => `${code} ${detail}`),
  }
}
