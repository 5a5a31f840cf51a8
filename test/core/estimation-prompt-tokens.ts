import { readFileSync } from 'node:fs'
import t from 'tap'
import { createRandom, integerBelow, normal, PromptShapeCounter, PromptTokenEstimator } from '../../src/core/index.js'

/**
 * Slices of committed text with the token counts that the public vocabularies o200k_base and cl100k_base give them:
 * `[start, end, o200k, cl100k]`. The first 60 of each kind lie in the first half of its text, the others in the second.
 */
type Row = readonly [start: number, end: number, o200k: number, cl100k: number]
const read = (name: string): string => readFileSync(new URL(`../fixtures/text/${name}`, import.meta.url), 'utf8')
const SLICES = JSON.parse(read('tokens.json')) as Record<string, Row[]>
const KINDS = Object.keys(SLICES)
const LEARNED = 60
/** Tokens that a chat template adds. */
const TEMPLATE = 25

interface Sample { readonly bytes: number, readonly shape: PromptShapeCounter, readonly tokens: number }

function samples(kind: string, vocabulary: 2 | 3): Sample[] {
  const text = read(`${kind}.txt`)
  return SLICES[kind]!.map((row) => {
    const slice = text.slice(row[0], row[1])
    // As a body holds it: escaped.
    const json = Buffer.from(JSON.stringify(slice))
    const shape = new PromptShapeCounter()
    shape.add(json, 1, json.length - 1)
    return { bytes: Buffer.byteLength(slice), shape, tokens: row[vocabulary] + TEMPLATE }
  })
}

/** p90 of the relative error on the second halves, after 200 requests drawn from the first. */
function p90Error(kinds: readonly string[], vocabulary: 2 | 3, byShape: boolean): number {
  const random = createRandom('prompts')
  const estimator = new PromptTokenEstimator()
  const all = kinds.map((kind) => samples(kind, vocabulary))
  for (let i = 0; i < 200; i++) {
    const { bytes, tokens, shape } = all[integerBelow(random, all.length)]![integerBelow(random, LEARNED)]!
    estimator.observe('m', 'chat', bytes, tokens, i, byShape ? shape : undefined)
  }
  const errors = all.flatMap((rows) => rows.slice(LEARNED)).map(({ bytes, tokens, shape }) =>
    Math.abs(estimator.tokens('m', 'chat', bytes, byShape ? shape : undefined) / tokens - 1)).sort((a, b) => a - b)
  return errors[Math.floor(0.9 * (errors.length - 1))]!
}

t.test('prompt tokens: within 15 % at p90 on real text after 200 requests', async (t) => {
  for (const vocabulary of [2, 3] as const) {
    for (const kinds of [...KINDS.map((kind) => [kind]), ['english', 'code'], ['english', 'chinese'], KINDS]) {
      const error = p90Error(kinds, vocabulary, true)
      t.ok(error <= 0.15, `${kinds.join('+')}: ${(error * 100).toFixed(1)} %`)
    }
    const mixed = p90Error(KINDS, vocabulary, false)
    t.ok(mixed > 0.15, `bytes alone would not do: ${(mixed * 100).toFixed(1)} %`)
  }
})

t.test('prompt tokens: right before anything was learned, where the shape is known', async (t) => {
  const estimator = new PromptTokenEstimator()
  for (const kind of KINDS) {
    const errors = samples(kind, 2).map(({ bytes, shape, tokens }) => Math.abs(estimator.tokens(undefined, '', bytes, shape) / tokens - 1)).sort((a, b) => a - b)
    t.ok(errors[errors.length >> 1]! < 0.2, `${kind}: median ${(errors[errors.length >> 1]! * 100).toFixed(1)} %`)
  }
})

