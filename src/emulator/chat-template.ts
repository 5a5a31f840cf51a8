import { hashText } from './language.js'
import { END_TOKEN, IMAGE_TOKEN, START_TOKEN, tokenize } from './tokenizer.js'

/** Tokens that a picture costs, whatever its size. */
const IMAGE_TOKENS = 256

export interface ChatPrompt {
  readonly messages: readonly unknown[]
  readonly tools: readonly unknown[]
  /** Leave the last message open and go on with it, in place of opening a new one of the assistant. */
  readonly continueFinalMessage: boolean
  readonly addGenerationPrompt: boolean
}

/** Messages to token ids: each message between a start and an end token, the role in front, as chat templates do. Throws what is wrong as text. */
export function renderChat (chat: ChatPrompt): number[] {
  const ids: number[] = []
  if (chat.tools.length > 0) {
    ids.push(START_TOKEN, ...roleIds('tools'))
    for (const tool of chat.tools) tokenize(JSON.stringify(tool), ids)
    ids.push(END_TOKEN)
  }
  chat.messages.forEach((message, i) => {
    if (typeof message !== 'object' || message === null) throw new TypeError(`messages[${i}] must be an object`)
    const { role, content, tool_calls: toolCalls } = message as { role?: unknown, content?: unknown, tool_calls?: unknown }
    if (typeof role !== 'string') throw new TypeError(`messages[${i}].role must be a string`)
    ids.push(START_TOKEN, ...roleIds(role))
    addContent(content, ids, i)
    if (toolCalls !== undefined && toolCalls !== null) tokenize(JSON.stringify(toolCalls), ids)
    if (!(chat.continueFinalMessage && i === chat.messages.length - 1)) ids.push(END_TOKEN)
  })
  if (chat.addGenerationPrompt && !chat.continueFinalMessage) ids.push(START_TOKEN, ...roleIds('assistant'))
  return ids
}

function roleIds (role: string): number[] {
  return tokenize(role)
}

function addContent (content: unknown, ids: number[], index: number): void {
  if (content === undefined || content === null) return
  if (typeof content === 'string') {
    tokenize(content, ids)
    return
  }
  if (!Array.isArray(content)) throw new TypeError(`messages[${index}].content must be a string or a list of parts`)
  for (const part of content as unknown[]) {
    const { text, ...rest } = (part ?? {}) as { text?: unknown }
    if (typeof text === 'string') {
      tokenize(text, ids)
      continue
    }
    const picture = hashText(JSON.stringify(rest)) & 0x7fff
    for (let i = 0; i < IMAGE_TOKENS; i++) ids.push(i === 0 ? 200_000 + picture : IMAGE_TOKEN)
  }
}
