/** Names and bucket bounds of the GenAI semantic conventions. */

/** What answers, for `gen_ai.system`: the engine behind may be any. */
export const SYSTEM = 'sluice'

export const INSTRUMENTS = {
  'gen_ai.server.time_to_first_token': {
    unit: 's', description: 'Time to generate the first token.',
    bounds: [0.001, 0.005, 0.01, 0.02, 0.04, 0.06, 0.08, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10],
  },
  'gen_ai.server.time_per_output_token': {
    unit: 's', description: 'Time per output token after the first.',
    bounds: [0.01, 0.025, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.75, 1, 2.5],
  },
  'gen_ai.server.request.duration': {
    unit: 's', description: 'Duration of a request.',
    bounds: [0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.28, 2.56, 5.12, 10.24, 20.48, 40.96, 81.92],
  },
  'gen_ai.client.token.usage': {
    unit: '{token}', description: 'Input and output tokens of a request.',
    bounds: [1, 4, 16, 64, 256, 1024, 4096, 16384, 65536, 262144, 1048576, 4194304, 16777216, 67108864],
  },
} as const

/** `gen_ai.operation.name` by path. */
export function operationOf(path: string): 'chat' | 'embeddings' | 'text_completion' {
  if (/chat|messages|responses/.test(path)) return 'chat'
  return path.includes('embed') ? 'embeddings' : 'text_completion'
}
