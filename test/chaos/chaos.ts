// A whole gateway before four servers, all in processes of their own, of which one breaks every second, and what became of all requests.
import type { Clock } from '../../src/core/index.js'
import { createRandom } from '../../src/core/index.js'
import type { FaultPlan } from '../../src/emulator/index.js'
import { Backend, MODEL } from './backend.js'
import { ask, leaveNothing, type Ending, type Seen } from './client.js'
import { Gateway, type Line } from './gateway.js'
import { growthOf, type Growth, type Sample } from './growth.js'

/** A server that has just been mended may take this long to be found whole: a check, and a breaker's pause. */
const FOUND_WHOLE_MS = 1000
const PROMPTS = Array.from({ length: 20 }, (_, i) => `Tell me story number ${i} of the sea.`)
const OUTPUT_TOKENS = 60
/** Of the servers: streams last about two seconds, and two cores carry 200 of them with ease. */
const SPEED = 0.5
/** Share of requests whose prompt nobody has asked before: caches and indices fill as they do in life. */
const NEW_PROMPTS = 0.2
const NEW_PROMPT_BYTES = 1500
/** Growth is judged where a run is long enough to tell it from noise. */
const JUDGED_FROM_SECONDS = 300
const MOST_GROWTH_MIB_PER_MINUTE = 1

