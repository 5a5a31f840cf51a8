import type { EngineKind } from '../../config/index.js'
import { member } from './json.js'

/** One question to an unknown server, and what its answer says. Asked in order until one tells. */
export interface DetectionProbe {
  readonly path: string
  /** `json` is undefined where the body is not JSON. */
  read(status: number, body: string, json: unknown): EngineKind | undefined
}

const OWNERS: ReadonlyMap<unknown, EngineKind> = new Map([['vllm', 'vllm'], ['sglang', 'sglang'], ['llamacpp', 'llamacpp'], ['library', 'ollama']])
const PREFIXES: readonly (readonly [RegExp, EngineKind])[] = [
  [/^(?:ray_)?vllm[:_]/m, 'vllm'], [/^tgi_/m, 'tgi'], [/^sglang:/m, 'sglang'], [/^llamacpp:/m, 'llamacpp'],
]

const ok = (status: number) => status === 200

/** Names of metrics are the surest sign; then what only one kind of server answers. */
export const DETECTION: readonly DetectionProbe[] = [
  { path: '/metrics', read: (status, body) => ok(status) ? PREFIXES.find(([prefix]) => prefix.test(body))?.[1] : undefined },
  { path: '/v1/models', read: (status, _body, json) => ok(status) ? ownerOf(json) : undefined },
  { path: '/info', read: (status, _body, json) => ok(status) && member(json, 'model_id') !== undefined && member(json, 'max_total_tokens') !== undefined ? 'tgi' : undefined },
  { path: '/prometheus/metrics', read: (status, body) => ok(status) && /^trtllm_/m.test(body) ? 'trtllm' : undefined },
  { path: '/get_model_info', read: (status, _body, json) => ok(status) && member(json, 'model_path') !== undefined ? 'sglang' : undefined },
  { path: '/props', read: (status, _body, json) => ok(status) && member(json, 'default_generation_settings') !== undefined ? 'llamacpp' : undefined },
]

function ownerOf(json: unknown): EngineKind | undefined {
  const data = member(json, 'data')
  return Array.isArray(data) ? OWNERS.get(member(data[0], 'owned_by')) : undefined
}
