import { attainmentOf, burnRate, costPerMillionTokens, perSecond, WASTE_REASONS, WINDOWS_MS, type GoodputLedger, type Ms, type SchedulerState } from '../core/index.js'
import type { Config } from '../config/index.js'
import type { Metrics } from './metrics.js'
import type { MetricName } from './metrics-table.js'
import type { Work } from './turns.js'
import type { BackendGauges, GaugeSources } from './types.js'

const BREAKER = { closed: 0, half_open: 1, open: 2 } as const
const SECOND = 1000

/** Families that are read anew at each scrape. */
const PULLED = [
  'sluice_wasted_tokens_total', 'sluice_slo_requests_total', 'sluice_goodput_ratio', 'sluice_slo_attainment_ratio', 'sluice_slo_burn_rate',
  'sluice_slo_objective_ratio', 'sluice_slo_target_seconds', 'sluice_cost_per_million_tokens', 'sluice_cost_per_million_good_tokens',
  'sluice_admission_enforcing', 'sluice_queue_depth', 'sluice_queue_tokens', 'sluice_queue_oldest_wait_seconds',
  'sluice_backend_up', 'sluice_backend_degraded', 'sluice_backend_slowdown_ratio', 'sluice_backend_cost_per_hour', 'sluice_backend_draining', 'sluice_backend_inflight_requests', 'sluice_backend_inflight_prefill_tokens', 'sluice_backend_concurrency_limit',
  'sluice_backend_breaker_state', 'sluice_backend_engine_running', 'sluice_backend_engine_waiting',
  'sluice_backend_kv_cache_usage_ratio', 'sluice_backend_prefix_cache_hit_ratio', 'sluice_backend_gpu_utilization_ratio',
] as const satisfies readonly MetricName[]

export interface GaugeInputs {
  readonly metrics: Metrics
  readonly ledger: GoodputLedger
  readonly config: Pick<Config, 'classes'>
  /** Undefined before there is a scheduler and a fleet. */
  readonly sources: GaugeSources | undefined
  readonly nowMs: Ms
}

/** Read every gauge from where its truth is kept. Called when somebody scrapes, never per request, and in pieces. */
export function * collectGauges(inputs: GaugeInputs): Work {
  for (const name of PULLED) inputs.metrics.gauge(name).blank()
  yield
  yield * collectClasses(inputs)
  if (inputs.sources === undefined) return
  const backends = inputs.sources.backends()
  yield
  const scheduler = inputs.sources.scheduler()
  yield
  yield * collectScheduler(inputs.metrics, scheduler, backends)
  yield * collectBackends(inputs.metrics, backends)
  collectCost(inputs, backends)
}

function * collectClasses({ metrics, ledger, config, nowMs }: GaugeInputs): Work {
  for (const [name, { objective, ttft, tpot, deadline }] of Object.entries(config.classes)) {
    const targeted = ttft !== undefined || tpot !== undefined || deadline !== undefined
    metrics.gauge('sluice_slo_objective_ratio').set(targeted ? objective : undefined, name)
    for (const [target, ms] of Object.entries({ ttft, tpot, deadline })) {
      metrics.gauge('sluice_slo_target_seconds').set(ms === undefined ? undefined : ms / SECOND, name, target)
    }
    for (const [window, windowMs] of Object.entries(WINDOWS_MS)) {
      const attainment = attainmentOf(ledger.window(windowMs, nowMs, name))
      metrics.gauge('sluice_slo_attainment_ratio').set(attainment, name, window)
      metrics.gauge('sluice_slo_burn_rate').set(burnRate(attainment, objective), name, window)
    }
    yield
  }
  // Configured classes from the start, at zero: a series that begins above zero has lost its beginning.
  for (const name of new Set([...Object.keys(config.classes), ...ledger.classes()])) {
    const { counted, outcomes: { met } } = ledger.totals(name)
    metrics.counter('sluice_slo_requests_total').child(name, 'met').add(met)
    metrics.counter('sluice_slo_requests_total').child(name, 'missed').add(counted - met)
    yield
  }
  for (const name of ledger.classes()) {
    const totals = ledger.totals(name)
    metrics.gauge('sluice_goodput_ratio').set(totals.goodputRatio, name)
    for (const reason of WASTE_REASONS) {
      const tokens = totals.wastedTokens[reason]
      if (tokens > 0) metrics.counter('sluice_wasted_tokens_total').child(name, reason).add(tokens)
    }
    yield
  }
}

