import { tokenize } from './tokenizer.js'

/**
 * The emulated model's words. The next word is a pure function of all tokens before it, so that every server of the same model
 * goes on with exactly the same text from wherever another one stopped, by text or by token ids.
 */

const WORD_BITS = 12
const WORDS = 1 << WORD_BITS

interface Vocabulary {
  readonly ids: Int32Array
  readonly texts: readonly string[]
  readonly indexById: ReadonlyMap<number, number>
}

const UNUSUAL = [' é', ' größe', ' naïve', ' señor', ' дом', ' мир', ' λόγος', ' 日', ' 本', ' 語', ' 한', ' 🙂', ' 🚀', ' €', ' —', ' 42', ' 7', ' "', ' \\', ' {']

/** One or two syllables each, with a leading space; every word is one token of its own id. */
function makeVocabulary (): Vocabulary {
  const onsets = ['b', 'd', 'f', 'g', 'h', 'k', 'l', 'm', 'n', 'p', 'r', 's', 't', 'v', 'w', 'st', 'tr', 'th']
  const rhymes = ['a', 'e', 'i', 'o', 'u', 'an', 'en', 'in', 'on', 'al', 'er', 'is', 'or', 'ul']
  const ids = new Int32Array(WORDS)
  const texts: string[] = []
  const indexById = new Map<number, number>()
  const add = (text: string): void => {
    const pieces = tokenize(text)
    const id = pieces[0] as number
    if (pieces.length !== 1 || indexById.has(id) || texts.length === WORDS) return
    ids[texts.length] = id
    indexById.set(id, texts.length)
    texts.push(text)
  }
  for (const word of UNUSUAL) add(word)
  for (const onset of onsets) for (const rhyme of rhymes) add(` ${onset}${rhyme}`)
  for (const rhyme of rhymes) for (const onset of onsets) for (const onset2 of onsets) for (const rhyme2 of rhymes) add(` ${onset}${rhyme}${onset2}${rhyme2}`)
  return { ids, texts, indexById }
}

const VOCABULARY = makeVocabulary()
const JSON_TEXTS: readonly string[] = VOCABULARY.texts.map(text => JSON.stringify(text).slice(1, -1))

/** Text of a word by its number. */
export function wordText (word: number): string {
  return VOCABULARY.texts[word] as string
}

/** The same, escaped to stand inside a JSON string. */
export function wordJson (word: number): string {
  return JSON_TEXTS[word] as string
}

export function wordId (word: number): number {
  return VOCABULARY.ids[word] as number
}

/** Text of a token id; an id that no word has is shown by its number. */
export function textOfId (id: number): string {
  const word = VOCABULARY.indexById.get(id)
  return word === undefined ? ` <${id}>` : wordText(word)
}

function mix (state: number, id: number): number {
  let hash = Math.imul(state ^ id, 0x9e3779b1)
  hash ^= hash >>> 15
  hash = Math.imul(hash, 0x85ebca6b)
  return hash ^ (hash >>> 13)
}

/** Where the model stands after some tokens. */
export interface Standing {
  /** Chain over all tokens: decides everything that follows. */
  readonly state: number
  /** The chain where the answer began. */
  readonly answerState: number
  /** Tokens of the answer that the prompt contains already: its longest end that this model would have said itself. */
  readonly answered: number
}

export class Language {
  readonly #seed: number

  /** Servers of the same model share the seed; another one speaks otherwise. */
  constructor (seed: number) {
    this.#seed = seed | 0
  }

  read (ids: ArrayLike<number>): Standing {
    let state = this.#seed
    let answerState = state
    let answered = 0
    for (let i = 0; i < ids.length; i++) {
      const id = ids[i] as number
      const expected = id === wordId(this.word(state))
      state = mix(state, id)
      if (expected) answered++
      else {
        answered = 0
        answerState = state
      }
    }
    return { state, answerState, answered }
  }

  /** The word that follows. */
  word (state: number): number {
    return Math.imul(state ^ (state >>> 16), 0x45d9f3b) >>> (32 - WORD_BITS)
  }

  /** The chain after that word. */
  after (state: number, word: number): number {
    return mix(state, wordId(word))
  }

  /**
   * Length in tokens of the answer that begins at a state, its end token included: log-normal, median 129, mean about 190, as
   * measured for chat; 1 to 2000.
   */
  answerTokens (answerState: number): number {
    const u1 = ((mix(answerState, 0x51ed27) >>> 0) + 0.5) / 4294967296
    const u2 = ((mix(answerState, 0x2f1b8d) >>> 0) + 0.5) / 4294967296
    const normal = Math.sqrt(-2 * Math.log(u1)) * Math.cos(2 * Math.PI * u2)
    return Math.min(2000, Math.max(1, Math.round(129 * Math.exp(0.88 * normal))))
  }
}

/**
 * Chained hashes, below 2^53, of the full blocks of the prompt and of the answer that will follow, for the prefix cache.
 * `salt` separates caches.
 */
export function prefixHashes (language: Language, promptIds: ArrayLike<number>, standing: Standing, outputTokens: number, blockTokens: number, salt: number): Float64Array {
  const hashes = new Float64Array(Math.floor((promptIds.length + outputTokens) / blockTokens))
  let high = salt | 0
  let low = ~salt
  let { state } = standing
  for (let i = 0; i < hashes.length * blockTokens; i++) {
    let id: number
    if (i < promptIds.length) id = promptIds[i] as number
    else {
      const word = language.word(state)
      state = language.after(state, word)
      id = wordId(word)
    }
    high = mix(high, id)
    low = Math.imul(low ^ id, 0x01000193) ^ (low >>> 17)
    if ((i + 1) % blockTokens === 0) hashes[(i + 1) / blockTokens - 1] = (high >>> 0) * 2097152 + (low >>> 11)
  }
  return hashes
}

/** Seed or salt from a name. */
export function hashText (text: string): number {
  let hash = 0x811c9dc5
  for (let i = 0; i < text.length; i++) hash = Math.imul(hash ^ text.charCodeAt(i), 0x01000193)
  return mix(hash, text.length)
}
