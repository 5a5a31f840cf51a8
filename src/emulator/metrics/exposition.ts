import type { EngineModel } from '../../simulator/engine/index.js'
import type { TokenReceiver } from '../engine-driver.js'
import type { BucketHistogram } from './histogram.js'
import type { ServerStatistics } from './statistics.js'

/** Old names left the servers in 2025; a fleet may have either, and for a time servers had both. */
export const METRIC_NAMES = ['new', 'old', 'both'] as const
export type MetricNames = typeof METRIC_NAMES[number]

class Text {
  text = ''
  readonly #labels: string

  constructor (labels: string) {
    this.#labels = labels
  }

  number (kind: 'gauge' | 'counter', name: string, help: string, value: number, labels = this.#labels): void {
    this.text += `# HELP ${name} ${help}\n# TYPE ${name} ${kind}\n${name}${labels === '' ? '' : `{${labels}}`} ${value}\n`
  }

  histogram (name: string, help: string, histogram: BucketHistogram): void {
    this.text += `# HELP ${name} ${help}\n# TYPE ${name} histogram\n${histogram.lines(name, this.#labels)}`
  }
}

export function vllmMetrics (model: EngineModel<TokenReceiver>, statistics: ServerStatistics, modelName: string, names: MetricNames): string {
  const labels = `engine="0",model_name="${modelName.replaceAll('\\', '\\\\').replaceAll('"', '\\"')}"`
  const out = new Text(labels)
  const gauges = model.gauges()
  const { counters, limits } = model
  out.number('gauge', 'vllm:num_requests_running', 'Number of requests in model execution batches.', gauges.running)
  out.number('gauge', 'vllm:num_requests_waiting', 'Number of requests waiting to be processed.', gauges.waiting)
  if (names !== 'old') {
    out.number('gauge', 'vllm:kv_cache_usage_perc', 'KV-cache usage. 1 means 100 percent usage.', gauges.kvUsageRatio)
    out.number('counter', 'vllm:prefix_cache_queries_total', 'Prefix cache queries, in terms of number of queried tokens.', counters.prefixQueryTokens)
    out.number('counter', 'vllm:prefix_cache_hits_total', 'Prefix cache hits, in terms of number of cached tokens.', counters.prefixHitTokens)
    out.histogram('vllm:inter_token_latency_seconds', 'Histogram of inter-token latency in seconds.', statistics.interToken)
    out.histogram('vllm:request_time_per_output_token_seconds', 'Histogram of time per output token per request.', statistics.timePerOutputToken)
  }
  if (names !== 'new') {
    out.number('gauge', 'vllm:gpu_cache_usage_perc', 'GPU KV-cache usage. 1 means 100 percent usage.', gauges.kvUsageRatio)
    out.number('counter', 'vllm:gpu_prefix_cache_queries_total', 'GPU prefix cache queries, in tokens.', counters.prefixQueryTokens)
    out.number('counter', 'vllm:gpu_prefix_cache_hits_total', 'GPU prefix cache hits, in tokens.', counters.prefixHitTokens)
    out.histogram('vllm:time_per_output_token_seconds', 'Histogram of time per output token in seconds.', statistics.interToken)
  }
  out.number('counter', 'vllm:num_preemptions_total', 'Cumulative number of preemptions from the engine.', counters.preemptions)
  out.number('counter', 'vllm:prompt_tokens_total', 'Number of prefill tokens processed.', statistics.promptTokens)
  out.number('counter', 'vllm:generation_tokens_total', 'Number of generation tokens processed.', counters.generatedTokens)
  for (const [reason, count] of Object.entries(statistics.finished)) {
    out.text += `vllm:request_success_total{${labels},finished_reason="${reason}"} ${count}\n`
  }
  out.number('counter', 'vllm:admission_rejections_total', 'Requests refused by a queue limit.', statistics.refused, `${labels},reason="queue_full"`)
  out.histogram('vllm:time_to_first_token_seconds', 'Histogram of time to first token in seconds.', statistics.ttft)
  out.histogram('vllm:e2e_request_latency_seconds', 'Histogram of end to end request latency in seconds.', statistics.endToEnd)
  out.histogram('vllm:request_queue_time_seconds', 'Histogram of time spent in WAITING phase for request.', statistics.queueTime)
  out.histogram('vllm:request_inference_time_seconds', 'Histogram of time spent in RUNNING phase for request.', statistics.inferenceTime)
  out.histogram('vllm:request_prefill_time_seconds', 'Histogram of time spent in PREFILL phase for request.', statistics.prefillTime)
  out.histogram('vllm:request_decode_time_seconds', 'Histogram of time spent in DECODE phase for request.', statistics.decodeTime)
  out.histogram('vllm:request_prompt_tokens', 'Number of prefill tokens processed per request.', statistics.promptLength)
  out.histogram('vllm:request_generation_tokens', 'Number of generation tokens processed per request.', statistics.outputLength)
  out.histogram('vllm:iteration_tokens_total', 'Histogram of number of tokens per engine step.', statistics.stepTokens)
  out.number('gauge', 'vllm:cache_config_info', 'Information of the LLMEngine CacheConfig', 1,
    `block_size="${limits.blockTokens}",cache_dtype="auto",enable_prefix_caching="True",engine="0",num_gpu_blocks="${gauges.kvTotalBlocks}"`)
  return out.text
}

export function tgiMetrics (model: EngineModel<TokenReceiver>, statistics: ServerStatistics): string {
  const out = new Text('')
  const gauges = model.gauges()
  const { counters, limits } = model
  out.number('gauge', 'tgi_queue_size', 'Number of requests waiting in the queue.', gauges.waiting)
  out.number('gauge', 'tgi_batch_current_size', 'Current batch size.', gauges.running)
  out.number('gauge', 'tgi_batch_current_max_tokens', 'Maximum tokens of the current batch.', Math.round(gauges.kvUsageRatio * limits.kvCapacityTokens))
  out.number('gauge', 'tgi_batch_total_tokens', 'Token budget of a batch.', limits.kvCapacityTokens)
  out.number('counter', 'tgi_request_count', 'Total number of requests.', counters.submitted + statistics.refused)
  out.number('counter', 'tgi_request_success', 'Number of successful requests.', statistics.finished.stop + statistics.finished.length)
  out.text += `# TYPE tgi_request_failure counter\ntgi_request_failure{err="dropped"} ${statistics.finished.abort}\ntgi_request_failure{err="overloaded"} ${statistics.refused}\n` +
    `tgi_request_failure{err="generation"} ${statistics.finished.error}\n`
  out.number('counter', 'tgi_batch_inference_count', 'Steps of the batch.', counters.steps, 'method="decode"')
  out.histogram('tgi_request_duration', 'End-to-end request duration in seconds.', statistics.endToEnd)
  out.histogram('tgi_request_queue_duration', 'Time in the queue in seconds.', statistics.queueTime)
  out.histogram('tgi_request_inference_duration', 'Time of inference in seconds.', statistics.inferenceTime)
  out.histogram('tgi_request_mean_time_per_token_duration', 'Mean time per token in seconds.', statistics.timePerOutputToken)
  out.histogram('tgi_request_input_length', 'Input tokens per request.', statistics.promptLength)
  out.histogram('tgi_request_generated_tokens', 'Generated tokens per request.', statistics.outputLength)
  out.histogram('tgi_request_skipped_tokens', 'Prompt tokens spared by the prefix cache.', statistics.cachedLength)
  return out.text
}
