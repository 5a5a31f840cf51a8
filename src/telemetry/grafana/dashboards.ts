import { Queries, type HistogramName } from './promql.js'
import type { Dashboard, Panel } from './dashboard.js'

const all = new Queries([])
const ofClass = new Queries(['class'])
const ofBackend = new Queries(['pool', 'backend'])
const ofTenant = new Queries(['tenant'])

const overview: Dashboard = {
  name: 'overview', title: 'Sluice: overview', variables: [],
  description: 'Are promises kept, what is lost, and is the gateway itself well?',
  rows: [
    { title: 'Promises', panels: [
      { title: 'Attainment, 5 minutes', kind: 'stat', width: 12, unit: 'percentunit', description: 'Share of requests that met their targets, by class. Below the objective the promise is being broken.', queries: [[all.gauge('sluice_slo_attainment_ratio', { by: ['class'], where: { window: '5m' }, merge: 'min' }), '{{class}}']] },
      { title: 'Error budget burn, 1 hour', kind: 'stat', width: 12, unit: 'short', description: '1 uses the budget up exactly.', queries: [[all.gauge('sluice_slo_burn_rate', { by: ['class'], where: { window: '1h' }, merge: 'max' }), '{{class}}']] },
      { title: 'Offered, answered, good', unit: 'reqps', description: 'Goodput beside throughput and offered load: the gaps are what is refused, and what comes too late.', queries: [[all.rate('sluice_offered_requests_total'), 'offered'], [all.rate('sluice_requests_total', { where: { outcome: 'met|missed_.*|untargeted' } }), 'answered'], [all.rate('sluice_goodput_requests_total'), 'good']] },
      { title: 'Outcomes', unit: 'reqps', stacked: true, description: 'Exactly one per request.', queries: [[all.rate('sluice_requests_total', { by: ['outcome'] }), '{{outcome}}']] },
      { title: 'Output tokens', unit: 'short', description: 'Per second; good ones belong to requests that met their targets.', queries: [[all.rate('sluice_output_tokens_total'), 'all'], [all.rate('sluice_goodput_tokens_total'), 'good']] },
    ] },
    { title: 'Latency', panels: [
      { title: 'TTFT p99 by class', unit: 's', description: 'With the targets.', queries: [[all.quantile(0.99, 'sluice_time_to_first_token_seconds', { by: ['class'] }), '{{class}}'], [all.gauge('sluice_slo_target_seconds', { by: ['class'], where: { target: 'ttft' }, merge: 'max' }), '{{class}} target']] },
      { title: 'TPOT p99 by class', unit: 's', description: 'With the targets.', queries: [[all.quantile(0.99, 'sluice_time_per_output_token_seconds', { by: ['class'] }), '{{class}}'], [all.gauge('sluice_slo_target_seconds', { by: ['class'], where: { target: 'tpot' }, merge: 'max' }), '{{class}} target']] },
      { title: 'Early queue build-up', unit: 'short', description: 'p99 of TTFT over its median. It rises while the median holds when a queue begins to build.', queries: [[`${all.quantile(0.99, 'sluice_time_to_first_token_seconds', { by: ['class'] })} / ${all.quantile(0.5, 'sluice_time_to_first_token_seconds', { by: ['class'] })}`, '{{class}}']] },
    ] },
    { title: 'Admission and queues', panels: [
      { title: 'Queue depth', unit: 'short', description: 'Requests that wait.', queries: [[all.gauge('sluice_queue_depth', { by: ['class'] }), '{{class}}']] },
      { title: 'Verdicts of admission', unit: 'reqps', stacked: true, description: '`would_reject` is what `enforce` would refuse.', queries: [[all.rate('sluice_admission_total', { by: ['verdict'] }), '{{verdict}}']] },
      { title: 'False rejections', unit: 'percentunit', description: 'Of requests judged infeasible and let through, the share that met its targets.', queries: [[`${all.rate('sluice_rejections_would_have_met_total')} / ${all.rate('sluice_rejections_probed_total')}`, 'false rejections']] },
    ] },
    { title: 'The gateway itself', panels: [
      { title: 'Event loop lag p99', unit: 's', width: 6, description: 'Streams stutter by this much.', queries: [[all.process('nodejs_eventloop_lag_p99_seconds'), '{{instance}}']] },
      { title: 'CPU', unit: 'percentunit', width: 6, description: 'Of one core; there is no more for it than one.', queries: [[all.process('process_cpu_seconds_total'), '{{instance}}']] },
      { title: 'Memory', unit: 'bytes', width: 6, description: 'Resident, and used by the heap.', queries: [[all.process('process_resident_memory_bytes'), '{{instance}} resident'], [all.process('nodejs_heap_size_used_bytes'), '{{instance}} heap']] },
      { title: 'Own latency p99', unit: 's', width: 6, description: 'Time of a request in the gateway that was neither queue nor upstream.', queries: [[all.quantile(0.99, 'sluice_gateway_overhead_seconds'), 'p99']] },
      { title: 'Latest reload applied', kind: 'stat', width: 6, unit: 'bool', description: 'False: an old configuration is in force.', queries: [[all.gauge('sluice_config_last_reload_success', { merge: 'min' }), 'applied']] },
      { title: 'Refusing the infeasible', kind: 'stat', width: 6, unit: 'bool', description: 'Whether admission enforces.', queries: [[all.gauge('sluice_admission_enforcing', { merge: 'min' }), 'enforcing']] },
      { title: 'Log lines dropped', kind: 'stat', width: 6, unit: 'short', description: 'Per second, because a sink does not keep up.', queries: [[all.rate('sluice_log_lines_dropped_total', { by: ['sink'] }), '{{sink}}']] },
      { title: 'Version', kind: 'stat', width: 6, unit: 'short', description: 'Replicas by version.', queries: [[all.gauge('sluice_build_info', { by: ['version'] }), '{{version}}']] },
    ] },
  ],
}

