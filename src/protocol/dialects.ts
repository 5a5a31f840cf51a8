import type { Dialect, ErrorShape } from './types.js'

/** How a path of the data plane is treated. */
export interface Endpoint {
  /** `undefined` where the body decides: see `dialectOfGenerate`. */
  readonly dialect: Dialect | undefined
  readonly errorShape: ErrorShape
  /** The answer streams whatever the body says (TGI `/generate_stream`). */
  readonly alwaysStreams: boolean
  /** The answer never streams whatever the body says (TGI `/generate`, unless the body is SGLang's). */
  readonly neverStreams: boolean
}

const endpoint = (dialect: Dialect | undefined, errorShape: ErrorShape, streaming?: 'always' | 'never'): Endpoint =>
  ({ dialect, errorShape, alwaysStreams: streaming === 'always', neverStreams: streaming === 'never' })

const SCORED = [
  '/v1/embeddings', '/embeddings', '/embed', '/v2/embed', '/pooling',
  '/v1/rerank', '/v2/rerank', '/rerank', '/v1/score', '/score', '/v1/classify', '/classify', '/encode', '/v1/moderations',
]

/** Every path that is scheduled; all of them are POST. */
const ENDPOINTS: ReadonlyMap<string, Endpoint> = new Map([
  ['/v1/chat/completions', endpoint('openai-chat', 'openai')],
  ['/v1/completions', endpoint('openai-completions', 'openai')],
  ['/v1/responses', endpoint('openai-responses', 'openai')],
  ['/v1/messages', endpoint('anthropic-messages', 'anthropic')],
  ['/generate', endpoint(undefined, 'tgi')],
  ['/generate_stream', endpoint('tgi-generate', 'tgi', 'always')],
  ['/', endpoint('tgi-generate', 'tgi')],
  ...SCORED.map((path): [string, Endpoint] => [path, endpoint('scored', 'openai', 'never')]),
])

/** Paths that are scheduled, in the order of the table. */
export const SCHEDULED_PATHS: readonly string[] = [...ENDPOINTS.keys()]

/** The endpoint of an exact path (no query) and method; undefined = not scheduled here (passthrough, other method, 404). */
export function endpointOf (method: string, path: string): Endpoint | undefined {
  return method === 'POST' ? ENDPOINTS.get(path) : undefined
}

/** Is the path scheduled with another method? Then the answer is 405, allow: POST. */
export function isScheduledPath (path: string): boolean {
  return ENDPOINTS.has(path)
}

/** Shape of errors on any path, known or not. */
export function errorShapeOf (path: string): ErrorShape {
  if (path === '/v1/messages' || path.startsWith('/v1/messages/')) return 'anthropic'
  return ENDPOINTS.get(path)?.errorShape ?? 'openai'
}

/** `/generate` has two owners: SGLang's body says `text`, `input_ids` or `input_embeds`, TGI's says `inputs`. */
export function dialectOfGenerate (memberNames: readonly string[]): Dialect {
  if (memberNames.includes('inputs')) return 'tgi-generate'
  return memberNames.some(name => name === 'text' || name === 'input_ids' || name === 'input_embeds' || name === 'sampling_params')
    ? 'sglang-generate'
    : 'tgi-generate'
}
