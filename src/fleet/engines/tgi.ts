import type { EngineAdapter, EngineFacts, EngineReading, ModelFact } from './adapter.js'
import { known, member, positive, text } from './json.js'
import { wantedNames } from './names.js'
import type { MetricSet } from '../prometheus.js'
import type { EngineReport } from '../../core/index.js'

const NAMES = {
  running: ['tgi_batch_current_size'],
  waiting: ['tgi_queue_size'],
  requests: ['tgi_request_count', 'tgi_request_count_total'],
  inferences: ['tgi_batch_inference_count', 'tgi_batch_inference_count_total'],
  skipped: ['tgi_request_skipped_tokens_sum'],
  inputs: ['tgi_request_input_length_sum'],
  startedAt: ['process_start_time_seconds'],
} as const

export const tgi: EngineAdapter = {
  engine: 'tgi',
  // Asks the shard, so it sees a dead one.
  health: { path: '/health', read: (status) => status === 200 ? 'ok' : 'failed' },
  metrics: { path: '/metrics', names: wantedNames(NAMES), read },
  facts: [{ path: '/info', read: readInfo }],
  // The server does not check the name; `tgi` is what its own examples send.
  aliases: () => ['tgi'],
  reportsUsageWhenAsked: true,
  lacks: ['sglang-generate', 'openai-responses', 'anthropic-messages', 'scored'],
}

function read(metrics: MetricSet): EngineReading {
  const counters = [metrics.total(...NAMES.requests), metrics.total(...NAMES.inferences)]
  return known<EngineReading>({
    report: known<EngineReport>({ running: metrics.sum(...NAMES.running), waiting: metrics.sum(...NAMES.waiting) }),
    startedAtSeconds: metrics.max(...NAMES.startedAt),
    counters: counters.filter((value) => value !== undefined),
    prefixHitTokens: metrics.total(...NAMES.skipped),
    prefixQueryTokens: metrics.total(...NAMES.inputs),
  })
}

function readInfo(body: unknown): EngineFacts {
  const id = text(member(body, 'model_id'))
  const maxModelTokens = positive(member(body, 'max_total_tokens'))
  return known<EngineFacts>({
    models: id === undefined ? undefined : [known<ModelFact>({ id, ownedBy: 'tgi', maxModelTokens })],
    kvCapacityTokens: positive(member(body, 'max_batch_total_tokens')),
    contextTokens: maxModelTokens,
  })
}
