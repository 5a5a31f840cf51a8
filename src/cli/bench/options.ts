import type { Ms, SloTargets } from '../../core/index.js'
import { APIS, parseTarget, TRUE_LENGTHS, type Load, type RequestStyle, type Target } from '../../bench/index.js'
import type { Workload } from '../../simulator/index.js'
import { UsageError } from '../command.js'
import { choiceFlag, durationFlag, numberFlag, numbersFlag, parseFlags, seedsFlag } from '../flags.js'
import { readWorkload, withArrivals } from '../workload.js'

const FLAGS = {
  'workload': { type: 'string', default: 'chat' },
  'rate': { type: 'string' },
  'duration': { type: 'string', default: '60s' },
  'warmup': { type: 'string', default: '5s' },
  'cooldown': { type: 'string', default: '10s' },
  'timeout': { type: 'string', default: '10m' },
  'cut-lost': { type: 'boolean', default: false },
  'arrivals': { type: 'string' },
  'seeds': { type: 'string', default: '1' },
  'goodput': { type: 'string', multiple: true },
  'api': { type: 'string', default: 'chat' },
  'model': { type: 'string' },
  'api-key': { type: 'string' },
  'header': { type: 'string', multiple: true },
  'class-header': { type: 'string' },
  'true-lengths': { type: 'string', default: 'emulate' },
  'find-goodput': { type: 'boolean', default: false },
  'objective': { type: 'string', default: '0.9' },
  'sweep': { type: 'boolean', default: false },
  'rates': { type: 'string' },
  'concurrency': { type: 'string' },
  'compare': { type: 'boolean', default: false },
  'json': { type: 'boolean', default: false },
  'jsonl': { type: 'string' },
  'html': { type: 'string' },
} as const

/** The command line of `sluice bench`, read and checked. */
export interface BenchOptions {
  readonly servers: readonly Target[]
  readonly workload: Workload
  /** `model` is asked of the server where it was not given. */
  readonly style: RequestStyle
  /** Requests per second where one rate is wanted, and where a search starts. */
  readonly rate: number
  /** Loads of a sweep; empty = no sweep. */
  readonly sweep: readonly Load[]
  readonly find: boolean
  readonly objective: number
  readonly warmupMs: Ms
  readonly measureMs: Ms
  readonly cooldownMs: Ms
  readonly timeoutMs: Ms
  readonly cutLost: boolean
  readonly seeds: readonly number[]
  readonly targets: ReadonlyMap<string, SloTargets>
  readonly json: boolean
  readonly jsonl: string | undefined
  readonly html: string | undefined
}

const SWEEP_SHARES = [0.25, 0.5, 0.75, 1, 1.25, 1.5]
const SWEEP_CONCURRENCY = [1, 4, 16, 32, 64]
const DEFAULT_RATE = 1

/** @throws UsageError */
export async function readBenchOptions(args: string[], env: Readonly<Record<string, string | undefined>>): Promise<BenchOptions> {
  const { values, positionals } = parseFlags(joinTargets(args), FLAGS, { min: 1, max: 16, what: 'address of a server, such as http://127.0.0.1:8080' })
  if (values.compare && positionals.length < 2) throw new UsageError('\'--compare\' takes two or more addresses')
  if (!values.compare && positionals.length > 1) throw new UsageError(`got ${positionals.length} addresses; to measure them side by side add '--compare'`)
  const workload = await workloadOf(values.workload, values.arrivals)
  const rate = values.rate === undefined ? ownRate(workload) ?? DEFAULT_RATE : numberFlag('rate', values.rate, { min: 0.001, max: 1e6 })
  const sweep = sweepOf(values, rate)
  if (values['find-goodput'] && sweep.length > 0) throw new UsageError('\'--find-goodput\' and a sweep are two different questions; ask one at a time')
  return {
    servers: positionals.map(serverOf),
    workload,
    style: {
      api: choiceFlag('api', values.api, APIS),
      model: values.model,
      trueLengths: choiceFlag('true-lengths', values['true-lengths'], TRUE_LENGTHS),
      headers: headersOf(values.header ?? [], values['api-key'] ?? env['OPENAI_API_KEY']),
      classHeader: values['class-header']?.toLowerCase(),
    },
    rate,
    sweep,
    find: values['find-goodput'],
    objective: numberFlag('objective', values.objective, { min: 0.01, max: 0.9999 }),
    warmupMs: durationFlag('warmup', values.warmup),
    measureMs: durationFlag('duration', values.duration),
    cooldownMs: durationFlag('cooldown', values.cooldown),
    timeoutMs: durationFlag('timeout', values.timeout),
    cutLost: values['cut-lost'],
    seeds: seedsFlag('seeds', values.seeds),
    targets: new Map((values.goodput ?? []).flatMap(text => targetsOf(text, workload))),
    json: values.json,
    jsonl: values.jsonl,
    html: values.html,
  }
}