function * collectScheduler(metrics: Metrics, { admission, classes, backends }: SchedulerState, gauges: readonly BackendGauges[]): Work {
  metrics.gauge('sluice_admission_enforcing').set(admission.effective === 'enforce' ? 1 : 0)
  for (const { name, queued, queuedTokens, oldestWaitMs } of classes) {
    metrics.gauge('sluice_queue_depth').set(queued, name)
    metrics.gauge('sluice_queue_tokens').set(queuedTokens, name)
    metrics.gauge('sluice_queue_oldest_wait_seconds').set(oldestWaitMs / SECOND, name)
    yield
  }
  const pools = new Map(gauges.map(({ id, pool }) => [id, pool]))
  for (const { id, inflightRequests, inflightPrefillTokens, concurrencyLimit } of backends) {
    const pool = pools.get(id)
    // A backend that has left the configuration lives on in the ledger until its last stream ends.
    if (pool === undefined) continue
    metrics.gauge('sluice_backend_inflight_requests').set(inflightRequests, id, pool)
    metrics.gauge('sluice_backend_inflight_prefill_tokens').set(inflightPrefillTokens, id, pool)
    metrics.gauge('sluice_backend_concurrency_limit').set(concurrencyLimit, id, pool)
    yield
  }
}

function * collectBackends(metrics: Metrics, backends: readonly BackendGauges[]): Work {
  for (const { id, pool, state, operatorDrain, breaker, slowdownRatio, report, gpuUtilizationRatio, costPerHour } of backends) {
    metrics.gauge('sluice_backend_up').set(state === 'up' || state === 'degraded' ? 1 : 0, id, pool)
    metrics.gauge('sluice_backend_degraded').set(state === 'degraded' ? 1 : 0, id, pool)
    metrics.gauge('sluice_backend_slowdown_ratio').set(slowdownRatio, id, pool)
    metrics.gauge('sluice_backend_cost_per_hour').set(costPerHour, id, pool)
    metrics.gauge('sluice_backend_draining').set(operatorDrain ? 1 : 0, id, pool)
    metrics.gauge('sluice_backend_breaker_state').set(BREAKER[breaker], id, pool)
    metrics.gauge('sluice_backend_engine_running').set(report.running, id, pool)
    metrics.gauge('sluice_backend_engine_waiting').set(report.waiting, id, pool)
    metrics.gauge('sluice_backend_kv_cache_usage_ratio').set(report.kvUsageRatio, id, pool)
    metrics.gauge('sluice_backend_prefix_cache_hit_ratio').set(report.prefixHitRatio, id, pool)
    metrics.gauge('sluice_backend_gpu_utilization_ratio').set(gpuUtilizationRatio, id, pool)
    yield
  }
}

/** A price with an unknown part is no price: it takes the cost of every backend. */
function collectCost({ metrics, ledger, nowMs }: GaugeInputs, backends: readonly BackendGauges[]): void {
  let costPerHour: number | undefined = 0
  for (const backend of backends) costPerHour = costPerHour === undefined || backend.costPerHour === undefined ? undefined : costPerHour + backend.costPerHour
  if (costPerHour === undefined || costPerHour === 0) return
  const window = ledger.window(WINDOWS_MS['5m'], nowMs)
  metrics.gauge('sluice_cost_per_million_tokens').set(costPerMillionTokens(costPerHour, perSecond(window.outputTokens, window)))
  metrics.gauge('sluice_cost_per_million_good_tokens').set(costPerMillionTokens(costPerHour, perSecond(window.goodTokens, window)))
}
