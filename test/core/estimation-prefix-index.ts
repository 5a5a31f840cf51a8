import fc from 'fast-check'
import t from 'tap'
import { PrefixIndex } from '../../src/core/index.js'

t.test('prefix index: finds the longest known prefix', async (t) => {
  const index = new PrefixIndex()
  index.insert([1, 2, 3])
  const cases: [hashes: number[], blocks: number][] = [
    [[1, 2, 3], 3], [[1, 2, 3, 4], 3], [[1, 2, 9], 2], [[1], 1], [[2, 3], 2], [[9, 2, 3], 0], [[], 0],
  ]
  for (const [hashes, blocks] of cases) t.equal(index.cachedBlocks(hashes), blocks, hashes.join())
  t.equal(index.cachedTokens([1, 2, 9], 64), 128)
})

t.test('prefix index: the engine evicts the ends of prompts first, so does the index', async (t) => {
  const index = new PrefixIndex(4)
  index.insert([1, 2, 3, 4])
  index.insert([1, 9])
  t.equal(index.cachedBlocks([1, 2, 3, 4]), 3, 'the last block of the older prompt went')
  t.equal(index.cachedBlocks([1, 9]), 2)
  index.insert([11, 12, 13, 14, 15, 16])
  t.equal(index.blocks, 4)
  t.equal(index.cachedBlocks([11, 12, 13, 14]), 4, 'of a prompt larger than the cache the start stays')
})

t.test('prefix index: a restart empties it, a smaller cache shrinks it', async (t) => {
  const index = new PrefixIndex(1000)
  index.insert(Array.from({ length: 600 }, (_, i) => i))
  index.limitTo(100)
  t.equal(index.blocks, 100)
  t.equal(index.cachedBlocks(Array.from({ length: 600 }, (_, i) => i)), 100)
  index.limitTo(1000)
  index.insert(Array.from({ length: 700 }, (_, i) => i))
  t.equal(index.blocks, 700)
  index.observe(100, 0)
  index.clear()
  t.same([index.blocks, index.cachedBlocks([0, 1]), index.trust], [0, 0, 1])
  t.throws(() => new PrefixIndex(0), /at least 1/)
})

t.test('prefix index: what the engine reports scales what is promised', async (t) => {
  const index = new PrefixIndex()
  index.insert([1, 2, 3, 4])
  for (let i = 0; i < 60; i++) index.observe(256, 64)
  t.ok(Math.abs(index.cachedTokens([1, 2, 3, 4], 64) - 64) < 8, `a quarter was confirmed: ${index.cachedTokens([1, 2, 3, 4], 64)}`)
  for (let i = 0; i < 60; i++) index.observe(256, 300)
  t.ok(index.trust > 0.98 && index.trust <= 1, 'more than predicted is no more than all')
  index.observe(0, 100)
  index.observe(100, NaN)
  t.ok(index.trust > 0.98, 'nothing predicted, nothing learned')
})

/** The plainest bounded cache: a list, most recently used last. */
class ListCache {
  #keys: number[] = []
  readonly #limit: number
  constructor(limit: number) { this.#limit = limit }
  insert(hashes: readonly number[]): void {
    for (const hash of hashes.slice(0, this.#limit).reverse()) {
      this.#keys = this.#keys.filter((key) => key !== hash)
      if (this.#keys.length === this.#limit) this.#keys.shift()
      this.#keys.push(hash)
    }
  }

  cachedBlocks(hashes: readonly number[]): number {
    const miss = hashes.findIndex((hash) => !this.#keys.includes(hash))
    return miss === -1 ? hashes.length : miss
  }
}

t.test('prefix index: agrees with the plainest cache on any history', async () => {
  // Few distinct hashes, of all shapes: negative, beyond 32 bits, equal in their low half.
  const hash = fc.oneof(fc.integer({ min: -20, max: 20 }), fc.integer({ min: 0, max: 8 }).map((i) => 5 + i * 2 ** 32))
  const prompt = fc.uniqueArray(hash, { maxLength: 12 })
  fc.assert(fc.property(fc.integer({ min: 1, max: 24 }), fc.array(prompt, { maxLength: 40 }), (limit, prompts) => {
    const index = new PrefixIndex(limit)
    const list = new ListCache(limit)
    return prompts.every((hashes) => {
      const agree = index.cachedBlocks(hashes) === list.cachedBlocks(hashes)
      index.insert(hashes)
      list.insert(hashes)
      return agree && index.blocks <= limit
    })
  }), { numRuns: 300 })
})
