import { collectDefaultMetrics, Registry, type Metric } from 'prom-client'
import { tpotMs, ttftMs, e2eMs, queueMs, Histogram, type AttemptVerdict, type BackendId, type ClassName, type Explanation, type Ms, type PoolName } from '../core/index.js'
import { CounterFamily, GaugeFamily, HistogramFamily, type Cell, type HistogramCell } from './family.js'
import type { LabelNames } from './labels.js'
import { METRICS, type MetricDefinition, type MetricName } from './metrics-table.js'
import { Paces, type Pace } from './pace.js'
import { countOpenFilesCheaply, countSocketsRarely } from './process-metrics.js'
import type { RequestRecord } from './record.js'
import type { AdmissionVerdict, IntervalRecorder } from './types.js'

/** The children that one request's end touches, found by one look-up. */
interface RequestCells {
  readonly outcomes: (outcome: string) => Cell
  readonly promptTokens: Cell
  readonly outputTokens: Cell
  readonly goodRequests: Cell
  readonly goodTokens: Cell
  readonly ttft: HistogramCell
  readonly tpot: HistogramCell
  readonly duration: HistogramCell
  readonly queue: HistogramCell
  readonly overhead: HistogramCell
}

/** Counters and distributions, written as requests pass; the registry that holds them all. */
export class Metrics {
  readonly registry = new Registry()
  readonly #labels: LabelNames
  readonly #families = new Map<string, CounterFamily | GaugeFamily | HistogramFamily>()
  readonly #requestCells = new Map<string, RequestCells>()
  readonly #intervals = new Map<ClassName, Histogram>()
  readonly #recorders = new Map<string, IntervalRecorder>()
  readonly #paces = new Paces()

  constructor(labels: LabelNames, now: () => Ms) {
    this.#labels = labels
    for (const definition of METRICS) {
      const family = familyOf(definition)
      this.#families.set(definition.name, family)
      // The registry asks no more of a metric than a name and `get`; its type names prom-client's own classes.
      this.registry.registerMetric(family as unknown as Metric)
    }
    collectDefaultMetrics({ register: this.registry })
    countOpenFilesCheaply(this.registry)
    countSocketsRarely(this.registry, now)
  }

