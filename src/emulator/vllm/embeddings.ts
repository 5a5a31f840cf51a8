import type { Call, Route, ServerContext } from '../context.js'
import type { EmulatedSequence, TokenReceiver } from '../engine-driver.js'
import { EmulatedError, parseObject, sendJson } from '../http.js'
import { Language, hashText } from '../language.js'
import { checkModel, readPrompts } from './inputs.js'

const DIMENSIONS = 64

/** Embeddings: prefill only, one vector of unit length per input, a pure function of its tokens. */
export function embeddingRoute (context: ServerContext): Route {
  return { generation: false, handle: call => { embed(context, call) } }
}

function embed (context: ServerContext, call: Call): void {
  const { driver, statistics, ledger, settings } = context
  const body = parseObject(call.body)
  checkModel(context, body)
  const inputs = readPrompts(body['input'])
  const base64 = body['encoding_format'] === 'base64'
  const sequences: EmulatedSequence[] = []
  let left = inputs.length
  const receiver: TokenReceiver = {
    token: () => {},
    finished: () => {
      if (--left > 0) return
      ledger.completed++
      const tokens = inputs.reduce((sum, input) => sum + input.ids.length, 0)
      sendJson(call.res, 200, {
        id: `embd-${ledger.received}`,
        object: 'list',
        model: settings.model,
        data: inputs.map((input, index) => ({ index, object: 'embedding', embedding: encode(vectorOf(input.ids), base64) })),
        usage: { prompt_tokens: tokens, total_tokens: tokens, completion_tokens: 0, prompt_tokens_details: null }
      })
    }
  }
  const letGo = (): void => { for (const sequence of sequences) driver.abort(sequence) }
  for (const { ids } of inputs) {
    const sequence = driver.submit({ promptTokens: ids.length, outputTokens: 0, tag: receiver })
    if (sequence === undefined) {
      letGo()
      statistics.refused++
      throw new EmulatedError(503, 'ServiceUnavailable', 'The server is at its limit of queued requests. Try again later.')
    }
    sequences.push(sequence)
  }
  call.res.once('close', () => {
    if (left === 0) return
    ledger.aborted++
    letGo()
  })
}

function vectorOf (ids: readonly number[]): number[] {
  const language = new Language(hashText('embedding'))
  let { state } = language.read(ids)
  const vector: number[] = []
  let squares = 0
  for (let i = 0; i < DIMENSIONS; i++) {
    const word = language.word(state)
    state = language.after(state, word)
    const value = word / 2048 - 1
    squares += value * value
    vector.push(value)
  }
  const length = Math.sqrt(squares)
  return vector.map(value => value / length)
}

function encode (vector: number[], base64: boolean): number[] | string {
  return base64 ? Buffer.from(new Float32Array(vector).buffer).toString('base64') : vector
}