/** `--goodput ttft:500 tpot:50`, as `vllm bench serve` has it: what stands apart belongs to the target before. */
function joinTargets(args: readonly string[]): string[] {
  const joined: string[] = []
  for (const arg of args) {
    if (joined.at(-2) === '--goodput' && /^(?:ttft|tpot|e2el):/.test(arg)) joined.push(`${joined.pop()},${arg}`)
    else joined.push(arg)
  }
  return joined
}

async function workloadOf(name: string, arrivals: string | undefined): Promise<Workload> {
  const { workload } = await readWorkload(name)
  return arrivals === undefined ? workload : withArrivals(workload, arrivals)
}

/** A trace's mean rate as it was recorded. */
function ownRate(workload: Workload): number | undefined {
  if (workload.kind !== 'trace') return undefined
  const { rows } = workload.trace
  const spanMs = rows.at(-1)!.arrivalMs
  return spanMs > 0 ? (rows.length - 1) / spanMs * 1000 : undefined
}

function serverOf(text: string): Target {
  try {
    return parseTarget(text)
  } catch (error) {
    throw new UsageError((error as Error).message)
  }
}

function sweepOf(values: { readonly sweep: boolean, readonly rates?: string, readonly concurrency?: string }, rate: number): Load[] {
  const rates = values.rates !== undefined
    ? numbersFlag('rates', values.rates, { min: 0.001, max: 1e6 })
    : values.sweep ? SWEEP_SHARES.map(part => part * rate) : []
  const concurrencies = values.concurrency !== undefined
    ? numbersFlag('concurrency', values.concurrency, { min: 1, max: 100_000, integer: true })
    : values.sweep ? SWEEP_CONCURRENCY : []
  const rising = (numbers: readonly number[]) => [...numbers].sort((a, b) => a - b)
  return [
    ...rising(rates).map((ratePerSecond): Load => ({ kind: 'open', ratePerSecond })),
    ...rising(concurrencies).map((concurrency): Load => ({ kind: 'closed', concurrency })),
  ]
}

function headersOf(given: readonly string[], apiKey: string | undefined): Record<string, string> {
  const headers: Record<string, string> = apiKey === undefined ? {} : { authorization: `Bearer ${apiKey}` }
  for (const text of given) {
    const [, name, value] = /^([\w!#$%&'*+.^`|~-]+)\s*:\s*([^\r\n]*)$/.exec(text) ?? []
    if (name === undefined || value === undefined) throw new UsageError(`'--header' takes NAME: VALUE, got '${text}'`)
    headers[name.toLowerCase()] = value
  }
  return headers
}

const TARGET_NAMES = { ttft: 'ttftMs', tpot: 'tpotMs', e2el: 'deadlineMs' } as const

/** `ttft:500,tpot:50` for every class, `chat=ttft:500` for one; milliseconds. `*` = every class. */
function targetsOf(text: string, workload: Workload): [string, SloTargets][] {
  const [, name, list] = /^(?:([^=]+)=)?([^=]+)$/.exec(text.trim()) ?? []
  const targets: { -readonly [K in keyof SloTargets]: SloTargets[K] } = {}
  for (const part of (list ?? '').split(/[\s,]+/)) {
    const [key = '', value = ''] = part.split(':')
    if (!Object.hasOwn(TARGET_NAMES, key) || !(Number(value) > 0)) throw new UsageError(`'--goodput' takes targets in milliseconds, such as ttft:500,tpot:50 or chat=ttft:500,e2el:20000, got '${text}'`)
    targets[TARGET_NAMES[key as keyof typeof TARGET_NAMES]] = Number(value)
  }
  const classes = workload.classes.map(({ service }) => service.name)
  if (name !== undefined && !classes.includes(name)) throw new UsageError(`'--goodput': the workload has no class '${name}'; its classes are ${classes.join(', ')}`)
  return [[name ?? '*', targets]]
}
