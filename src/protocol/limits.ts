import type { Tokens } from '../core/index.js'
import type { RequestProblem } from './body.js'
import type { RequestFields } from './types.js'

/** Caps against cost bombs, from config. */
export interface RequestLimits {
  readonly maxN: number
  /** Most output tokens that may be asked for, times `n` and prompts. */
  readonly maxOutputTokens: Tokens
  readonly maxPrompts: number
  /** Top-level members that are refused, since they steer a server's internals. */
  readonly denyFields: ReadonlySet<string>
}

/** Why the request goes over a limit, or undefined; status 400, code `invalid_request`. */
export function checkLimits (fields: RequestFields, limits: RequestLimits): RequestProblem | undefined {
  for (const name of fields.memberNames) {
    // Parsers that ignore case would read the name all the same.
    if (limits.denyFields.has(name) || limits.denyFields.has(name.toLowerCase())) {
      return { message: `"${name}" is not accepted by this gateway: it steers the model server's internals. Leave it out.`, param: name }
    }
  }
  if (fields.n > limits.maxN) return tooLarge('n', fields.n, limits.maxN)
  if (fields.bestOf !== undefined && fields.bestOf > limits.maxN) return tooLarge('best_of', fields.bestOf, limits.maxN)
  if (fields.promptCount > limits.maxPrompts) return tooLarge('prompt', fields.promptCount, limits.maxPrompts, 'The number of prompts in')
  if (fields.maxOutputTokens !== undefined && fields.maxOutputTokens > limits.maxOutputTokens) {
    return tooLarge('max_tokens', fields.maxOutputTokens, limits.maxOutputTokens, 'The cap on output tokens, times n and prompts, in')
  }
  return undefined
}

const tooLarge = (param: string, got: number, most: number, what = 'The value of'): RequestProblem =>
  ({ message: `${what} "${param}" must be at most ${most}; got ${got}.`, param })