  counter(name: MetricName): CounterFamily { return this.#families.get(name) as CounterFamily }
  gauge(name: MetricName): GaugeFamily { return this.#families.get(name) as GaugeFamily }
  histogram(name: MetricName): HistogramFamily { return this.#families.get(name) as HistogramFamily }

  offered(route: string, className: ClassName, model: string | undefined): void {
    const labels = this.#labels
    this.counter('sluice_offered_requests_total').child(labels.route(route), labels.className(className), labels.model(model)).add(1)
  }

  admission(className: ClassName, verdict: AdmissionVerdict, reason: string): void {
    this.counter('sluice_admission_total').child(this.#labels.className(className), verdict, reason).add(1)
  }

  attempt(backend: BackendId, result: AttemptVerdict): void {
    this.counter('sluice_backend_attempts_total').child(backend, result).add(1)
  }

  intervals(className: ClassName, pool: PoolName, backend: BackendId): IntervalRecorder {
    const c = this.#labels.className(className), p = this.#labels.pool(pool)
    const key = `${c}\0${p}\0${backend}`
    let recorder = this.#recorders.get(key)
    if (recorder === undefined) {
      const cell = this.histogram('sluice_inter_token_latency_seconds').child(c, p)
      let all = this.#intervals.get(c)
      if (all === undefined) this.#intervals.set(c, all = new Histogram())
      const distribution = all
      const pace = this.#paces.of(backend, c)
      recorder = {
        record: (gapMs) => {
          cell.record(gapMs)
          distribution.record(gapMs)
          pace.gaps++
          pace.gapMs += gapMs
        },
      }
      this.#recorders.set(key, recorder)
    }
    return recorder
  }

  intervalsOf(className: ClassName): Histogram | undefined {
    return this.#intervals.get(className)
  }

  firstToken(backend: BackendId, className: ClassName, upstreamMs: Ms, ttftMs: Ms, explanation: Explanation | undefined): void {
    this.#paces.firstToken(backend, this.#labels.className(className), upstreamMs, ttftMs, explanation)
  }

  paces(): readonly Pace[] {
    return this.#paces.list()
  }

  finished(record: RequestRecord): void {
    const { timeline, outcome, explanation } = record
    const cells = this.#cellsOf(record)
    cells.outcomes(outcome).add(1)
    this.#tenant(record)
    measure(cells.ttft, ttftMs(timeline))
    measure(cells.tpot, tpotMs(timeline))
    measure(cells.queue, queueMs(timeline))
    measure(cells.overhead, record.gatewayOverheadMs)
    if (timeline.ending === 'completed') measure(cells.duration, e2eMs(timeline))
    cells.promptTokens.add(timeline.promptTokens ?? 0)
    cells.outputTokens.add(timeline.outputTokens ?? 0)
    if (outcome === 'met') {
      cells.goodRequests.add(1)
      cells.goodTokens.add(timeline.outputTokens ?? 0)
    }
    if (explanation === undefined) return
    const className = this.#labels.className(record.class)
    measure(this.histogram('sluice_predicted_ttft_seconds').child(className), explanation.predictedTtftMs)
    this.#predicted('ttft', explanation.predictedTtftMs, ttftMs(timeline))
    this.#predicted('tpot', explanation.predictedTpotMs, tpotMs(timeline))
    const infeasible = explanation.probe === true || explanation.wouldReject === true
    if (!infeasible || outcome === 'rejected' || outcome === 'expired' || outcome === 'cancelled') return
    const wouldHaveMet = this.counter('sluice_rejections_would_have_met_total').child(className)
    this.counter('sluice_rejections_probed_total').child(className).add(1)
    if (outcome === 'met') wouldHaveMet.add(1)
  }

  #tenant({ tenant, outcome, timeline }: RequestRecord): void {
    const name = this.#labels.tenant(tenant)
    this.counter('sluice_tenant_requests_total').child(name, outcome).add(1)
    this.counter('sluice_tenant_tokens_total').child(name, 'prompt').add(timeline.promptTokens ?? 0)
    this.counter('sluice_tenant_tokens_total').child(name, 'output').add(timeline.outputTokens ?? 0)
  }

  #predicted(target: 'ttft' | 'tpot', predicted: number | undefined, actual: number | undefined): void {
    if (predicted === undefined || actual === undefined || !(predicted > 0)) return
    this.histogram('sluice_prediction_ratio').child(target).record(actual / predicted)
  }

  #cellsOf(record: RequestRecord): RequestCells {
    const route = this.#labels.route(record.route)
    const className = this.#labels.className(record.class)
    const pool = this.#labels.pool(record.timeline.pool)
    const model = this.#labels.model(record.model)
    const key = `${route}\0${className}\0${pool}\0${model}`
    let cells = this.#requestCells.get(key)
    if (cells === undefined) {
      const requests = this.counter('sluice_requests_total')
      cells = {
        outcomes: (outcome) => requests.child(route, className, pool, model, outcome),
        promptTokens: this.counter('sluice_prompt_tokens_total').child(className, pool, model),
        outputTokens: this.counter('sluice_output_tokens_total').child(className, pool, model),
        goodRequests: this.counter('sluice_goodput_requests_total').child(className, pool, model),
        goodTokens: this.counter('sluice_goodput_tokens_total').child(className, pool, model),
        ttft: this.histogram('sluice_time_to_first_token_seconds').child(className, pool),
        tpot: this.histogram('sluice_time_per_output_token_seconds').child(className, pool),
        duration: this.histogram('sluice_request_duration_seconds').child(className, pool),
        queue: this.histogram('sluice_queue_duration_seconds').child(className),
        overhead: this.histogram('sluice_gateway_overhead_seconds').child(className),
      }
      this.#requestCells.set(key, cells)
    }
    return cells
  }
}

function familyOf(definition: MetricDefinition): CounterFamily | GaugeFamily | HistogramFamily {
  if (definition.type === 'counter') return new CounterFamily(definition)
  if (definition.type === 'gauge') return new GaugeFamily(definition)
  if (definition.buckets === undefined) throw new Error(`The histogram ${definition.name} needs buckets in the metrics table.`)
  return new HistogramFamily({ ...definition, buckets: definition.buckets })
}

function measure(cell: HistogramCell, value: number | undefined): void {
  if (value !== undefined) cell.record(value)
}
