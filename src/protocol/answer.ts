import type { Usage } from '../core/index.js'
import { ANSWER_SHAPES } from './dialect-shapes.js'
import { parseEngineError } from './engine-error.js'
import { CACHED, CACHE_WRITTEN, ERROR, OUTPUT, PROMPT, Walk } from './event-shape.js'
import { OPEN_BRACKET, skipSpace } from './json.js'
import { usageOf } from './stream-meter.js'
import type { Dialect, EngineError } from './types.js'

export interface AnswerReading {
  /** Is it one complete JSON text? A 200 that is not was cut off or garbage. */
  readonly complete: boolean
  readonly usage: Usage | undefined
  /** An error that came with status 200. */
  readonly error: EngineError | undefined
}

const walk = new Walk()

/** Reads usage out of a whole JSON answer (not a stream), in one pass over its bytes. */
export function readAnswer (dialect: Dialect, body: Buffer | readonly Buffer[]): AnswerReading {
  const b = Buffer.isBuffer(body) ? body : body.length === 1 ? body[0]! : Buffer.concat(body)
  const shapes = ANSWER_SHAPES[dialect]
  const isList = b[skipSpace(b, 0, b.length)] === OPEN_BRACKET
  if (!walk.read(isList && shapes.list !== undefined ? shapes.list : shapes.single, b, 0, b.length)) {
    return { complete: false, usage: undefined, error: undefined }
  }
  const numbers = walk.numbers
  return {
    complete: true,
    usage: usageOf(numbers[PROMPT], numbers[CACHED], numbers[OUTPUT], numbers[CACHE_WRITTEN], dialect === 'anthropic-messages'),
    error: (walk.signs & ERROR) === 0 ? undefined : parseEngineError(undefined, undefined, b),
  }
}
