import type { EngineKind } from '../../config/index.js'
import type { EngineAdapter } from './adapter.js'
import { llamacpp } from './llamacpp.js'
import { ollama } from './ollama.js'
import { openai } from './openai.js'
import { sglang } from './sglang.js'
import { tgi } from './tgi.js'
import { trtllm } from './trtllm.js'
import { vllm } from './vllm.js'

/** One line per engine; adding one here and a file beside it is all that a new engine needs. */
export const ADAPTERS: Readonly<Record<EngineKind, EngineAdapter>> = { vllm, tgi, sglang, trtllm, llamacpp, ollama, openai }
