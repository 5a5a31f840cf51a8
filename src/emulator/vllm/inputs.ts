import { idsOfText } from '../answer-plan.js'
import { renderChat } from '../chat-template.js'
import type { ServerContext } from '../context.js'
import { badRequest, booleanMember, EmulatedError, type JsonObject } from '../http.js'
import { textOfId } from '../language.js'

export function checkModel (context: ServerContext, body: JsonObject): void {
  const { model } = body
  if (model !== undefined && model !== null && model !== context.settings.model) {
    throw new EmulatedError(404, 'NotFoundError', `The model \`${String(model)}\` does not exist.`)
  }
}

/** Token ids of a conversation, opened for the answer. */
export function readChatPrompt (body: JsonObject): number[] {
  const { messages, tools } = body
  if (!Array.isArray(messages) || messages.length === 0) throw badRequest('messages must be a list with at least one message')
  const continueFinalMessage = booleanMember(body, 'continue_final_message')
  const addGenerationPrompt = booleanMember(body, 'add_generation_prompt', true)
  if (continueFinalMessage && addGenerationPrompt) throw badRequest('Cannot set both `continue_final_message` and `add_generation_prompt` to True.')
  try {
    return renderChat({ messages: messages as unknown[], tools: Array.isArray(tools) ? tools as unknown[] : [], continueFinalMessage, addGenerationPrompt })
  } catch (error) {
    throw badRequest((error as Error).message)
  }
}

/** The function that the caller insists on, if any: only then does the emulated model call one. */
export function requiredTool (body: JsonObject): string | undefined {
  const choice = body['tool_choice'] as { function?: { name?: unknown } } | string | null | undefined
  if (typeof choice === 'object' && typeof choice?.function?.name === 'string') return choice.function.name
  const tools = body['tools'] as ReadonlyArray<{ function?: { name?: unknown } }> | undefined
  const name = choice === 'required' ? tools?.[0]?.function?.name : undefined
  return typeof name === 'string' ? name : undefined
}

export interface Prompt {
  readonly ids: readonly number[]
  text(): string
}

/** A string, a list of strings, a list of token ids, or a list of such lists. */
export function readPrompts (value: unknown): Prompt[] {
  const ofText = (text: string): Prompt => ({ ids: idsOfText(text), text: () => text })
  const ofIds = (ids: number[]): Prompt => ({ ids, text: () => ids.map(textOfId).join('') })
  const isIds = (list: unknown[]): list is number[] => list.length > 0 && list.every(id => Number.isInteger(id) && (id as number) >= 0)
  if (typeof value === 'string') return [ofText(value)]
  if (Array.isArray(value) && value.length > 0) {
    const list = value as unknown[]
    if (isIds(list)) return [ofIds(list)]
    if (list.every(item => typeof item === 'string')) return (list as string[]).map(ofText)
    if (list.every(item => Array.isArray(item) && isIds(item as unknown[]))) return (list as number[][]).map(ofIds)
  }
  throw badRequest('prompt must be a string, a list of strings, a list of token ids, or a list of lists of token ids')
}