const QUANTILES = [0.5, 0.9, 0.95, 0.99]

/** p50 to p99 of one distribution, with the line of its target. */
function percentiles(title: string, name: HistogramName, description: string, target?: 'ttft' | 'tpot'): Panel {
  return { title, unit: 's', description, queries: [
    ...QUANTILES.map((q) => [ofClass.quantile(q, name), `p${q * 100}`] as const),
    ...(target === undefined ? [] : [[ofClass.gauge('sluice_slo_target_seconds', { where: { target }, merge: 'min' }), 'target'] as const]),
  ] }
}

const classes: Dashboard = {
  name: 'class', title: 'Sluice: service class', variables: [{ label: 'class', metric: 'sluice_slo_objective_ratio' }],
  description: 'One promise: is it kept, where does the time go, and what did admission believe?',
  rows: [
    { title: 'The promise', panels: [
      { title: 'Attainment', unit: 'percentunit', description: 'Over sliding windows, with the objective.', queries: [[ofClass.gauge('sluice_slo_attainment_ratio', { by: ['class', 'window'], merge: 'min' }), '{{class}} {{window}}'], [ofClass.gauge('sluice_slo_objective_ratio', { by: ['class'], merge: 'max' }), '{{class}} objective']] },
      { title: 'Error budget burn', unit: 'short', description: '1 uses the budget up exactly.', queries: [[ofClass.gauge('sluice_slo_burn_rate', { by: ['class', 'window'], merge: 'max' }), '{{class}} {{window}}']] },
      { title: 'Requests that count', unit: 'reqps', stacked: true, description: 'By whether they met all their targets.', queries: [[ofClass.rate('sluice_slo_requests_total', { by: ['result'] }), '{{result}}']] },
      { title: 'Outcomes', unit: 'reqps', stacked: true, description: 'Exactly one per request.', queries: [[ofClass.rate('sluice_requests_total', { by: ['outcome'] }), '{{outcome}}']] },
      { title: 'Offered and good', unit: 'reqps', description: 'The gap is lost.', queries: [[ofClass.rate('sluice_offered_requests_total', { by: ['class'] }), '{{class}} offered'], [ofClass.rate('sluice_goodput_requests_total', { by: ['class'] }), '{{class}} good']] },
      { title: 'Tokens', unit: 'short', description: 'Per second.', queries: [[ofClass.rate('sluice_prompt_tokens_total'), 'prompt'], [ofClass.rate('sluice_output_tokens_total'), 'output'], [ofClass.rate('sluice_goodput_tokens_total'), 'good output']] },
    ] },
    { title: 'Where the time goes', panels: [
      percentiles('TTFT', 'sluice_time_to_first_token_seconds', 'Head received to first token.', 'ttft'),
      percentiles('TPOT', 'sluice_time_per_output_token_seconds', 'Mean time per token after the first.', 'tpot'),
      percentiles('ITL', 'sluice_inter_token_latency_seconds', 'Gaps between tokens: stalls that the mean hides.', 'tpot'),
      percentiles('Queue', 'sluice_queue_duration_seconds', 'The part of TTFT that the gateway decides about.'),
      percentiles('Whole request', 'sluice_request_duration_seconds', 'Completed requests, head to last byte.'),
      { title: 'TTFT', kind: 'heatmap', unit: 's', description: 'The whole distribution over time: two bands are two kinds of request, or two kinds of backend.', queries: [[ofClass.buckets('sluice_time_to_first_token_seconds'), '{{le}}']] },
    ] },
    { title: 'Queue and prediction', panels: [
      { title: 'Waiting', unit: 'short', description: 'Requests, and their prompt tokens.', queries: [[ofClass.gauge('sluice_queue_depth', { by: ['class'] }), '{{class}} requests'], [ofClass.gauge('sluice_queue_tokens', { by: ['class'] }), '{{class}} tokens']] },
      { title: 'Oldest wait', unit: 's', description: 'Near `max_queue` requests begin to expire.', queries: [[ofClass.gauge('sluice_queue_oldest_wait_seconds', { by: ['class'], merge: 'max' }), '{{class}}']] },
      { title: 'Predicted and actual TTFT', unit: 's', description: 'Medians. Apart for long: the model of a backend is off.', queries: [[ofClass.quantile(0.5, 'sluice_predicted_ttft_seconds'), 'predicted'], [ofClass.quantile(0.5, 'sluice_time_to_first_token_seconds'), 'actual']] },
      { title: 'Actual over predicted', unit: 'short', description: 'Means over all classes; 1 is exact.', queries: [[ofClass.mean('sluice_prediction_ratio', { by: ['target'] }), '{{target}}']] },
      { title: 'Verdicts of admission', unit: 'reqps', stacked: true, description: 'With the code of a refusal.', queries: [[ofClass.rate('sluice_admission_total', { by: ['verdict', 'reason'] }), '{{verdict}} {{reason}}']] },
    ] },
  ],
}

