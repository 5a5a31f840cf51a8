import { createRandom, type Random, type Tokens } from '../core/index.js'
import { CHAT_OVERHEAD, type PromptWriter } from './prompts.js'
import { hostHeader } from './target.js'
import type { Api, PlannedRequest, RequestStyle, Target } from './types.js'

const PATHS: Readonly<Record<Api, string>> = { chat: '/v1/chat/completions', completions: '/v1/completions', tgi: '/generate_stream' }

/** Caps that clients are known to send; the truth is below whichever is sent. */
const COMMON_CAPS: readonly Tokens[] = [256, 512, 1024, 2048, 4096, 8192]

/** Makes the bytes of requests, head and body, ready to be written. */
export class RequestWriter {
  readonly #random: Random

  constructor(private readonly target: Target, private readonly style: RequestStyle, private readonly prompts: PromptWriter, seed: number) {
    this.#random = createRandom(`${seed}/caps`)
  }

  write(request: PlannedRequest, id: string): Buffer {
    const { api } = this.style
    const { start, end } = this.#around(request.outputTokens)
    const prompt = this.prompts.write(request.promptTokens - (api === 'chat' ? CHAT_OVERHEAD : 0), request.prefixBlocks, request.index)
    const pieces = [Buffer.from(start), ...prompt, Buffer.from(end)]
    const length = pieces.reduce((sum, piece) => sum + piece.length, 0)
    return Buffer.concat([Buffer.from(this.#head(request, id, length)), ...pieces])
  }

  #head(request: PlannedRequest, id: string, length: number): string {
    const { api, classHeader, headers } = this.style
    const lines = [
      `POST ${this.target.basePath}${PATHS[api]} HTTP/1.1`, `host: ${hostHeader(this.target)}`, 'content-type: application/json', 'accept: text/event-stream',
      `x-request-id: ${id}`, `content-length: ${length}`,
      ...classHeader === undefined ? [] : [`${classHeader}: ${request.class.name}`],
      ...Object.entries(headers).map(([name, value]) => `${name}: ${value}`),
    ]
    return `${lines.join('\r\n')}\r\n\r\n`
  }

  /** What stands before and after the prompt's text. */
  #around(outputTokens: Tokens): { start: string, end: string } {
    const { api, model, trueLengths } = this.style
    const cap = trueLengths === 'emulate' ? this.#cap(outputTokens) : outputTokens
    const more = trueLengths === 'emulate' ? { emulate_output_tokens: outputTokens } : trueLengths === 'ignore-eos' ? { ignore_eos: true } : {}
    const whole = api === 'tgi'
      ? { inputs: MARK, parameters: { max_new_tokens: cap, details: true }, ...more }
      : { ...model !== undefined && { model }, stream: true, stream_options: { include_usage: true }, max_tokens: cap, ...more, ...api === 'chat' ? { messages: [{ role: 'user', content: MARK }] } : { prompt: MARK } }
    const [start = '', end = ''] = JSON.stringify(whole).split(MARK)
    return { start, end }
  }

  /** The next common cap above the truth, or one or two more: it tells little. */
  #cap(outputTokens: Tokens): Tokens {
    const first = COMMON_CAPS.findIndex(cap => cap >= outputTokens)
    return first < 0 ? outputTokens : COMMON_CAPS[Math.min(COMMON_CAPS.length - 1, first + Math.floor(this.#random.next() * 3))]!
  }
}

/** Stands for the prompt where the rest of the body is made. */
const MARK = '@prompt@'
