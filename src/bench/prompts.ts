import { createRandom, type Tokens } from '../core/index.js'

/**
 * Prompts of real words with an ordered number of tokens. Every word of the vocabulary is one token, with the space before it, in the
 * vocabularies of common models as well as in the emulated one: common English words of at most six letters.
 */
const WORDS = ('about above across after again age air all also always among and animal any are area around ask away back bad base basic be because become bed been before begin being best better big bird black blue board boat body book both box boy bring brown build but buy by call came can car care carry case cat center change check child city class clear close cold color come common cool could course cover cross cut dark day deep did dog done door down draw dream drive dry during each early earth east easy eat egg end enough even ever every eye face fact fall family far farm fast father feel feet few field final find fine fire first fish five floor flow fly follow food foot for force form found four free friend from front full game gave get girl give glass go gold good got great green ground group grow had half hand happen hard has have he head hear heart heat heavy help her here high hill him his hold home horse hot hour house how hundred idea if in inch is island it job join jump just keep kept key kind king knew know land large last late laugh law lay lead learn leave left leg length less let letter life light like line list listen little live long look lot love low made main make man many map mark may me mean meet men might mile milk mind minute miss money month moon more most mother mouth move much music must my name near need never new next night nine no north nose not note now number ocean of off often oil old on once one only open or order other our out over own page paint paper part pass past pay people person phone piece place plan plane plant play please point poor power press pretty print public pull push put quick quiet rain ran reach read ready real reason record red rest rich ride right ring rise river road rock roll room round row rule run said sail salt same sand saw say school sea season second see seem sell send set seven shall shape she ship shoe short should show side sign silver simple since sing sister sit six size skin sky sleep slow small snow so soft soil some son song soon sound south space speak speed spell spring stand star start state stay step still stone stop store story street strong study such sugar summer sun sure table tail take talk tall teach team tell ten test than that the their them then there these they thing think third this those though three time tiny to today told too took top toward town trade train travel tree trip true try turn two under unit until up us use usual valley value very view visit voice vowel wait walk wall want war warm was wash watch water wave way we wear week weight well went were west what wheel when where which while white who whole why wide wife wild will wind window winter wish with woman wonder wood word work world would write year yellow yes yet you young your').split(' ').filter(word => word.length <= 6)

/** Words of the text that all prompts are cut from. */
const POOL_WORDS = 1 << 17

/** Tokens that a chat template puts around one message. */
export const CHAT_OVERHEAD: Tokens = 6

/** Writes prompts as JSON-safe text. Within a run the same blocks give the same text; the rest of a prompt is of its own. */
export class PromptWriter {
  readonly #pool: Buffer
  /** Where each word of the pool starts, and the end. */
  readonly #starts = new Uint32Array(POOL_WORDS + 1)
  readonly #blocks = new Map<number, readonly Buffer[]>()

  /** `blockTokens`: what one prefix block stands for; undefined = nothing is shared. `name` keeps the prompts of different runs apart. */
  constructor(private readonly blockTokens: Tokens | undefined, private readonly name: string) {
    const random = createRandom('words')
    const words: string[] = []
    let length = 0
    for (let i = 0; i < POOL_WORDS; i++) {
      const word = ` ${WORDS[Math.floor(random.next() * WORDS.length)]!}`
      words.push(word)
      this.#starts[i] = length
      length += word.length
    }
    this.#starts[POOL_WORDS] = length
    this.#pool = Buffer.from(words.join(''))
  }

  /** Pieces of text, in order, of about `tokens` tokens (at least one). */
  write(tokens: Tokens, prefixBlocks: readonly number[], index: number): readonly Buffer[] {
    const pieces: Buffer[] = []
    let left = Math.max(1, tokens)
    if (this.blockTokens !== undefined) {
      for (const block of prefixBlocks) {
        if (left < this.blockTokens) break
        pieces.push(...this.#block(block))
        left -= this.blockTokens
      }
    }
    // Words that no other prompt starts with, so that nothing is found in a prefix cache that should not be.
    if (left > 0) pieces.push(...this.#text(left, `${this.name}/${index}`))
    return pieces
  }

  #block(id: number): readonly Buffer[] {
    const known = this.#blocks.get(id)
    if (known !== undefined) return known
    const text = this.#text(this.blockTokens!, `${this.name}/block ${id}`)
    this.#blocks.set(id, text)
    return text
  }

  /** Drawn by `key`: some words one by one, which tell it from all others, the rest in one stretch of the pool. */
  #text(tokens: Tokens, key: string): Buffer[] {
    const random = createRandom(key)
    const single = Math.min(tokens, DISTINCT_WORDS)
    const pieces: Buffer[] = []
    for (let i = 0; i < single; i++) pieces.push(this.#words(Math.floor(random.next() * POOL_WORDS), 1))
    let left = tokens - single
    while (left > 0) {
      const from = Math.floor(random.next() * POOL_WORDS)
      const count = Math.min(left, POOL_WORDS - from)
      pieces.push(this.#words(from, count))
      left -= count
    }
    return pieces
  }

  #words(from: number, count: number): Buffer {
    return this.#pool.subarray(this.#starts[from]!, this.#starts[from + count]!)
  }
}

/** Of a vocabulary of several hundred words: far more starts than there are requests. */
const DISTINCT_WORDS = 4
