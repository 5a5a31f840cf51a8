import { ById, Histogram, type Clock, type Ms, type ServiceClass, type SloTargets } from '../core/index.js'
import { blockTokensOf, openWorkload, type RequestSource, type Workload } from '../simulator/index.js'
import { PunctualAlarm } from './alarm.js'
import { Exchange } from './exchange.js'
import { Connections } from './http/connections.js'
import { PromptWriter } from './prompts.js'
import { RequestWriter } from './request-bytes.js'
import { ThroughputMeter, type Throughput } from './throughput.js'
import type { PlannedRequest, RequestRow, RequestStyle, Target } from './types.js'

/**
 * How requests come. Open: at the times that the workload says, whatever becomes of the others. Closed: `concurrency` clients, each with one
 * request after the other; for the latency of a given concurrency, not for goodput.
 */
export type Load =
  | { readonly kind: 'open', readonly ratePerSecond: number }
  | { readonly kind: 'closed', readonly concurrency: number }

export interface LoadRunOptions {
  readonly target: Target
  readonly style: RequestStyle
  readonly workload: Workload
  readonly load: Load
  readonly seed: number
  /** Not measured: caches fill, gateways learn. */
  readonly warmupMs: Ms
  readonly measureMs: Ms
  /** Requests go on arriving for at most so long, until every measured one has ended. */
  readonly cooldownMs: Ms
  /** A request that takes longer is given up. */
  readonly timeoutMs: Ms
  /** End as soon as every measured request has ended or has lost its target for good; those are then given up. */
  readonly cutLost: boolean
  /** In place of the workload's own, by class; `*` = every class. */
  readonly targets: ReadonlyMap<string, SloTargets>
  readonly clock: Clock
  /** Makes request ids unlike those of other runs. */
  readonly runId: string
  /** Called about once a second. */
  readonly onProgress?: (progress: LoadProgress) => void
  readonly signal?: AbortSignal
}

export interface LoadProgress {
  readonly elapsedMs: Ms
  readonly totalMs: Ms
  readonly sent: number
  readonly active: number
  readonly met: number
  readonly counted: number
}

/** What one run measured. */
export interface LoadRunResult {
  readonly target: string
  readonly workload: string
  readonly load: Load
  readonly seed: number
  readonly measureMs: Ms
  readonly classes: readonly { readonly name: string, readonly targets: SloTargets }[]
  /** Requests that were scheduled within the measured time, in the order of their schedule. */
  readonly rows: readonly RequestRow[]
  /** Gaps between token events, by class. */
  readonly intervals: ReadonlyMap<string, Histogram>
  /** Sent − scheduled: what the load tool itself was late, which counts as latency. */
  readonly sendLag: Histogram
  readonly throughput: Throughput
}

interface Planned {
  readonly request: PlannedRequest
  readonly atMs: Ms
  readonly id: string
  readonly bytes: Buffer
}

const LEAD_MS = 20
const TICK_MS = 200
/** A rate for workloads whose times do not matter. */
const CLOSED_RATE = 1

/** Offers one load to one target, and measures it. */
export async function runLoad(options: LoadRunOptions): Promise<LoadRunResult> {
  return await new LoadRun(options).run()
}

class LoadRun {
  readonly #options: LoadRunOptions
  readonly #classes: readonly { readonly service: ServiceClass, readonly targets: SloTargets }[]
  readonly #source: RequestSource
  readonly #writer: RequestWriter
  readonly #connections: Connections
  readonly #alarm: PunctualAlarm
  readonly #intervals: ReadonlyMap<string, Histogram>
  readonly #sendLag = new Histogram()
  readonly #active = new ById<Exchange>()
  /** By the order of sending; empty where a measured request has not ended. */
  readonly #rows: RequestRow[] = []
  #measured = 0
  #counted = 0
  #met = 0
  readonly #throughput: ThroughputMeter
  readonly #startMs: Ms
  readonly #now: () => Ms
  #next: Planned | undefined
  #count = 0
  #sent = 0
  #stopped = false
  #done: () => void = () => {}

  constructor(options: LoadRunOptions) {
    const { workload, load, seed, target, style, clock, targets } = options
    this.#options = options
    this.#now = () => clock.now()
    this.#classes = workload.classes.map(({ service }) => ({ service, targets: targets.get(service.name) ?? targets.get('*') ?? service.targets }))
    this.#source = openWorkload(workload, load.kind === 'open' ? load.ratePerSecond : CLOSED_RATE, seed)
    this.#writer = new RequestWriter(target, style, new PromptWriter(blockTokensOf(workload), options.runId), seed)
    this.#connections = new Connections(target)
    this.#alarm = new PunctualAlarm(clock)
    this.#intervals = new Map(this.#classes.map(({ service }) => [service.name, new Histogram()]))
    this.#startMs = clock.now() + LEAD_MS
    this.#throughput = new ThroughputMeter(this.#startMs + options.warmupMs, options.measureMs)
  }

