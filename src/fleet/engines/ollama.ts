import type { EngineAdapter } from './adapter.js'
import { openaiModels } from './models.js'

/** Exports no metrics; a model is loaded by its first request, so a good check promises little. */
export const ollama: EngineAdapter = {
  engine: 'ollama',
  health: { path: '/', read: (status) => status === 200 ? 'ok' : 'failed' },
  metrics: undefined,
  facts: [openaiModels],
  aliases: (model) => model.endsWith(':latest') ? [model.slice(0, -':latest'.length)] : [],
  reportsUsageWhenAsked: true,
  lacks: ['tgi-generate', 'sglang-generate'],
}
