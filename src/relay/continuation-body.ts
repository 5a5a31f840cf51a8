import type { Tokens } from '../core/index.js'
import type { RequestFields } from '../protocol/index.js'

/** What an engine can do to go on with somebody else's answer; present where it honours `continue_final_message` and plain prompts. */
export interface ContinuationWays {
  /** Tells the ids of prompt and answer when asked by `return_token_ids`, and takes a prompt as ids. */
  readonly tokenIds: boolean
}

/** How far an answer has come. */
export interface Progress {
  readonly text: string
  readonly tokens: Tokens
  /** Prompt and answer so far as ids; undefined where the engine did not tell them all. */
  readonly ids: readonly number[] | undefined
}

/** Members that make an answer depend on more than the text so far, and the values that switch them off. */
const INEXACT: ReadonlyMap<string, readonly unknown[]> = new Map([
  ['tools', [null]], ['functions', [null]], ['tool_choice', [null, 'none']], ['response_format', [null]],
  ['structured_outputs', [null]], ['guided_json', [null]], ['guided_regex', [null]], ['guided_choice', [null]], ['guided_grammar', [null]],
  ['n', [null, 1]], ['best_of', [null, 1]], ['use_beam_search', [null, false]],
  ['stop', [null]], ['min_tokens', [null, 0]], ['suffix', [null]], ['echo', [null, false]],
  ['presence_penalty', [null, 0]], ['frequency_penalty', [null, 0]],
  ['logprobs', [null, false]], ['top_logprobs', [null]], ['prompt_logprobs', [null]],
  ['return_token_ids', [null, false]], ['return_tokens_as_token_ids', [null, false]],
  ['continue_final_message', [null, false]], ['add_generation_prompt', [null, true]],
])

/** What vLLM and SGLang take where a completion names no limit. */
const DEFAULT_COMPLETION_TOKENS = 16

type Members = Readonly<Record<string, unknown>>

/** The bodies of a request whose answer may be finished by another backend than began it. Edits are splices: all other bytes stay. */
export class ContinuableBody {
  readonly chat: boolean
  readonly #body: Buffer
  readonly #fields: RequestFields
  readonly #members: Members

  /** Undefined where an answer could not be continued exactly. */
  static of(body: Buffer, fields: RequestFields): ContinuableBody | undefined {
    const { dialect, stream, promptCount } = fields
    if (!stream || (dialect !== 'openai-chat' && dialect !== 'openai-completions')) return undefined
    const members = JSON.parse(body.toString()) as Members
    for (const [name, harmless] of INEXACT) {
      if (members[name] !== undefined && !harmless.includes(members[name])) return undefined
    }
    if (dialect === 'openai-completions' && promptCount !== 1) return undefined
    return new ContinuableBody(body, fields, members)
  }

  private constructor(body: Buffer, fields: RequestFields, members: Members) {
    this.#body = body
    this.#fields = fields
    this.#members = members
    this.chat = fields.dialect === 'openai-chat'
  }

  /** May an answer that has come so far go on? */
  allows({ text, ids, tokens }: Progress): boolean {
    if (text === '') return true
    if (!this.chat && ids === undefined && typeof this.#members['prompt'] !== 'string') return false
    return Math.min(...this.#caps().map(([, cap]) => cap)) > tokens
  }

  /** As the client sent it, or for the rest of an answer that has come so far. `askUsage`: for the usage at the end, which the client did not ask for. */
  write(ways: ContinuationWays | undefined, askUsage: boolean, progress: Progress): Buffer {
    const edits = new Map<string, string>()
    if (askUsage) edits.set('stream_options', JSON.stringify({ ...this.#members['stream_options'] as object | null, include_usage: true }))
    if (ways?.tokenIds === true) edits.set('return_token_ids', 'true')
    if (progress.text !== '') this.#goOn(edits, progress)
    return this.#spliced(edits)
  }

  #goOn(edits: Map<string, string>, { text, ids, tokens }: Progress): void {
    if (this.chat) {
      const messages = this.#written('messages').trimEnd()
      edits.set('messages', `${messages.slice(0, -1)},${JSON.stringify({ role: 'assistant', content: text })}]`)
      edits.set('add_generation_prompt', 'false')
      edits.set('continue_final_message', 'true')
    } else {
      edits.set('prompt', JSON.stringify(ids ?? String(this.#members['prompt']) + text))
    }
    for (const [name, cap] of this.#caps()) edits.set(name, String(cap - tokens))
  }

  /** Limits on the output by name, with the engines' own where none is given. */
  #caps(): [name: string, cap: Tokens][] {
    const caps: [string, Tokens][] = []
    for (const name of this.chat ? ['max_completion_tokens', 'max_tokens'] : ['max_tokens']) {
      const cap = this.#members[name]
      if (typeof cap === 'number') caps.push([name, cap])
    }
    if (!this.chat && caps.length === 0) caps.push(['max_tokens', DEFAULT_COMPLETION_TOKENS])
    return caps
  }

  #written(name: string): string {
    const { memberNames, memberSpans } = this.#fields
    const k = memberNames.indexOf(name)
    return this.#body.toString('utf8', memberSpans[2 * k], memberSpans[2 * k + 1])
  }

  #spliced(edits: Map<string, string>): Buffer {
    const { memberNames, memberSpans, closingBrace } = this.#fields
    const pieces: Buffer[] = []
    let from = 0
    for (const [k, name] of memberNames.entries()) {
      const json = edits.get(name)
      if (json === undefined) continue
      pieces.push(this.#body.subarray(from, memberSpans[2 * k]), Buffer.from(json))
      from = memberSpans[2 * k + 1]!
      edits.delete(name)
    }
    pieces.push(this.#body.subarray(from, closingBrace))
    for (const [name, json] of edits) pieces.push(Buffer.from(`,${JSON.stringify(name)}:${json}`))
    pieces.push(this.#body.subarray(closingBrace))
    return Buffer.concat(pieces)
  }
}
