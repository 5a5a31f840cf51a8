import type { EngineAdapter } from './adapter.js'
import { openaiModels } from './models.js'

/**
 * Any server that speaks the OpenAI protocol; nothing more is assumed. Whatever it answers below 500 shows that it is
 * there: a hosted service may want a key for its list of models, or not have one. Asked rarely, since it may count calls.
 */
export const openai: EngineAdapter = {
  engine: 'openai',
  health: { path: '/v1/models', minIntervalMs: 10_000, read: (status) => status < 500 ? 'ok' : 'failed' },
  metrics: undefined,
  facts: [openaiModels],
  aliases: () => [],
  // An unknown server may refuse what it does not know; without usage tokens are counted by events.
  reportsUsageWhenAsked: false,
}