const backends: Dashboard = {
  name: 'backend', title: 'Sluice: backends', variables: [{ label: 'pool', metric: 'sluice_backend_up' }, { label: 'backend', metric: 'sluice_backend_up' }],
  description: 'Each model server as the gateway sees it, and as it says itself.',
  rows: [
    { title: 'State', panels: [
      { title: 'Up', unit: 'bool', description: 'Takes new requests.', queries: [[ofBackend.gauge('sluice_backend_up', { by: ['backend'], merge: 'max' }), '{{backend}}']] },
      { title: 'Used sparingly', unit: 'bool', description: 'Just back, probed by the breaker, silent, or far slower than usual.', queries: [[ofBackend.gauge('sluice_backend_degraded', { by: ['backend'], merge: 'max' }), '{{backend}}']] },
      { title: 'Drained by an operator', unit: 'bool', description: 'Gets no new requests.', queries: [[ofBackend.gauge('sluice_backend_draining', { by: ['backend'], merge: 'max' }), '{{backend}}']] },
      { title: 'Circuit breaker', unit: 'short', description: '0 closed, 1 half open, 2 open.', queries: [[ofBackend.gauge('sluice_backend_breaker_state', { by: ['backend'], merge: 'max' }), '{{backend}}']] },
    ] },
    { title: 'As the gateway sees it', panels: [
      { title: 'In flight', unit: 'short', description: 'Own requests.', queries: [[ofBackend.gauge('sluice_backend_inflight_requests', { by: ['backend'] }), '{{backend}}']] },
      { title: 'Prefill ahead', unit: 'short', description: 'Prompt tokens sent whose first token has not come. High on one backend alone: it is slow.', queries: [[ofBackend.gauge('sluice_backend_inflight_prefill_tokens', { by: ['backend'] }), '{{backend}}']] },
      { title: 'Concurrency limit', unit: 'short', description: 'No line where nothing bounds it; falling where the backend pushes back.', queries: [[ofBackend.gauge('sluice_backend_concurrency_limit', { by: ['backend'], merge: 'min' }), '{{backend}}']] },
      { title: 'Attempts', unit: 'reqps', stacked: true, description: 'Those that have ended, by result.', queries: [[ofBackend.rate('sluice_backend_attempts_total', { by: ['result'] }), '{{result}}']] },
      { title: 'Attempts by backend', unit: 'reqps', description: 'How work is spread.', queries: [[ofBackend.rate('sluice_backend_attempts_total', { by: ['backend'] }), '{{backend}}']] },
    ] },
    { title: 'As it says itself', panels: [
      { title: 'Running', unit: 'short', description: 'Far above what is in flight: somebody uses it around the gateway.', queries: [[ofBackend.gauge('sluice_backend_engine_running', { by: ['backend'], merge: 'max' }), '{{backend}}']] },
      { title: 'Waiting inside', unit: 'short', description: 'Above 0 for long: the queue is where nobody can order it.', queries: [[ofBackend.gauge('sluice_backend_engine_waiting', { by: ['backend'], merge: 'max' }), '{{backend}}']] },
      { title: 'KV cache', unit: 'percentunit', description: 'Near 1 preemptions come next.', queries: [[ofBackend.gauge('sluice_backend_kv_cache_usage_ratio', { by: ['backend'], merge: 'max' }), '{{backend}}']] },
      { title: 'Prefix cache hits', unit: 'percentunit', description: 'Share of prompt tokens.', queries: [[ofBackend.gauge('sluice_backend_prefix_cache_hit_ratio', { by: ['backend'], merge: 'avg' }), '{{backend}}']] },
      { title: 'GPU utilisation', unit: 'percentunit', description: 'Where `gpu_metrics` names an exporter. A single stream keeps a GPU busy: compare with good tokens.', queries: [[ofBackend.gauge('sluice_backend_gpu_utilization_ratio', { by: ['backend'], merge: 'avg' }), '{{backend}}']] },
    ] },
  ],
}