t.test('prompt tokens: sizes alone, with noise: the fit finds slope and template, and outliers do not pull it', async (t) => {
  const random = createRandom(8)
  const estimator = new PromptTokenEstimator()
  for (let i = 0; i < 200; i++) {
    const bytes = 200 + random.next() * 16_000
    const tokens = i % 40 === 7 ? 50_000 : (180 + bytes / 3.1) * (1 + normal(random, 0, 0.06))
    estimator.observe('m', 'chat', bytes, tokens, i)
  }
  for (const bytes of [300, 4000, 15_000]) {
    const truth = 180 + bytes / 3.1
    t.ok(Math.abs(estimator.tokens('m', 'chat', bytes) / truth - 1) < 0.1, `${bytes} bytes: ${estimator.tokens('m', 'chat', bytes)} is about ${truth}`)
  }
  const estimate = estimator.estimate('m', 'chat', 4000, 299)
  t.same([estimate.samples, estimate.ageMs], [200, 100])
  t.ok(estimate.lower < estimate.value && estimate.upper > estimate.value && estimate.upper < estimate.value * 1.5)
})

t.test('prompt tokens: models and kinds are learned apart, and borrow from each other', async (t) => {
  const estimator = new PromptTokenEstimator()
  t.ok(Math.abs(estimator.tokens('m', 'chat', 4000) - 1010) < 1, 'cold: four bytes per token')
  for (let i = 0; i < 40; i++) {
    estimator.observe('a', 'chat', 1000 + 100 * i, (1000 + 100 * i) / 2, i)
    estimator.observe('b', 'chat', 1000 + 100 * i, (1000 + 100 * i) / 6, i)
    estimator.observe('a', 'code', 1000 + 100 * i, 1000 + 100 * i, i)
  }
  const about = (model: string, kind: string, tokens: number): boolean => Math.abs(estimator.tokens(model, kind, 3000) / tokens - 1) < 0.1
  t.ok(about('a', 'chat', 1500) && about('b', 'chat', 500) && about('a', 'code', 3000))
  t.equal(estimator.tokens('b', 'new', 3000), estimator.tokens('b', 'chat', 3000), 'a new kind borrows its model\'s fit')
  for (let i = 0; i < 5000; i++) estimator.observe(`hostile-${i}`, 'chat', 100, 25, i)
  t.notOk(about('a', 'code', 3000), 'the fits longest without news went: memory is bounded')
  estimator.observe('b', 'x', NaN, 5, 0)
  estimator.observe('b', 'x', 5, 0, 0)
  t.ok(estimator.tokens('b', 'x', 0) >= 1)
})

t.test('prompt shape: escapes count as what they stand for, spans add up', async (t) => {
  const shapeOf = (...spans: string[]): [number, number] => {
    const counter = new PromptShapeCounter()
    for (const span of spans) {
      const bytes = Buffer.from(span)
      counter.add(bytes, 0, bytes.length)
    }
    return [Math.round(counter.asciiUnits * 100) / 100, Math.round(counter.wideUnits * 100) / 100]
  }
  const cases: [name: string, text: string, ascii: number, wide: number][] = [
    ['a word', 'hello', 0.85, 0],
    ['an identifier is its words', 'parseHttpBody', 3 * 0.85, 0],
    ['capitals are one word', 'JSON', 0.85, 0],
    ['a long word', 'internationalisation', 0.85 + 12 * 0.65, 0],
    ['marks in a row', '})];', 1, 0],
    ['digits', '2024', 3.6, 0],
    ['a line break, escaped or not', '\\n', 0.7, 0],
    ['a line break, escaped or not', '\n', 0.7, 0],
    ['an escaped quote', '\\"', 1, 0],
    ['wide characters', '你好é', 0, 2.38],
    ['the same in escapes', '\\u4f60\\u597d\\u00e9', 0, 2.38],
    ['beyond the basic plane', '😀', 0, 1],
    ['a pair of escapes', '\\ud83d\\ude00', 0, 1],
    ['nothing', '', 0, 0],
  ]
  for (const [name, text, ascii, wide] of cases) t.same(shapeOf(text), [ascii, wide], name)
  t.same(shapeOf('one', 'two'), [1.7, 0])
  const line = 'The quick brown fox, jumps over 13 lazy dogs. '
  const [sampled] = shapeOf(line.repeat(20_000))
  const [whole] = shapeOf(line)
  t.ok(Math.abs(sampled / (whole * 20_000) - 1) < 0.03, 'a large prompt is sampled fairly')
})
