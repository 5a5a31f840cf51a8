/** Every metric of Sluice's own, in one table: the registry and docs/metrics.md are made from it. */

export type MetricType = 'counter' | 'gauge' | 'histogram'
export type MetricGroup = 'request' | 'goodput' | 'admission' | 'backend' | 'process'

export interface MetricDefinition {
  readonly name: string
  readonly group: MetricGroup
  readonly type: MetricType
  readonly labels: readonly string[]
  /** One line, as Prometheus shows it. */
  readonly help: string
  /** What a value says, where the help line leaves room for doubt. */
  readonly meaning: string
  /** What an operator does when it moves. */
  readonly action: string
  /** Upper bounds of a histogram, in the metric's unit. */
  readonly buckets?: readonly number[]
}

/** 1 ms to 60 s, denser where TTFT targets lie. */
const TTFT_BUCKETS = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.75, 1, 1.5, 2, 3, 5, 7.5, 10, 20, 40, 60]
/** 1 ms to 2 s, denser where TPOT targets lie. */
const TOKEN_BUCKETS = [0.001, 0.0025, 0.005, 0.01, 0.015, 0.02, 0.025, 0.03, 0.04, 0.05, 0.06, 0.075, 0.1, 0.15, 0.2, 0.3, 0.5, 1, 2]
const DURATION_BUCKETS = [0.01, 0.05, 0.1, 0.25, 0.5, 1, 2, 3, 5, 7.5, 10, 15, 20, 30, 45, 60, 120, 300, 600, 1800]
const QUEUE_BUCKETS = [0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.2, 0.3, 0.5, 1, 2, 5, 10, 30, 60]
const OVERHEAD_BUCKETS = [0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1]
const RATIO_BUCKETS = [0.1, 0.25, 0.5, 0.7, 0.8, 0.9, 1, 1.1, 1.2, 1.3, 1.5, 2, 4, 10]

const REQUEST = ['route', 'class', 'pool', 'model'] as const
const WORK = ['class', 'pool', 'model'] as const
const FLOW = ['class', 'pool'] as const
const BACKEND = ['backend', 'pool'] as const

