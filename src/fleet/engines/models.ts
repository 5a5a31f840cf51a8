import type { EngineFacts, ModelFact } from './adapter.js'
import { known, member, positive, text } from './json.js'

/** More than this of one server is not a list of models any more. */
const MAX_MODELS = 1000
const MAX_NAME_LENGTH = 256

/** The OpenAI list, with the context length that vLLM and SGLang add. */
export const openaiModels = {
  path: '/v1/models',
  read(body: unknown): EngineFacts {
    const data = member(body, 'data')
    if (!Array.isArray(data)) return {}
    const models: ModelFact[] = []
    for (const entry of data.slice(0, MAX_MODELS)) {
      const id = text(member(entry, 'id'))
      if (id === undefined || id.length > MAX_NAME_LENGTH) continue
      models.push(known<ModelFact>({
        id,
        created: positive(member(entry, 'created')),
        ownedBy: text(member(entry, 'owned_by')),
        maxModelTokens: positive(member(entry, 'max_model_len')),
      }))
    }
    return { models }
  },
}