  async run(): Promise<LoadRunResult> {
    const { load, signal } = this.#options
    const ticker = setInterval(() => { this.#tick() }, TICK_MS)
    const abort = () => { this.#done() }
    signal?.addEventListener('abort', abort)
    await new Promise<void>(resolve => {
      this.#done = resolve
      if (load.kind === 'open') this.#prepare()
      else for (let i = 0; i < load.concurrency; i++) this.#sendNow()
    })
    this.#stopped = true
    signal?.removeEventListener('abort', abort)
    clearInterval(ticker)
    this.#alarm.cancel()
    for (const exchange of this.#active.values()) exchange.cancel('the run is over')
    this.#connections.close()
    return this.#result()
  }

  #plan(): Planned {
    const { arrivalMs, classIndex, promptTokens, outputTokens, prefixBlocks } = this.#source.next()
    const { service, targets } = this.#classes[classIndex]!
    const index = this.#count++
    const request = { index, class: service, targets, promptTokens, outputTokens, prefixBlocks }
    const id = `${this.#options.runId}-${index}`
    return { request, atMs: this.#startMs + arrivalMs, id, bytes: this.#writer.write(request, id) }
  }

  /** The next request is written, and a connection opened for it, before it is due: neither costs any of its time. */
  #prepare(): void {
    const next = this.#plan()
    if (next.atMs - this.#startMs >= this.#endOfArrivalsMs) return
    this.#connections.open()
    this.#next = next
    this.#alarm.set(next.atMs, this.#due)
  }

  readonly #due = (): void => {
    const { request, atMs, id, bytes } = this.#next!
    this.#next = undefined
    this.#send(request, atMs, id, bytes)
    if (!this.#stopped) this.#prepare()
  }

  get #endOfArrivalsMs(): Ms {
    const { warmupMs, measureMs, cooldownMs } = this.#options
    return warmupMs + measureMs + cooldownMs
  }

  #sendNow(): void {
    const { request, id, bytes } = this.#plan()
    this.#send(request, this.#now(), id, bytes)
  }

  #send(request: PlannedRequest, atMs: Ms, id: string, bytes: Buffer): void {
    const { style, warmupMs, measureMs } = this.#options
    const sinceStart = atMs - this.#startMs
    const measured = sinceStart >= warmupMs && sinceStart < warmupMs + measureMs
    const place = measured ? this.#measured++ : undefined
    const exchange = new Exchange(id, request, atMs, style.api, place, this.#now, measured ? this.#intervals.get(request.class.name) : undefined, this.#ended)
    this.#active.set(id, exchange)
    this.#sent++
    exchange.dispatchedAtMs = this.#now()
    if (measured) {
      this.#sendLag.record(Math.max(0, exchange.dispatchedAtMs - atMs))
      this.#throughput.sent(this.#active.size)
    }
    exchange.inFlight = this.#connections.send(bytes, exchange)
  }

  readonly #ended = (exchange: Exchange): void => {
    const { place } = exchange
    this.#active.delete(exchange.id)
    this.#throughput.ended(exchange)
    if (place !== undefined) {
      const row = exchange.row(this.#startMs)
      this.#rows[place] = row
      if (row.counted) this.#counted++
      if (row.outcome === 'met') this.#met++
    }
    const { load, warmupMs, measureMs } = this.#options
    if (this.#stopped || load.kind === 'open') return
    // A turn later, so that a target that fails at once does not keep the event loop.
    if (this.#now() - this.#startMs < warmupMs + measureMs) setImmediate(() => { if (!this.#stopped) this.#sendNow() })
  }

  #tick(): void {
    const { warmupMs, measureMs, timeoutMs, onProgress } = this.#options
    const nowMs = this.#now()
    for (const exchange of this.#active.values()) {
      if (nowMs - exchange.receivedAtMs > timeoutMs) exchange.cancel(`not complete after ${timeoutMs} ms`)
    }
    const elapsedMs = nowMs - this.#startMs
    if (onProgress !== undefined) onProgress(this.#progress(elapsedMs))
    if (elapsedMs >= warmupMs + measureMs && !this.#anyOpen(nowMs)) this.#done()
  }

  #anyOpen(nowMs: Ms): boolean {
    const { cutLost } = this.#options
    for (const exchange of this.#active.values()) {
      if (exchange.measured && (!cutLost || exchange.isUndecided(nowMs))) return true
    }
    return false
  }

  #progress(elapsedMs: Ms): LoadProgress {
    const { warmupMs, measureMs } = this.#options
    return { elapsedMs, totalMs: warmupMs + measureMs, sent: this.#sent, active: this.#active.size, met: this.#met, counted: this.#counted }
  }

  #result(): LoadRunResult {
    const { target, workload, load, seed, measureMs } = this.#options
    return {
      target: target.label, workload: workload.name, load, seed, measureMs,
      classes: this.#classes.map(({ service, targets }) => ({ name: service.name, targets })),
      rows: this.#rows,
      intervals: this.#intervals,
      sendLag: this.#sendLag,
      throughput: this.#throughput.result(),
    }
  }
}
