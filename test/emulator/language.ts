import fc from 'fast-check'
import t from 'tap'
import { type AnswerPlan, idsOfText, type LengthRules, planAnswer } from '../../src/emulator/answer-plan.js'
import { renderChat } from '../../src/emulator/chat-template.js'
import { hashText, Language, wordId, wordJson, wordText } from '../../src/emulator/language.js'
import { tokenize } from '../../src/emulator/tokenizer.js'

const language = new Language(hashText('some-model'))
const rules: LengthRules = { answerTokens: undefined, maxTokens: 1000, minTokens: 0, ignoreEos: false, stop: [], salt: '' }
const plan = (promptIds: readonly number[], changes: Partial<LengthRules> = {}): AnswerPlan => planAnswer(language, promptIds, { ...rules, ...changes }, 16)

/** The words of a plan. */
function say ({ state, words }: AnswerPlan): { text: string, ids: number[] } {
  let at = state
  let text = ''
  const ids: number[] = []
  for (let i = 0; i < words; i++) {
    const word = language.word(at)
    at = language.after(at, word)
    text += wordText(word)
    ids.push(wordId(word))
  }
  return { text, ids }
}

t.test('tokens: about four bytes each, and each word of the vocabulary is one', async t => {
  const text = 'The gateway forwards bytes; it measures the time to the first token and the gap between tokens, request by request.'
  const bytesPerToken = text.length / tokenize(text).length
  t.ok(bytesPerToken > 3 && bytesPerToken < 5.5, `${bytesPerToken} bytes a token`)
  t.same(tokenize(''), [])
  for (let word = 0; word < 4096; word++) {
    if (tokenize(wordText(word))[0] !== wordId(word) || tokenize(wordText(word)).length !== 1 || JSON.parse(`"${wordJson(word)}"`) !== wordText(word)) t.fail(`word ${word}`)
  }
})

t.test('any text, cut before a word: the tokens of both parts are the tokens of the whole', async () => {
  fc.assert(fc.property(fc.string({ unit: 'binary' }), fc.nat(4095), fc.nat(4095), (text, first, second) => {
    const end = wordText(first) + wordText(second)
    const whole = tokenize(text + end)
    const parts = [...tokenize(text), ...tokenize(end)]
    return whole.length === parts.length && whole.every((id, i) => id === parts[i])
  }), { seed: 3, numRuns: 500 })
})

t.test('an answer can be taken up anywhere, by text and by ids, to the same end', async t => {
  for (const prompt of ['Tell me something', 'ends with a line\n', 'ends with a space ', '日本語で']) {
    for (const [name, changes] of Object.entries({ drawn: {}, ordered: { answerTokens: 60 }, capped: { maxTokens: 40 } })) {
      const whole = plan(idsOfText(prompt), changes)
      const said = say(whole)
      for (const cut of [1, 7, Math.floor(whole.words / 2), whole.words]) {
        const heard = said.ids.slice(0, cut)
        let chars = 0
        for (let i = 0, at = whole.state; i < cut; i++) {
          const word = language.word(at)
          at = language.after(at, word)
          chars += wordText(word).length
        }
        const maxTokens = (changes as Partial<LengthRules>).maxTokens
        const left = { ...changes, ...(maxTokens === undefined ? {} : { maxTokens: maxTokens - cut }) }
        if (left.maxTokens === 0) continue
        const byText = plan(idsOfText(prompt + said.text.slice(0, chars)), left)
        const byIds = plan([...idsOfText(prompt), ...heard], left)
        t.equal(said.text.slice(0, chars) + say(byText).text, said.text, `${name}, ${JSON.stringify(prompt)}, cut at ${cut}, by text`)
        t.same([...heard, ...say(byIds).ids], said.ids)
        t.equal(byText.outputTokens + cut, whole.outputTokens)
        t.equal(byText.finish, whole.finish)
      }
    }
  }
})

t.test('a chat goes on inside its last message', async t => {
  const question = { role: 'user', content: 'How are you?' }
  const ask = (content?: string): number[] => renderChat(content === undefined
    ? { messages: [question], tools: [], continueFinalMessage: false, addGenerationPrompt: true }
    : { messages: [question, { role: 'assistant', content }], tools: [], continueFinalMessage: true, addGenerationPrompt: false })
  const whole = say(plan(ask(), { answerTokens: 30 })).text
  const cut = whole.indexOf(' ', whole.length / 2)
  t.equal(whole.slice(0, cut) + say(plan(ask(whole.slice(0, cut)), { answerTokens: 30 })).text, whole)
})

t.test('lengths: ordered, capped, forced, stopped', async t => {
  const ids = idsOfText('A prompt')
  t.match(plan(ids, { answerTokens: 10 }), { outputTokens: 10, words: 9, finish: 'stop' })
  t.match(plan(ids, { answerTokens: 1 }), { outputTokens: 1, words: 1, finish: 'stop' })
  t.match(plan(ids, { answerTokens: 10, maxTokens: 5 }), { outputTokens: 5, words: 5, finish: 'length' })
  t.match(plan(ids, { answerTokens: 10, maxTokens: 50, ignoreEos: true }), { outputTokens: 50, words: 50, finish: 'length' })
  t.match(plan(ids, { answerTokens: 10, minTokens: 20 }), { outputTokens: 20 })
  const said = say(plan(ids, { answerTokens: 10 })).text
  const third = said.split(' ')[3] as string
  const stopped = plan(ids, { answerTokens: 10, stop: [third] })
  t.match(stopped, { outputTokens: 3, finish: 'stop', stopped: { text: third, atChars: said.indexOf(third) } })
})

t.test('drawn lengths look like chat', async t => {
  const lengths = Array.from({ length: 4000 }, (_, i) => plan(idsOfText(`question ${i}`)).outputTokens).sort((a, b) => a - b)
  const median = lengths[2000] as number
  t.ok(median > 110 && median < 150, `median ${median}`)
  t.ok((lengths[3600] as number) > 300)
})

t.test('prefix hashes: equal as far as the tokens are, the answer included, apart by salt', async t => {
  const first = plan(idsOfText('word '.repeat(100)), { answerTokens: 40 })
  const next = plan([...first.promptIds, ...say(first).ids, 2, 1, 77], { answerTokens: 5 })
  const shared = Math.floor((first.promptIds.length + first.words) / 16)
  t.same([...next.prefixHashes.slice(0, shared)], [...first.prefixHashes.slice(0, shared)])
  const other = plan(first.promptIds, { salt: 'x' })
  t.not(other.prefixHashes[0], first.prefixHashes[0])
  t.equal(new Set(first.prefixHashes).size, first.prefixHashes.length)
  t.ok(first.prefixHashes.every(hash => Number.isSafeInteger(hash) && hash >= 0))
})
