import type { EngineAdapter, EngineReading } from './adapter.js'
import { known } from './json.js'
import { openaiModels } from './models.js'
import { wantedNames } from './names.js'
import type { MetricSet } from '../prometheus.js'
import type { EngineReport } from '../../core/index.js'

const NAMES = {
  running: ['sglang_num_running_reqs'],
  waiting: ['sglang_num_queue_reqs'],
  kvUsage: ['sglang_full_token_usage', 'sglang_token_usage'],
  kvCapacity: ['sglang_max_total_num_tokens'],
  /** The gauge `cache_hit_rate` falls to 0 on every decode report: only counters are believed. */
  cached: ['sglang_cached_tokens_total'],
  prompted: ['sglang_prompt_tokens_total'],
  requests: ['sglang_num_requests_total'],
  startedAt: ['process_start_time_seconds'],
} as const

export const sglang: EngineAdapter = {
  engine: 'sglang',
  // A check generates a token: it takes a second or more under load, up to 20, and costs a prefill.
  health: { path: '/health', minIntervalMs: 10_000, minTimeoutMs: 21_000, read: (status) => status === 200 ? 'ok' : 'failed' },
  metrics: { path: '/metrics', names: wantedNames(NAMES), read },
  facts: [openaiModels],
  aliases: () => [],
  reportsUsageWhenAsked: true,
  continuation: { tokenIds: false },
  lacks: ['tgi-generate'],
}

function read(metrics: MetricSet): EngineReading {
  const prompted = metrics.total(...NAMES.prompted)
  return known<EngineReading>({
    report: known<EngineReport>({
      running: metrics.sum(...NAMES.running),
      waiting: metrics.sum(...NAMES.waiting),
      kvUsageRatio: metrics.max(...NAMES.kvUsage),
      kvCapacityTokens: metrics.sum(...NAMES.kvCapacity),
    }),
    startedAtSeconds: metrics.max(...NAMES.startedAt),
    counters: [prompted, metrics.total(...NAMES.requests)].filter((value) => value !== undefined),
    prefixHitTokens: metrics.total(...NAMES.cached),
    prefixQueryTokens: prompted,
  })
}