const tenants: Dashboard = {
  name: 'tenant', title: 'Sluice: tenants', variables: [{ label: 'tenant', metric: 'sluice_tenant_requests_total' }],
  description: 'Who asks, what becomes of it, and what they use. Tenants are the names of configured keys.',
  rows: [
    { title: 'Requests', panels: [
      { title: 'Requests', unit: 'reqps', stacked: true, description: 'That have ended, whatever became of them.', queries: [[ofTenant.rate('sluice_tenant_requests_total', { by: ['tenant'] }), '{{tenant}}']] },
      { title: 'Share that kept its promise', unit: 'percentunit', description: 'Of requests under targets that were not cancelled.', queries: [[`${ofTenant.rate('sluice_tenant_requests_total', { by: ['tenant'], where: { outcome: 'met' } })} / ${ofTenant.rate('sluice_tenant_requests_total', { by: ['tenant'], where: { outcome: 'met|missed_.+|rejected|expired|failed' } })}`, '{{tenant}}']] },
      { title: 'Outcomes', unit: 'reqps', stacked: true, description: 'Many `rejected`: at its limits, or asking for what cannot be met. Of `other`: wrong keys.', queries: [[ofTenant.rate('sluice_tenant_requests_total', { by: ['tenant', 'outcome'] }), '{{tenant}} {{outcome}}']] },
    ] },
    { title: 'Use', panels: [
      { title: 'Prompt tokens', unit: 'short', stacked: true, description: 'Per second.', queries: [[ofTenant.rate('sluice_tenant_tokens_total', { by: ['tenant'], where: { direction: 'prompt' } }), '{{tenant}}']] },
      { title: 'Output tokens', unit: 'short', stacked: true, description: 'Per second.', queries: [[ofTenant.rate('sluice_tenant_tokens_total', { by: ['tenant'], where: { direction: 'output' } }), '{{tenant}}']] },
    ] },
  ],
}

