import type { EngineAdapter, EngineFacts, EngineReading } from './adapter.js'
import { known, member, positive } from './json.js'
import { openaiModels } from './models.js'
import { wantedNames } from './names.js'
import type { MetricSet } from '../prometheus.js'
import type { EngineReport } from '../../core/index.js'

const NAMES = {
  running: ['llamacpp_requests_processing'],
  waiting: ['llamacpp_requests_deferred'],
  kvUsage: ['llamacpp_kv_cache_usage_ratio'],
  prompted: ['llamacpp_prompt_tokens_total'],
  predicted: ['llamacpp_tokens_predicted_total'],
} as const

export const llamacpp: EngineAdapter = {
  engine: 'llamacpp',
  // 503 while the model loads.
  health: { path: '/health', read: (status) => status === 200 ? 'ok' : 'failed' },
  metrics: { path: '/metrics', names: wantedNames(NAMES), read },
  facts: [openaiModels, { path: '/props', read: readProps }],
  aliases: () => [],
  reportsUsageWhenAsked: true,
  lacks: ['tgi-generate', 'sglang-generate'],
}

function read(metrics: MetricSet): EngineReading {
  return {
    report: known<EngineReport>({
      running: metrics.sum(...NAMES.running),
      waiting: metrics.sum(...NAMES.waiting),
      kvUsageRatio: metrics.max(...NAMES.kvUsage),
    }),
    counters: [metrics.total(...NAMES.prompted), metrics.total(...NAMES.predicted)].filter((value) => value !== undefined),
  }
}

/** Context per slot times slots is what the KV cache holds. */
function readProps(body: unknown): EngineFacts {
  const contextTokens = positive(member(member(body, 'default_generation_settings'), 'n_ctx'))
  const slots = positive(member(body, 'total_slots'))
  return known<EngineFacts>({
    contextTokens,
    kvCapacityTokens: contextTokens === undefined || slots === undefined ? undefined : contextTokens * slots,
  })
}
