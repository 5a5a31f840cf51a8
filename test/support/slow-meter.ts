import type { Dialect, EngineError } from '../../src/protocol/index.js'
import type { Usage } from '../../src/core/index.js'
import { parseEngineError } from '../../src/protocol/index.js'
import { Members, Num, slowJson, type Json } from './slow-json.js'

export interface SlowReading {
  tokenEvents: number
  events: number
  firstEventIsError: boolean | undefined
  usage: Usage | undefined
  error: EngineError | undefined
  finished: boolean
  /** The stream without its usage-only events. */
  stripped: Buffer
}

/** Meters a whole stream the slow and obvious way: split into lines, join the data, parse all of it. */
export function slowMeter (dialect: Dialect, stream: Buffer, choices = 1): SlowReading {
  const reading: SlowReading = { tokenEvents: 0, events: 0, firstEventIsError: undefined, usage: undefined, error: undefined, finished: false, stripped: Buffer.alloc(0) }
  const counts = new Map<string, number>()
  let finishes = 0
  let done = false
  const kept: Buffer[] = []
  for (const block of blocksOf(stream)) {
    const { data, name } = fieldsOf(block.text)
    let strip = false
    if (data !== undefined) {
      reading.events++
      const value = slowJson(utf8(data))
      const top = value instanceof Members ? value : new Members([])
      const isError = data !== '[DONE]' && (name === 'error' || isErrorOf(dialect, top))
      reading.firstEventIsError ??= isError
      if (data === '[DONE]') done = true
      if (isError) reading.error ??= parseEngineError(undefined, undefined, Buffer.from(data, 'latin1'))
      else if (isToken(dialect, top)) reading.tokenEvents++
      if (isLast(dialect, top)) done = true
      finishes += finishesOf(dialect, top)
      for (const usage of usagesOf(dialect, top)) for (const [slot, count] of usage) counts.set(slot, count)
      strip = !isError && top.all('choices').some(list => Array.isArray(list) && list.length === 0) &&
        top.all('usage').some(usage => usage instanceof Members) && dialect.startsWith('openai-c')
    }
    if (!strip) kept.push(stream.subarray(block.start, block.end))
  }
  reading.finished = done || finishes >= choices
  reading.stripped = Buffer.concat(kept)
  const [prompt, cached, output, written] = ['prompt', 'cached', 'output', 'written'].map(slot => counts.get(slot))
  if (prompt !== undefined || cached !== undefined || output !== undefined) {
    reading.usage = {
      ...(prompt !== undefined && { promptTokens: prompt + (dialect === 'anthropic-messages' ? (cached ?? 0) + (written ?? 0) : 0) }),
      ...(cached !== undefined && { cachedTokens: cached }),
      ...(output !== undefined && { outputTokens: output }),
    }
  }
  return reading
}

const utf8 = (latin1: string): string => new TextDecoder('utf-8', { ignoreBOM: true }).decode(Buffer.from(latin1, 'latin1'))

/** Events with their lines, cut after the empty line; the last may be unfinished. One character per byte. */
function blocksOf (stream: Buffer): Array<{ start: number, end: number, text: string }> {
  const text = stream.toString('latin1')
  const blocks = []
  let start = 0
  const bom = text.startsWith('\xef\xbb\xbf') ? 3 : 0
  for (const line of text.slice(bom).matchAll(/([^\r\n]*)(\r\n|\r|\n|$)/g)) {
    const end = bom + line.index + line[0].length
    if (line[1] === '' || end === text.length) {
      if (end > start) blocks.push({ start, end, text: text.slice(Math.max(start, bom), end) })
      start = end
    }
    if (end === text.length) break
  }
  return blocks
}

function fieldsOf (block: string): { data: string | undefined, name: string } {
  const data: string[] = []
  let name = ''
  for (const line of block.split(/\r\n|\r|\n/)) {
    const [, field, , value = ''] = /^([^:]*)(: ?)?([\s\S]*)$/.exec(line)!
    if (line !== '' && field === 'data') data.push(value)
    if (field === 'event') name = value
  }
  return { data: data.length > 0 ? data.join('\n') : undefined, name }
}

const members = (values: Json[]): Members[] => values.filter(value => value instanceof Members)
const some = (values: Json[], test: (value: Json) => boolean): boolean => values.some(test)
const said = (value: Json): boolean => typeof value === 'string' && value !== ''
const filled = (value: Json): boolean => (Array.isArray(value) && value.length > 0) || (value instanceof Members && value.pairs.length > 0)
const present = (value: Json): boolean => typeof value === 'string' || Array.isArray(value) || value instanceof Members
const elements = (values: Json[]): Members[] => members(values.flatMap(value => Array.isArray(value) ? value : []))