const FAULTS: Readonly<Record<string, (backend: Backend, forMs: number) => Promise<void>>> = {
  kill: async (backend, forMs) => {
    backend.kill()
    await after(forMs)
    await backend.up()
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
const mib = (bytes: number) => (bytes / 2 ** 20).toFixed(1)
const after = (ms: number) => new Promise(resolve => setTimeout(resolve, ms))
const during = async (backend: Backend, forMs: number, plan: FaultPlan) => {
  await backend.faults(plan)
  await after(forMs)
  await backend.faults({})
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
  /** Of what is judged by a share, the share. A machine that stands still for seconds costs some of it. */
  readonly share?: number
}

export interface ChaosReport {
  readonly requests: number
  readonly endings: ReadonlyMap<Ending, number>
  /** Memory of the gateway's process. */
  readonly growth: Growth
  readonly checks: readonly Check[]
  /** How requests were lost, or broken off, that should not have been. */
  readonly losses: readonly string[]
  /** The same, of those that no whole server was left for. */
  readonly excused: readonly string[]
  /** What was broken, and what the gateway thought of its backends, in order. */
  readonly story: readonly string[]
}

export async function chaos({ seconds, streams, seed }: ChaosOptions, clock: Clock): Promise<ChaosReport> {
  const random = createRandom(`chaos ${seed}`)
  const backends = await Promise.all(Array.from({ length: 4 }, () => Backend.start(SPEED)))
  const gateway = await Gateway.start({
    pools: { main: { backends: backends.map(({ url }, i) => ({ url, name: `b${i}`, engine: 'vllm' })) } },
    routes: [{ match: { header: { 'x-continue': '1' } }, class: 'default', continuation: true, name: 'continued' }],
    timeouts: { connect: '2s', first_token: '3s', idle: '2s' },
    retries: { max_attempts: 10, min_per_second: 100, budget_ratio: 1 },
    limits: { event_loop_lag: '0s' },
    health: { interval: '250ms', timeout: '3s' }, breaker: { open: '500ms' },
  })

  const bodyOf = (prompt: string, chat: boolean) => ({ model: MODEL, stream: true, max_tokens: OUTPUT_TOKENS, ignore_eos: true, temperature: 0, ...(chat ? { messages: [{ role: 'user', content: prompt }] } : { prompt }) })
  const pathOf = (chat: boolean) => `${gateway.dataUrl}${chat ? '/v1/chat/completions' : '/v1/completions'}`

  // What each answer is when nothing breaks.
  const undisturbed = new Map<string, string>()
  await Promise.all(PROMPTS.flatMap(prompt => [true, false].map(async chat => {
    undisturbed.set(`${chat} ${prompt}`, (await ask(pathOf(chat), `reference ${chat} ${PROMPTS.indexOf(prompt)}`, bodyOf(prompt, chat), {}, undefined)).text)
  })))

  const startedAtMs = Date.now()
  const endsAtMs = clock.now() + 1000 * seconds
  const seen: Seen[] = []
  let continued = 0
  let compared = 0
  let differing = 0
  const client = async (index: number) => {
    for (let n = 0; clock.now() < endsAtMs; n++) {
      const id = `c${index}-${n}`
      const known = random.next() >= NEW_PROMPTS
      const prompt = known ? PROMPTS[Math.floor(random.next() * PROMPTS.length)]! : `${id} `.padEnd(NEW_PROMPT_BYTES, `${random.next()} `)
      const chat = random.next() < 0.5
      const goesOn = random.next() < 0.5
      const leave = random.next() < 0.1 ? random.next() * 800 : undefined
      const answer = await ask(pathOf(chat), id, bodyOf(prompt, chat), goesOn ? { 'x-continue': '1' } : {}, leave)
      seen.push(answer)
      if (answer.ending !== 'complete') continue
      if (goesOn) continued++
      if (known && ++compared > 0 && answer.text !== undisturbed.get(`${chat} ${prompt}`)) differing++
    }
  }

  const injected = new Map<string, number>()
  const story: [atMs: number, what: string][] = []
  const inject = async () => {
    const whole = backends.filter(backend => backend.wasWhole(Date.now(), FOUND_WHOLE_MS))
    // One is left whole at all times; a server that is broken already can break anew.
    const mayBreak = whole.length > 1 ? whole : backends.filter(backend => backend !== whole[0])
    const backend = mayBreak[Math.floor(random.next() * mayBreak.length)]!
    const names = Object.keys(FAULTS)
    const name = names[Math.floor(random.next() * names.length)]!
    injected.set(name, (injected.get(name) ?? 0) + 1)
    backend.breaks()
    story.push([Date.now(), `b${backends.indexOf(backend)}: ${name}`])
    await FAULTS[name]!(backend, 300 + 600 * random.next())
    backend.mended()
    story.push([Date.now(), `b${backends.indexOf(backend)}: ${name} is over`])
  }
  const breaker = setInterval(() => { void inject() }, 1000)

  const samples: (Sample & { readonly wallMs: number })[] = []
  let asked = false
  const sampler = setInterval(() => {
    if (asked) return
    asked = true
    void gateway.memory().then(memory => {
      asked = false
      samples.push({ atMs: clock.now(), wallMs: Date.now(), ...memory })
    })
  }, 1000 * Math.max(2, seconds / 120))
  await Promise.all(Array.from({ length: streams }, (_, index) => client(index)))
  clearInterval(breaker)
  clearInterval(sampler)
  leaveNothing()

  const held = await gateway.held()
  const lines = await gateway.stop()
  for (const backend of backends) backend.end()

  for (const { time, backend, state, why } of gateway.changes()) story.push([new Date(time).getTime(), `${backend} is ${state} for the gateway: ${why}`])
  for (const { wallMs, rss, heapUsed, external } of samples) story.push([wallMs, `memory: ${mib(rss)} MiB resident, ${mib(heapUsed)} heap, ${mib(external)} outside`])
  const secondsIn = (atMs: number) => `after ${((atMs - startedAtMs) / 1000).toFixed(1)} s`

  const outcomes = new Map<string, number>()
  for (const { timeline: { id } } of lines) outcomes.set(id, (outcomes.get(id) ?? 0) + 1)
  const endings = new Map<Ending, number>()
  for (const { ending } of seen) endings.set(ending, (endings.get(ending) ?? 0) + 1)

  /** A request came to an end although a server was whole: whether it had been there before is no excuse. */
  const couldGoOn = ({ wallTimeMs, timeline }: Line) => {
    const endedAtMs = wallTimeMs + timeline.endedAtMs! - timeline.receivedAtMs
    return backends.some(backend => backend.wasWhole(endedAtMs, FOUND_WHOLE_MS))
  }
  const tokenless = ({ outcome, code, timeline }: Line) => timeline.firstTokenAtMs === undefined && (outcome === 'failed' || code === 'no_healthy_backend')
  const troubled = lines.filter(line => line.outcome !== 'cancelled' && (line.timeline.attempts > 1 || tokenless(line)))
  const ended = troubled.filter(tokenless)
  const lost = ended.filter(couldGoOn)
  const savedRatio = 1 - lost.length / Math.max(1, troubled.length)
  const twice = [...outcomes.values()].filter(count => count !== 1).length
  // A client that left before its request had been read is no request.
  const without = seen.filter(({ id, ending }) => ending !== 'left' && !outcomes.has(id)).length

  const told = ({ wallTimeMs, timeline, code, detail, attempts = [] }: Line) => {
    const wallMs = (atMs: number) => wallTimeMs + atMs - timeline.receivedAtMs
    return `${secondsIn(wallMs(timeline.endedAtMs!))}: ${code} ${detail} (${attempts.map(({ backend, verdict, endedAtMs }) => `${backend} ${verdict} ${secondsIn(wallMs(endedAtMs))}`).join(', ')})`
  }

  const growth = growthOf(samples)
  const brokenOff = lines.filter(line => line.route === 'continued' && line.outcome === 'failed' && line.timeline.firstTokenAtMs !== undefined)
  const stranded = brokenOff.filter(couldGoOn)
  const grows = Math.max(growth.heapMiBPerMinute, growth.residentMiBPerMinute)
  const checks = ([
    ['nothing is held afterwards', held === 0, held],
    ['no stream ended silently truncated', (endings.get('truncated') ?? 0) === 0, endings.get('truncated') ?? 0],
    ['exactly one outcome per request', twice === 0 && without === 0, `${twice} twice, ${without} without`],
    ['requests without a token succeed elsewhere, at least 99.9 %', savedRatio >= 0.999, `${(100 * savedRatio).toFixed(3)} % of ${troubled.length}; ${ended.length - lost.length} had no whole server left`, savedRatio],
    ['no whole answer differs from the undisturbed one', differing === 0, `${differing} of ${compared}`],
    ['with continuation every answer is whole', stranded.length === 0, `${stranded.length} of ${continued + stranded.length} broken off; ${brokenOff.length - stranded.length} had no whole server left`, 1 - stranded.length / Math.max(1, continued + stranded.length)],
    ...(seconds < JUDGED_FROM_SECONDS ? [] : [['memory is flat', grows <= MOST_GROWTH_MIB_PER_MINUTE, `at most ${MOST_GROWTH_MIB_PER_MINUTE} MiB a minute`] as const]),
    ['faults were injected', injected.size > 0, [...injected].map(([name, count]) => `${name} ${count}`).join(', ')],
  ] as readonly (readonly [string, boolean, string | number, number?])[]).map(([what, holds, figure, share]) => ({ what, holds, figure: String(figure), ...(share !== undefined && { share }) }))
  return {
    requests: seen.length, endings, growth, checks,
    story: story.sort(([a], [b]) => a - b).map(([atMs, what]) => `${secondsIn(atMs)}: ${what}`),
    losses: [...stranded, ...lost].map(told),
    excused: [...brokenOff, ...ended].filter(line => !couldGoOn(line)).map(told),
  }
}
