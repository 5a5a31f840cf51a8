import { isUtf8 } from 'node:buffer'
import type { Dialect } from '../../src/protocol/index.js'
import { Members, Num, slowJson, type Json } from './slow-json.js'

/** The plain facts of a body, or `refused`. */
export type SlowFields = 'refused' | {
  model: string | undefined
  stream: boolean
  promptBytes: number
  promptTokens: number | undefined
  maxOutputTokens: number | undefined
  n: number
  promptCount: number
  includeUsage: boolean
  hasTools: boolean
  memberNames: string[]
}

class Refused extends Error {}

const READ: Readonly<Record<string, readonly string[]>> = {
  'openai-chat': ['model', 'stream', 'stream_options', 'max_tokens', 'max_completion_tokens', 'n', 'messages', 'tools', 'functions'],
  'openai-completions': ['model', 'stream', 'stream_options', 'max_tokens', 'n', 'best_of', 'prompt'],
  'tgi-generate': ['model', 'stream', 'inputs', 'parameters'],
}
const SILENT = new Set(['role', 'type', 'id', 'tool_call_id', 'tool_use_id', 'call_id', 'status', 'url', 'image_url', 'data', 'file_data', 'file_id', 'media_type', 'format', 'detail'])

/** Reads a body by parsing all of it. */
export function slowFields (dialect: Dialect, body: Buffer): SlowFields {
  try {
    return read(dialect, body)
  } catch (error) {
    if (error instanceof Refused) return 'refused'
    throw error
  }
}

function read (dialect: Dialect, body: Buffer): SlowFields {
  if (!isUtf8(body) || body[0] === 0xef && body.toString().startsWith('\ufeff')) throw new Refused()
  const text = body.toString()
  const top = slowJson(text)
  if (!(top instanceof Members)) throw new Refused()
  once(top)
  const names = top.pairs.map(pair => pair.name)
  const known = READ[dialect]!
  if (names.some(name => !known.includes(name) && known.includes(name.toLowerCase()))) throw new Refused()
  const get = (name: string): Json | undefined => known.includes(name) ? top.pairs.find(pair => pair.name === name)?.value : undefined

  const model = get('model') ?? undefined
  if (model !== undefined && (typeof model !== 'string' || Buffer.byteLength(model) > 1024)) throw new Refused()
  const options = nested(get('stream_options'))
  const parameters = nested(get('parameters'), true)
  const n = whole(parameters?.get('n') ?? get('n'), 1) ?? 1
  const bestOf = whole(parameters?.get('best_of') ?? get('best_of'), 1)
  const plain = whole(parameters?.get('max_new_tokens') ?? get('max_tokens'), 0)
  const cap = whole(get('max_completion_tokens'), 0) ?? plain
  const prompt = get('prompt') ?? get('inputs')
  const promptCount = Array.isArray(prompt) && prompt.length > 0 && prompt.every(item => typeof item === 'string' || Array.isArray(item) || item instanceof Members) ? prompt.length : 1
  const tools = [get('tools'), get('functions')]
  if (tools.some(list => list !== undefined && list !== null && !Array.isArray(list))) throw new Refused()
  const usedTools = tools.filter(list => Array.isArray(list) && list.length > 0)
  let promptBytes = textBytes(prompt) + textBytes(get('messages'))
  for (const name of ['tools', 'functions']) if (usedTools.includes(get(name))) promptBytes += sourceBytes(text, name)
  const ids = Array.isArray(prompt) ? prompt.flatMap(item => Array.isArray(item) ? item : [item]).filter(item => item instanceof Num).length : 0
  return {
    model,
    stream: flag(get('stream')),
    promptBytes,
    promptTokens: ids > 0 && promptBytes === 0 ? ids : undefined,
    maxOutputTokens: cap === undefined ? undefined : Math.min(cap * Math.max(n, bestOf ?? 1) * promptCount, Number.MAX_SAFE_INTEGER),
    n,
    promptCount,
    includeUsage: flag(options?.get('include_usage')),
    hasTools: usedTools.length > 0,
    memberNames: names,
  }
}

function once (members: Members): void {
  const names = members.pairs.map(pair => pair.name)
  if (new Set(names).size < names.length) throw new Refused()
}

function nested (value: Json | undefined, orList = false): Map<string, Json> | undefined {
  if (value === undefined || value === null) return undefined
  if (orList && Array.isArray(value)) return undefined
  if (!(value instanceof Members)) throw new Refused()
  once(value)
  return new Map(value.pairs.map(pair => [pair.name, pair.value]))
}

function whole (value: Json | undefined, least: number): number | undefined {
  if (value === undefined || value === null) return undefined
  const number = value instanceof Num ? Number(value.text) : NaN
  if (!Number.isSafeInteger(number) || number < least) throw new Refused()
  return number
}

function flag (value: Json | undefined): boolean {
  if (value === undefined || value === null) return false
  if (typeof value !== 'boolean') throw new Refused()
  return value
}

function textBytes (value: Json | undefined, name?: string): number {
  // Half of a surrogate pair counts as 2 bytes, whether its other half is there or not.
  if (typeof value === 'string') return name !== undefined && SILENT.has(name) ? 0 : Buffer.byteLength(value) - (value.match(/\p{Surrogate}/gu)?.length ?? 0)
  if (Array.isArray(value)) return value.reduce((sum: number, item) => sum + textBytes(item), 0)
  if (value instanceof Members) return value.pairs.reduce((sum, pair) => sum + textBytes(pair.value, pair.raw), 0)
  return 0
}

/** Length in the source of a top-level member's value: found by trying every end. */
function sourceBytes (text: string, name: string): number {
  for (const match of text.matchAll(new RegExp(`"${name}"\\s*:\\s*`, 'g'))) {
    const start = match.index + match[0].length
    // Only at the top level does what is before, closed, and what is after, opened, make an object.
    if (slowJson(`${text.slice(0, start)}0}`) === undefined) continue
    for (let end = start + 1; end <= text.length; end++) {
      if (slowJson(text.slice(start, end)) !== undefined) return Buffer.byteLength(text.slice(start, end))
    }
  }
  throw new Error(`no ${name} in ${text}`)
}