function isErrorOf (dialect: Dialect, top: Members): boolean {
  return some(top.all('error'), present) ||
    (dialect !== 'anthropic-messages' && dialect !== 'tgi-generate' && top.all('object').includes('error')) ||
    ((dialect === 'anthropic-messages' || dialect === 'openai-responses') && top.all('type').includes('error')) ||
    (dialect === 'openai-responses' && members(top.all('response')).some(response => some(response.all('error'), present)))
}

function isToken (dialect: Dialect, top: Members): boolean {
  switch (dialect) {
    case 'openai-chat':
      return elements(top.all('choices')).some(choice => some(choice.all('token_ids'), filled) || members(choice.all('delta')).some(delta =>
        ['content', 'reasoning', 'reasoning_content', 'refusal'].some(name => some(delta.all(name), said)) ||
        ['tool_calls', 'function_call'].some(name => some(delta.all(name), filled))))
    case 'openai-completions':
      return elements(top.all('choices')).some(choice => some(choice.all('token_ids'), filled) || some(choice.all('text'), said))
    case 'openai-responses':
      return top.all('type').some(type => typeof type === 'string' && type.endsWith('.delta')) && some(top.all('delta'), said)
    case 'anthropic-messages':
      return top.all('type').includes('content_block_delta') &&
        members(top.all('delta')).some(delta => ['text', 'thinking', 'partial_json'].some(name => some(delta.all(name), said)))
    case 'tgi-generate': return some(top.all('token'), filled)
    case 'sglang-generate': return some(top.all('text'), said) || some(top.all('output_ids'), filled)
    case 'scored': return false
  }
}

function isLast (dialect: Dialect, top: Members): boolean {
  switch (dialect) {
    case 'openai-responses': return top.all('type').some(type => type === 'response.completed' || type === 'response.incomplete' || type === 'response.failed')
    case 'anthropic-messages': return top.all('type').includes('message_stop')
    case 'tgi-generate': return some(top.all('generated_text'), present)
    default: return false
  }
}

function finishesOf (dialect: Dialect, top: Members): number {
  const owners = dialect === 'sglang-generate' ? members(top.all('meta_info')) : dialect.startsWith('openai-c') ? elements(top.all('choices')) : []
  return owners.flatMap(owner => owner.all('finish_reason')).filter(present).length
}

/** Counts in the order of the text. */
function usagesOf (dialect: Dialect, top: Members): Array<Array<[string, number]>> {
  const slots: Record<string, string> =
    dialect === 'openai-responses' ? { input_tokens: 'prompt', output_tokens: 'output', 'input_tokens_details.cached_tokens': 'cached' }
      : dialect === 'anthropic-messages' ? { input_tokens: 'prompt', output_tokens: 'output', cache_read_input_tokens: 'cached', cache_creation_input_tokens: 'written' }
        : dialect === 'tgi-generate' ? { generated_tokens: 'output', input_length: 'prompt' }
          : dialect === 'sglang-generate' ? { prompt_tokens: 'prompt', completion_tokens: 'output', cached_tokens: 'cached' }
            : { prompt_tokens: 'prompt', completion_tokens: 'output', 'prompt_tokens_details.cached_tokens': 'cached' }
  const owners: Members[] = []
  for (const { raw, value } of top.pairs) {
    if (!(value instanceof Members)) continue
    if (raw === { 'openai-responses': 'none', 'tgi-generate': 'details', 'sglang-generate': 'meta_info' }[dialect as string]) owners.push(value)
    else if (raw === 'usage' && !['openai-responses', 'tgi-generate', 'sglang-generate'].includes(dialect)) owners.push(value)
    else if ((raw === 'response' && dialect === 'openai-responses') || (raw === 'message' && dialect === 'anthropic-messages')) {
      owners.push(...members(value.all('usage')))
    }
  }
  return owners.map(owner => countsOf(owner, '', slots))
}

function countsOf (owner: Members, prefix: string, slots: Record<string, string>): Array<[string, number]> {
  return owner.pairs.flatMap(({ raw, value }): Array<[string, number]> => {
    const slot = slots[prefix + raw]
    if (value instanceof Members && prefix === '') return countsOf(value, `${raw}.`, slots)
    return slot !== undefined && value instanceof Num && /^\d+$/.test(value.text) && Number(value.text) <= 1e9 ? [[slot, Number(value.text)]] : []
  })
}
