import type { EngineAdapter, EngineReading } from './adapter.js'
import { known } from './json.js'
import { openaiModels } from './models.js'
import { wantedNames } from './names.js'
import type { MetricSet } from '../prometheus.js'
import type { EngineReport } from '../../core/index.js'

const NAMES = {
  running: ['vllm_num_requests_running'],
  /** `reason="capacity"` is the true queue; the plain gauge also counts deferred requests. */
  waitingByReason: ['vllm_num_requests_waiting_by_reason'],
  waiting: ['vllm_num_requests_waiting'],
  kvUsage: ['vllm_kv_cache_usage_perc', 'vllm_gpu_cache_usage_perc'],
  cacheConfig: ['vllm_cache_config_info'],
  prefixHits: ['vllm_prefix_cache_hits_total', 'vllm_gpu_prefix_cache_hits_total', 'vllm_gpu_prefix_cache_hits'],
  prefixQueries: ['vllm_prefix_cache_queries_total', 'vllm_gpu_prefix_cache_queries_total', 'vllm_gpu_prefix_cache_queries'],
  generated: ['vllm_generation_tokens_total'],
  prompted: ['vllm_prompt_tokens_total'],
  startedAt: ['process_start_time_seconds'],
} as const

export const vllm: EngineAdapter = {
  engine: 'vllm',
  // 200 says that the engine's process lives, not that it moves: a hung engine is seen by its counters and by faults.
  health: { path: '/health', read: (status) => status === 200 ? 'ok' : 'failed' },
  metrics: { path: '/metrics', names: wantedNames(NAMES), read },
  facts: [openaiModels],
  aliases: () => [],
  reportsUsageWhenAsked: true,
  continuation: { tokenIds: true },
  lacks: ['tgi-generate', 'sglang-generate'],
}

function read(metrics: MetricSet): EngineReading {
  const generated = metrics.total(...NAMES.generated)
  const prompted = metrics.total(...NAMES.prompted)
  return known<EngineReading>({
    report: known<EngineReport>({
      running: metrics.sum(...NAMES.running),
      waiting: queued(metrics) ?? metrics.sum(...NAMES.waiting),
      kvUsageRatio: metrics.max(...NAMES.kvUsage),
      kvCapacityTokens: kvCapacityTokens(metrics),
    }),
    startedAtSeconds: metrics.max(...NAMES.startedAt),
    counters: [generated, prompted].filter((value) => value !== undefined),
    prefixHitTokens: metrics.total(...NAMES.prefixHits),
    prefixQueryTokens: metrics.total(...NAMES.prefixQueries),
    steps: generated,
  })
}

function queued(metrics: MetricSet): number | undefined {
  const samples = metrics.samples(NAMES.waitingByReason[0]).filter((sample) => sample.labels.get('reason') === 'capacity')
  return samples.length === 0 ? undefined : samples.reduce((total, sample) => total + sample.value, 0)
}

/** Blocks times block size, summed over the engines behind one port. */
function kvCapacityTokens(metrics: MetricSet): number | undefined {
  let tokens = 0
  for (const { labels } of metrics.samples(NAMES.cacheConfig[0])) {
    tokens += Number(labels.get('num_gpu_blocks') ?? NaN) * Number(labels.get('block_size') ?? NaN)
  }
  return tokens > 0 ? tokens : undefined
}
