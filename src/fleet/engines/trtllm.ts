import type { EngineAdapter, EngineReading } from './adapter.js'
import { known } from './json.js'
import { openaiModels } from './models.js'
import { wantedNames } from './names.js'
import type { MetricSet } from '../prometheus.js'
import type { EngineReport } from '../../core/index.js'

const NAMES = {
  running: ['trtllm_num_requests_running'],
  waiting: ['trtllm_num_requests_waiting'],
  kvUsage: ['trtllm_kv_cache_utilization'],
  kvBlocks: ['trtllm_kv_cache_max_blocks'],
  kvBlockTokens: ['trtllm_kv_cache_tokens_per_block'],
  cached: ['trtllm_prompt_cached_tokens_total'],
  prompted: ['trtllm_prompt_tokens_total'],
  succeeded: ['trtllm_request_success_total'],
  startedAt: ['process_start_time_seconds'],
} as const

export const trtllm: EngineAdapter = {
  engine: 'trtllm',
  health: { path: '/health', read: (status) => status === 200 ? 'ok' : 'failed' },
  // Not `/metrics`: that is JSON, and every read takes statistics away from other readers.
  metrics: { path: '/prometheus/metrics', names: wantedNames(NAMES), read },
  facts: [openaiModels],
  aliases: () => [],
  reportsUsageWhenAsked: true,
  lacks: ['tgi-generate', 'sglang-generate', 'anthropic-messages'],
}

function read(metrics: MetricSet): EngineReading {
  const blocks = metrics.sum(...NAMES.kvBlocks)
  const blockTokens = metrics.max(...NAMES.kvBlockTokens)
  const prompted = metrics.total(...NAMES.prompted)
  return known<EngineReading>({
    report: known<EngineReport>({
      running: metrics.sum(...NAMES.running),
      waiting: metrics.sum(...NAMES.waiting),
      kvUsageRatio: metrics.max(...NAMES.kvUsage),
      kvCapacityTokens: blocks === undefined || blockTokens === undefined ? undefined : blocks * blockTokens,
    }),
    startedAtSeconds: metrics.max(...NAMES.startedAt),
    counters: [prompted, metrics.total(...NAMES.succeeded)].filter((value) => value !== undefined),
    prefixHitTokens: metrics.total(...NAMES.cached),
    prefixQueryTokens: prompted,
  })
}
