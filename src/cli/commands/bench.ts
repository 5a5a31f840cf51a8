import { createWriteStream, type WriteStream } from 'node:fs'
import { writeFile } from 'node:fs/promises'
import { finished } from 'node:stream/promises'
import { benchHtml, benchJson, benchTable, Campaign, CampaignAborted, loadsOf, runLines, type BenchResult, type LoadSummary, type RequestRow, type Target } from '../../bench/index.js'
import { readBenchOptions, type BenchOptions } from '../bench/options.js'
import { benchProgress } from '../bench/progress.js'
import { Failure } from '../command.js'
import type { Io } from '../process.js'

export const name = 'bench'
export const summary = 'offer load to a server or gateway, and measure its goodput'
export const help = `Usage: sluice bench URL [flags]

Offers load to anything that speaks the OpenAI protocol or TGI's, and measures at the client what share of the requests met their
targets. Requests are sent at the times that the workload says, whether the server keeps up or not, and every latency counts from the
time at which the request was to be sent. Rejected and failed requests count as missed.

What is sent
  --workload W           chat (default), chat+code, mix, multi-turn, a scenario file (.yaml, .json),
                         or a trace: azure:FILE, mooncake:FILE, log:FILE (a request log of the gateway)
  --rate R               requests per second (default 1; a trace's own rate, else its times are scaled)
  --arrivals A           poisson, constant, gamma:CV, on-off:RATIO:ON_SECONDS:OFF_SECONDS
  --duration D           time measured per run (default 60s), after --warmup D (default 5s)
  --cooldown D           arrivals go on so long while measured requests run (default 10s)
  --seeds S              number of seeds (3 = 1 to 3), a range (11-15) or a list (4,7,9); default 1
  --api A                chat (default), completions, tgi
  --model M              default: the first that the server lists
  --true-lengths T       how answers get the workload's lengths: emulate (default; a body member that emulated servers obey, beside a
                         larger max_tokens), ignore-eos (for real servers: max_tokens and ignore_eos), max-tokens (answers may end sooner)
  --class-header NAME    tell each request's class in this header, such as x-slo-class
  --header 'NAME: VALUE' repeatable;  --api-key KEY (default: the environment's OPENAI_API_KEY)

What is asked
  --goodput TARGETS      ttft:MS,tpot:MS,e2el:MS for every class, CLASS=ttft:MS,... for one; repeatable; default: the workload's own
  --find-goodput         the highest rate at which every class attains --objective (default 0.9); the search starts at --rate
  --sweep                the curve of latency over throughput with its knee: 0.25 to 1.5 times --rate, and 1, 4, 16, 32, 64 requests at
                         once; or --rates LIST, --concurrency LIST
  --compare              several URLs, run by run in turn, so that drift of the machine hits all alike

  --timeout D            a request that takes longer is given up (default 10m)
  --cut-lost             end a run when every measured request has ended or has missed its TTFT or deadline

What comes out
  --json                 for programs, on stdout
  --jsonl FILE           one line per measured request
  --html FILE            a page with charts
  -h, --help             this page

Examples
  sluice bench http://127.0.0.1:8080 --rate 5 --goodput ttft:500,tpot:50
  sluice bench http://127.0.0.1:8080 --workload mix --class-header x-slo-class --find-goodput --rate 4
  sluice bench --compare http://127.0.0.1:8080 http://127.0.0.1:8000 --rate 5 --seeds 3
`

export const run = async (args: string[], io: Io): Promise<number> => {
  const given = await readBenchOptions(args, io.env)
  const options = given.style.model !== undefined || given.style.api === 'tgi'
    ? given
    : { ...given, style: { ...given.style, model: await firstModel(given.servers[0]!, given.style.headers) } }
  const abort = new AbortController()
  const off = io.onSignal('SIGINT', () => { abort.abort() })
  const progress = benchProgress(io)
  const lines = options.jsonl === undefined ? undefined : createWriteStream(options.jsonl)
  const failures = new Failures()
  const campaign = new Campaign({
    ...options,
    clock: io.clock,
    campaignId: `bench-${io.newId().slice(0, 8)}`,
    signal: abort.signal,
    onStart: progress.start,
    onProgress: progress.show,
    onRun: (result, number) => {
      failures.add(result.rows)
      lines?.write(runLines(result, number))
    },
  })
  try {
    const result = await measure(campaign, options)
    progress.clear()
    if (options.html !== undefined) await writeFile(options.html, benchHtml(result, ['sluice bench', ...args].join(' ')))
    io.out(options.json ? `${JSON.stringify(benchJson(result))}\n` : benchTable(result))
    failures.tell(io)
    return loadsOf(result).some(load => load.completed > 0) ? 0 : 1
  } catch (error) {
    if (error instanceof CampaignAborted) throw new Failure('interrupted before there was a result')
    throw error
  } finally {
    off()
    await closed(lines)
  }
}

async function measure(campaign: Campaign, { servers, sweep, find, rate, objective }: BenchOptions): Promise<BenchResult> {
  if (find) return { kind: 'maximum', maxima: await Promise.all(servers.map(async server => await campaign.findGoodput(server, rate, objective))) }
  if (sweep.length === 0) return { kind: 'loads', loads: await campaign.measure({ kind: 'open', ratePerSecond: rate }) }
  const perLoad: LoadSummary[][] = []
  for (const load of sweep) perLoad.push(await campaign.measure(load))
  return { kind: 'sweep', sweeps: servers.map((server, i) => ({ target: server.label, loads: perLoad.flatMap(loads => loads[i] ?? []) })) }
}

/** @throws Failure that says what was tried */
async function firstModel(server: Target, headers: Readonly<Record<string, string>>): Promise<string> {
  const address = `${server.tls ? 'https' : 'http'}://${server.host.includes(':') ? `[${server.host}]` : server.host}:${server.port}${server.basePath}/v1/models`
  let why: string
  try {
    const answer = await fetch(address, { headers, signal: AbortSignal.timeout(10_000) })
    const id = answer.ok ? (await answer.json() as { data?: { id?: unknown }[] }).data?.[0]?.id : undefined
    if (typeof id === 'string') return id
    why = answer.ok ? 'it lists none' : `status ${answer.status}`
  } catch (error) {
    const { message, cause } = error as Error
    why = cause instanceof Error ? cause.message : message
  }
  throw new Failure(`${address} does not tell a model (${why}); is the server up? Name the model with --model`)
}

/** Counts why requests failed, so that a run that went wrong says why. */
class Failures {
  readonly #reasons = new Map<string, number>()

  add(rows: readonly RequestRow[]): void {
    for (const { ending, reason } of rows) {
      if (ending === 'failed') this.#reasons.set(reason ?? 'no reason given', (this.#reasons.get(reason ?? 'no reason given') ?? 0) + 1)
    }
  }

  tell(io: Io): void {
    for (const [reason, times] of [...this.#reasons].sort((a, b) => b[1] - a[1]).slice(0, 3)) io.err(`${times} failed: ${reason}\n`)
  }
}

async function closed(stream: WriteStream | undefined): Promise<void> {
  if (stream === undefined) return
  stream.end()
  await finished(stream)
}
