import { hashText, type Language, prefixHashes, wordText } from './language.js'
import { tokenize } from './tokenizer.js'

/** One answer that the engine will be asked for: how long, how it ends, from where the words come. */
export interface AnswerPlan {
  readonly promptIds: readonly number[]
  /** The language's chain where the answer goes on. */
  readonly state: number
  /** Engine tokens, the end token included. */
  readonly outputTokens: number
  /** Of those, tokens with text: all, or all but the end token. */
  readonly words: number
  readonly finish: 'stop' | 'length'
  /** The stop string that ended it, with the length of the text before it. */
  readonly stopped: { readonly text: string, readonly atChars: number } | undefined
  readonly prefixHashes: Float64Array
}

export interface LengthRules {
  /** The caller's true length of the whole answer; undefined = the language's own draw. */
  readonly answerTokens: number | undefined
  readonly maxTokens: number
  readonly minTokens: number
  readonly ignoreEos: boolean
  readonly stop: readonly string[]
  /** Separates prefix caches (`cache_salt`, adapter). */
  readonly salt: string
}

/** Sized for the engine: what is in the prompt of this very answer already counts towards its length. */
export function planAnswer (language: Language, promptIds: readonly number[], rules: LengthRules, blockTokens: number): AnswerPlan {
  const standing = language.read(promptIds)
  const whole = rules.answerTokens ?? language.answerTokens(standing.answerState)
  const wanted = Math.max(1, rules.minTokens, whole - standing.answered)
  const cut = rules.ignoreEos || wanted > rules.maxTokens
  let outputTokens = cut ? rules.maxTokens : wanted
  let finish: 'stop' | 'length' = cut ? 'length' : 'stop'
  // The end token is the last of a natural end; an answer of one token shows it unless it only closes what is there already.
  let words = cut || (outputTokens === 1 && standing.answered === 0) ? outputTokens : outputTokens - 1

  const stopped = findStop(language, standing.state, words, rules.stop)
  if (stopped !== undefined) {
    words = outputTokens = stopped.words
    finish = 'stop'
  }
  return {
    promptIds,
    state: standing.state,
    outputTokens,
    words,
    finish,
    stopped,
    prefixHashes: prefixHashes(language, promptIds, standing, outputTokens, blockTokens, rules.salt === '' ? 0 : hashText(rules.salt))
  }
}

function findStop (language: Language, from: number, words: number, stop: readonly string[]): { text: string, atChars: number, words: number } | undefined {
  if (stop.length === 0) return undefined
  const longest = Math.max(...stop.map(text => text.length))
  let said = ''
  let state = from
  for (let i = 1; i <= words; i++) {
    const word = language.word(state)
    state = language.after(state, word)
    const searchFrom = Math.max(0, said.length - longest)
    said += wordText(word)
    for (const text of stop) {
      const at = said.indexOf(text, searchFrom)
      if (at >= 0) return { text, atChars: at, words: i }
    }
  }
  return undefined
}

/** Token ids of plain text. */
export function idsOfText (text: string): number[] {
  const ids = tokenize(text)
  // A model needs something to start from.
  return ids.length === 0 ? [0] : ids
}