/**
 * Over all replicas. Each replica's own figure divides the cost of every backend by its tokens alone, so that neither their sum nor
 * their mean is the price. With the cost of one backend unknown there is none.
 */
const costPerMillion = (tokens: 'sluice_output_tokens_total' | 'sluice_goodput_tokens_total') => {
  const cost = all.gauge('sluice_backend_cost_per_hour', { by: ['backend'], merge: 'max' })
  const every = all.gauge('sluice_backend_up', { by: ['backend'], merge: 'max' })
  return `(sum(${cost}) and count(${cost}) == count(${every})) * 1000000 / 3600 / ${all.rate(tokens)}`
}

const cost: Dashboard = {
  name: 'cost', title: 'Sluice: cost', variables: [],
  description: 'What good tokens cost, and where work is wasted.',
  rows: [
    { title: 'Price', panels: [
      { title: 'Cost per million tokens', width: 12, unit: 'short', description: 'Plain, and over tokens that kept their promise. In the currency of `cost_per_hour`.', queries: [[costPerMillion('sluice_output_tokens_total'), 'all tokens'], [costPerMillion('sluice_goodput_tokens_total'), 'good tokens']] },
      { title: 'Share of good tokens', width: 12, unit: 'percentunit', description: 'Of all output tokens.', queries: [[`${all.rate('sluice_goodput_tokens_total', { by: ['class'] })} / ${all.rate('sluice_output_tokens_total', { by: ['class'] })}`, '{{class}}']] },
    ] },
    { title: 'Waste', panels: [
      { title: 'Wasted tokens by reason', unit: 'short', stacked: true, description: 'Per second, prompt and output.', queries: [[all.rate('sluice_wasted_tokens_total', { by: ['reason'] }), '{{reason}}']] },
      { title: 'Wasted tokens by class', unit: 'short', stacked: true, description: 'Per second, prompt and output.', queries: [[all.rate('sluice_wasted_tokens_total', { by: ['class'] }), '{{class}}']] },
      { title: 'Goodput of work', unit: 'percentunit', description: 'Work for requests that met their targets as a share of all work under targets, since the start.', queries: [[all.gauge('sluice_goodput_ratio', { by: ['class'], merge: 'avg' }), '{{class}}']] },
    ] },
    { title: 'Work', panels: [
      { title: 'Output tokens by pool', unit: 'short', width: 12, description: 'Per second.', queries: [[all.rate('sluice_output_tokens_total', { by: ['pool'] }), '{{pool}}']] },
      { title: 'Prompt tokens by class', unit: 'short', width: 12, description: 'Per second.', queries: [[all.rate('sluice_prompt_tokens_total', { by: ['class'] }), '{{class}}']] },
    ] },
  ],
}

export const DASHBOARDS: readonly Dashboard[] = [overview, classes, tenants, backends, cost]