export const METRICS = [
  {
    name: 'sluice_requests_total', group: 'request', type: 'counter', labels: [...REQUEST, 'outcome'],
    help: 'Requests that have ended, by outcome.',
    meaning: 'Exactly one outcome per request: `met`, `missed_ttft`, `missed_tpot`, `missed_both`, `missed_deadline`, `rejected`, `expired`, `cancelled`, `failed` or `untargeted`. `pool` is `none` where no backend was reached.',
    action: 'More `rejected` or `expired`: too little capacity, see `sluice_queue_depth`. More `failed`: see `sluice_backend_attempts_total`. More `missed_*`: compare the TTFT and TPOT distributions with the targets.',
  },
  {
    name: 'sluice_time_to_first_token_seconds', group: 'request', type: 'histogram', labels: FLOW, buckets: TTFT_BUCKETS,
    help: 'Time from a request\'s head to its first generated token, in seconds.',
    meaning: 'Streamed answers only. Role-only, empty, comment and usage events are not tokens.',
    action: 'Split it: `sluice_queue_duration_seconds` is the part spent waiting, the rest is the backend\'s prefill. A p99 that climbs while p50 holds is a queue that begins to build.',
  },
  {
    name: 'sluice_time_per_output_token_seconds', group: 'request', type: 'histogram', labels: FLOW, buckets: TOKEN_BUCKETS,
    help: 'Mean time per output token after the first, per request, in seconds.',
    meaning: '(last token − first token) / (output tokens − 1); requests with fewer than two tokens have none.',
    action: 'It grows with the number of streams on a backend: lower the concurrency, move batch work to another pool, or add backends.',
  },
  {
    name: 'sluice_inter_token_latency_seconds', group: 'request', type: 'histogram', labels: FLOW, buckets: TOKEN_BUCKETS,
    help: 'Gap between successive token events of a stream, in seconds.',
    meaning: 'Shows jitter and stalls, which the mean per request hides.',
    action: 'A long tail with a good mean: prefills interrupt decoding; smaller prefill chunks on the engine, or long prompts on another pool.',
  },
  {
    name: 'sluice_request_duration_seconds', group: 'request', type: 'histogram', labels: FLOW, buckets: DURATION_BUCKETS,
    help: 'Time from a request\'s head to the last byte of its answer, in seconds.',
    meaning: 'Completed requests only.',
    action: 'It follows output length; look at TTFT and TPOT before drawing conclusions.',
  },
  {
    name: 'sluice_queue_duration_seconds', group: 'request', type: 'histogram', labels: ['class'], buckets: QUEUE_BUCKETS,
    help: 'Time from a request\'s head to its dispatch, in seconds; of requests never dispatched to their end.',
    meaning: 'The part of TTFT that the gateway decides about.',
    action: 'Rising: demand exceeds what the targets leave room for. Add backends, or let a class be shed.',
  },
  {
    name: 'sluice_gateway_overhead_seconds', group: 'request', type: 'histogram', labels: ['class'], buckets: OVERHEAD_BUCKETS,
    help: 'Time of a request in the gateway that was neither queue nor upstream, in seconds.',
    meaning: 'What Sluice itself costs before a request is on its way.',
    action: 'Above a few milliseconds the gateway is short of CPU: give it more, or run another replica.',
  },
  {
    name: 'sluice_tenant_requests_total', group: 'request', type: 'counter', labels: ['tenant', 'outcome'],
    help: 'Requests that have ended, by the API key that sent them and by outcome.',
    meaning: '`tenant` is the name of a configured key, `anonymous` where none is needed, and `other` for requests without a valid one.',
    action: 'A tenant with many `rejected` is at its limits or asks for what cannot be met; many `rejected` of `other` are wrong keys.',
  },
  {
    name: 'sluice_tenant_tokens_total', group: 'request', type: 'counter', labels: ['tenant', 'direction'],
    help: 'Tokens of requests that have ended, by the API key that sent them; `direction` is `prompt` or `output`.',
    meaning: 'As engines counted them; output is counted by events where an engine says nothing.',
    action: 'What to bill by, and what to set `tokens_per_minute` by.',
  },
  {
    name: 'sluice_prompt_tokens_total', group: 'request', type: 'counter', labels: WORK,
    help: 'Prompt tokens of requests that have ended, as their engines counted them.',
    meaning: 'Includes tokens that came out of a prefix cache.',
    action: 'Longer prompts cost TTFT; see whether they share a prefix that could be cached.',
  },
  {
    name: 'sluice_output_tokens_total', group: 'request', type: 'counter', labels: WORK,
    help: 'Output tokens of requests that have ended.',
    meaning: 'From the engine\'s usage, else one per content event.',
    action: 'Throughput. Compare it with `sluice_goodput_tokens_total`: the gap is work that kept no promise.',
  },
  {
    name: 'sluice_offered_requests_total', group: 'goodput', type: 'counter', labels: ['route', 'class', 'model'],
    help: 'Requests offered to the gateway, whatever became of them.',
    meaning: 'The denominator of goodput: rejected requests were offered too.',
    action: 'Its rate against `sluice_goodput_requests_total` tells whether a rise in load is served or lost.',
  },
  {
    name: 'sluice_goodput_requests_total', group: 'goodput', type: 'counter', labels: WORK,
    help: 'Requests that met all their targets.',
    meaning: 'Outcome `met`.',
    action: 'The figure to maximise. Falling while offered load holds: follow the outcomes in `sluice_requests_total`.',
  },
  {
    name: 'sluice_goodput_tokens_total', group: 'goodput', type: 'counter', labels: WORK,
    help: 'Output tokens of requests that met all their targets.',
    meaning: 'Good tokens; the rest of `sluice_output_tokens_total` came too late or was cut off.',
    action: 'As for `sluice_goodput_requests_total`.',
  },
  {
    name: 'sluice_wasted_tokens_total', group: 'goodput', type: 'counter', labels: ['class', 'reason'],
    help: 'Prompt and output tokens that backends computed for nothing, by reason.',
    meaning: 'The outcome of the request it was for, or `retried` for attempts that were given up.',
    action: '`missed_*`: admit less. `cancelled`: clients give up, look at TTFT. `failed` and `retried`: look at the backends.',
  },
  {
    name: 'sluice_goodput_ratio', group: 'goodput', type: 'gauge', labels: ['class'],
    help: 'Work for requests that met their targets as a share of all work under targets, since the start.',
    meaning: 'Tokens weighted by cost. No value while there was no such work.',
    action: 'Low: `sluice_wasted_tokens_total` says what for.',
  },
  {
    name: 'sluice_slo_requests_total', group: 'goodput', type: 'counter', labels: ['class', 'result'],
    help: 'Requests that count for attainment, by whether they met all their targets.',
    meaning: '`result` is `met` or `missed`. Rejected, expired and failed requests are `missed`; what has no target, and what its client cancelled before the first target was due, does not count.',
    action: 'The rate of `missed` over the rate of both is the error ratio over any window and any number of gateways: alerts are made from it.',
  },
  {
    name: 'sluice_slo_attainment_ratio', group: 'goodput', type: 'gauge', labels: ['class', 'window'],
    help: 'Share of the class\'s requests that met their targets, over a sliding window.',
    meaning: 'met / (offered − untargeted − cancelled before the first target was due); rejected, expired and failed ones count as not met. No value while nothing counts.',
    action: 'Below the objective: the promise is being broken. See which target in `sluice_requests_total`.',
  },
  {
    name: 'sluice_slo_burn_rate', group: 'goodput', type: 'gauge', labels: ['class', 'window'],
    help: 'How fast the class\'s error budget burns: 1 uses it up exactly.',
    meaning: '(1 − attainment) / (1 − objective).',
    action: 'Page on a high rate over a short and a long window together, look into a low one that lasts.',
  },
  {
    name: 'sluice_slo_objective_ratio', group: 'goodput', type: 'gauge', labels: ['class'],
    help: 'Configured share of the class\'s requests that must meet their targets.',
    meaning: 'From the configuration.',
    action: 'The line to draw attainment against.',
  },
  {
    name: 'sluice_slo_target_seconds', group: 'goodput', type: 'gauge', labels: ['class', 'target'],
    help: 'Configured targets of the class, in seconds.',
    meaning: '`target` is `ttft`, `tpot` or `deadline`; a target that is not set has no value.',
    action: 'The line to draw the distributions against.',
  },
  {
    name: 'sluice_cost_per_million_tokens', group: 'goodput', type: 'gauge', labels: [],
    help: 'Cost of all backends per million output tokens, over the last five minutes.',
    meaning: 'In the currency of `cost_per_hour`. No value unless every backend has `cost_per_hour`, and while there are no tokens.',
    action: 'The plain price; compare it with the next.',
  },
  {
    name: 'sluice_cost_per_million_good_tokens', group: 'goodput', type: 'gauge', labels: [],
    help: 'Cost of all backends per million output tokens that kept their promise, over the last five minutes.',
    meaning: 'As above, over output tokens of requests that met their targets.',
    action: 'Far above the plain price: money goes into answers that come too late.',
  },
  {
    name: 'sluice_admission_total', group: 'admission', type: 'counter', labels: ['class', 'verdict', 'reason'],
    help: 'Verdicts of admission.',
    meaning: '`dispatch`, `queue`, `reject`; `would_reject` was let through by `observe`; `probe` was let through to measure false rejections. `reason` is the code of a refusal, or what held a queued request.',
    action: 'Before turning on `enforce`, look at how much `would_reject` there is and at the false-rejection rate.',
  },
  {
    name: 'sluice_rejections_probed_total', group: 'admission', type: 'counter', labels: ['class'],
    help: 'Requests judged infeasible and admitted all the same, to see whether they would have met their targets.',
    meaning: 'In `observe` all that would be rejected, in `enforce` the configured share.',
    action: 'The denominator of the false-rejection rate.',
  },
  {
    name: 'sluice_rejections_would_have_met_total', group: 'admission', type: 'counter', labels: ['class'],
    help: 'Of the probed rejections those that met their targets.',
    meaning: 'Divided by the probed ones: the measured false-rejection rate.',
    action: 'Above a few percent the prediction is too pessimistic: see `sluice_prediction_ratio`.',
  },
  {
    name: 'sluice_admission_enforcing', group: 'admission', type: 'gauge', labels: [],
    help: 'Whether infeasible requests are being refused: 1 yes, 0 no.',
    meaning: '0 while `enforce` is configured: the guard against false rejections has tripped.',
    action: 'Look at the false-rejection rate and at what changed on the backends.',
  },
  {
    name: 'sluice_queue_depth', group: 'admission', type: 'gauge', labels: ['class'],
    help: 'Requests that wait.',
    meaning: 'Never above the class\'s `queue_limit`.',
    action: 'Growing steadily: offered load exceeds capacity.',
  },
  {
    name: 'sluice_queue_tokens', group: 'admission', type: 'gauge', labels: ['class'],
    help: 'Estimated prompt tokens that wait.',
    meaning: 'The prefill work ahead of a newcomer.',
    action: 'Large with a small depth: a few very long prompts.',
  },
  {
    name: 'sluice_queue_oldest_wait_seconds', group: 'admission', type: 'gauge', labels: ['class'],
    help: 'How long the oldest waiting request has waited, in seconds.',
    meaning: '0 with an empty queue.',
    action: 'Near the class\'s `max_queue` requests begin to expire.',
  },
  {
    name: 'sluice_predicted_ttft_seconds', group: 'admission', type: 'histogram', labels: ['class'], buckets: TTFT_BUCKETS,
    help: 'TTFT that was predicted when the request was dispatched, in seconds.',
    meaning: 'What placement and admission believed.',
    action: 'Compare its distribution with `sluice_time_to_first_token_seconds`.',
  },
  {
    name: 'sluice_prediction_ratio', group: 'admission', type: 'histogram', labels: ['target'], buckets: RATIO_BUCKETS,
    help: 'Actual over predicted time, by target.',
    meaning: '1 is exact; above 1 the prediction was too optimistic. `target` is `ttft` or `tpot`.',
    action: 'A drift away from 1 after an engine upgrade settles within minutes; if it stays, look for work that reaches the backends around the gateway.',
  },
  {
    name: 'sluice_backend_up', group: 'backend', type: 'gauge', labels: BACKEND,
    help: 'Whether the backend takes new requests: 1 yes, 0 no (down or draining).',
    meaning: 'From health checks, the circuit breaker and operators.',
    action: '0 unexpectedly: `/api/state` says why in words.',
  },
  {
    name: 'sluice_backend_degraded', group: 'backend', type: 'gauge', labels: BACKEND,
    help: 'Whether the backend is used sparingly: 1 yes, 0 no.',
    meaning: 'It is just back, its breaker probes, it runs requests without a token, or it has become far slower than usual.',
    action: '1 for long: `/api/state` says why in words.',
  },
  {
    name: 'sluice_backend_slowdown_ratio', group: 'backend', type: 'gauge', labels: BACKEND,
    help: 'How many times slower than usual the backend answers, beside its pool.',
    meaning: '1 is as usual. Each backend is its own measure: one that is always slow stands at 1. No value where too little is known, or nobody to compare with.',
    action: 'Above 2: look at its GPU clocks, neighbours and KV use. From `outliers.factor` on it is set back by itself.',
  },
  {
    name: 'sluice_backend_draining', group: 'backend', type: 'gauge', labels: BACKEND,
    help: 'Whether an operator has taken the backend out of service: 1 yes, 0 no.',
    meaning: 'Its running streams finish; it gets no new ones.',
    action: '1 and forgotten: `POST /api/backends/ID/undrain`.',
  },
  {
    name: 'sluice_backend_cost_per_hour', group: 'backend', type: 'gauge', labels: BACKEND,
    help: 'Cost of the backend per hour, as configured.',
    meaning: 'Every replica tells it of every backend: take the maximum by backend before summing.',
    action: 'No value: `cost_per_hour` is not configured.',
  },
  {
    name: 'sluice_backend_inflight_requests', group: 'backend', type: 'gauge', labels: BACKEND,
    help: 'Requests that this gateway has in flight on the backend.',
    meaning: 'Own count, exact.',
    action: 'Far from even over a pool: look at `sluice_backend_up` and at the cache-hit ratio.',
  },
  {
    name: 'sluice_backend_inflight_prefill_tokens', group: 'backend', type: 'gauge', labels: BACKEND,
    help: 'Prompt tokens sent to the backend whose first token has not come yet.',
    meaning: 'The prefill work ahead of a newcomer on that backend.',
    action: 'High on one backend with a low rate of first tokens: that backend is slow.',
  },
  {
    name: 'sluice_backend_concurrency_limit', group: 'backend', type: 'gauge', labels: BACKEND,
    help: 'Most requests that the backend is given at present.',
    meaning: 'No value where nothing bounds it.',
    action: 'Falling: the backend pushes back (429, 503).',
  },
  {
    name: 'sluice_backend_breaker_state', group: 'backend', type: 'gauge', labels: BACKEND,
    help: 'Circuit breaker: 0 closed, 1 half open, 2 open.',
    meaning: 'Fed by faults alone: refusals of a busy server do not open it.',
    action: '2: look at the backend\'s log; it opened after faults in a row.',
  },
  {
    name: 'sluice_backend_attempts_total', group: 'backend', type: 'counter', labels: ['backend', 'result'],
    help: 'Attempts on the backend that have ended, by result.',
    meaning: '`success`, `backpressure` (429, 503, queue full), `fault`, `client_error` or `cancelled`.',
    action: '`fault` rising on one backend: drain it. `backpressure` on all: too little capacity.',
  },
  {
    name: 'sluice_backend_engine_running', group: 'backend', type: 'gauge', labels: BACKEND,
    help: 'Requests in the engine\'s running batch, as it says itself.',
    meaning: 'No value where unknown: not exported, stale, or frozen.',
    action: 'Far above the gateway\'s own in-flight count: somebody uses the backend around the gateway.',
  },
  {
    name: 'sluice_backend_engine_waiting', group: 'backend', type: 'gauge', labels: BACKEND,
    help: 'Requests that wait inside the engine, as it says itself.',
    meaning: 'No value where unknown.',
    action: 'Above 0 for long: the queue is in the engine, where nobody can order it.',
  },
  {
    name: 'sluice_backend_kv_cache_usage_ratio', group: 'backend', type: 'gauge', labels: BACKEND,
    help: 'Share of the engine\'s KV cache in use.',
    meaning: '0 to 1; no value where unknown.',
    action: 'Near 1: preemptions come next. Fewer streams, shorter contexts, or more memory.',
  },
  {
    name: 'sluice_backend_prefix_cache_hit_ratio', group: 'backend', type: 'gauge', labels: BACKEND,
    help: 'Share of prompt tokens found in the engine\'s prefix cache, recently.',
    meaning: 'From the engine\'s counters over about the last half minute; no value where unknown.',
    action: 'Near 0 with conversational traffic: prefix caching is off, or prompts begin with something that varies.',
  },
  {
    name: 'sluice_backend_gpu_utilization_ratio', group: 'backend', type: 'gauge', labels: BACKEND,
    help: 'Mean utilisation of the backend\'s GPUs.',
    meaning: '0 to 1, the share of time in which a kernel runs, from the DCGM exporter that `gpu_metrics` names; no value without one.',
    action: 'High is not busy with good work: a decode step keeps a GPU at 1 with a single stream. Low with a queue: the engine waits for something else.',
  },
  {
    name: 'sluice_build_info', group: 'process', type: 'gauge', labels: ['version'],
    help: 'Version of Sluice; always 1.',
    meaning: 'The information is in the label.',
    action: 'Join it to see which version a change came with.',
  },
  {
    name: 'sluice_config_reloads_total', group: 'process', type: 'counter', labels: ['result'],
    help: 'Reloads of the configuration.',
    meaning: '`applied` or `rejected`; after `rejected` the old configuration is in force.',
    action: '`rejected`: run `sluice check` on the file.',
  },
  {
    name: 'sluice_config_last_reload_success', group: 'process', type: 'gauge', labels: [],
    help: 'Whether the latest reload of the configuration was applied: 1 yes, 0 no.',
    meaning: '1 from the start on; 0 means that the file and the configuration in force differ.',
    action: '0: run `sluice check` on the file; a restart would fail.',
  },
  {
    name: 'sluice_otlp_exports_total', group: 'process', type: 'counter', labels: ['signal', 'result'],
    help: 'Batches sent to the OTLP receiver.',
    meaning: '`signal` is `traces` or `metrics`, `result` is `done` or `failed`; a batch that failed is lost. No series where no endpoint is configured.',
    action: '`failed` rising: is the receiver at `telemetry.otlp_endpoint` there, and is it fast enough? Requests never wait for it.',
  },
  {
    name: 'sluice_log_lines_dropped_total', group: 'process', type: 'counter', labels: ['sink'],
    help: 'Log lines thrown away because their sink did not keep up.',
    meaning: '`sink` is `log`, `requests` or `audit`. Requests never wait for a log.',
    action: 'Look at the disk or at the collector behind standard output.',
  },
] as const satisfies readonly MetricDefinition[]

export type MetricName = typeof METRICS[number]['name']
