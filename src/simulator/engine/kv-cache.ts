import type { Tokens } from '../../core/index.js'
import type { Sequence } from './sequence.js'

/** One full prefix block that others may share. Unreferenced entries stay in least-recently-used order until space is needed. */
export interface KvEntry {
  hash: number
  references: number
  older: KvEntry | undefined
  newer: KvEntry | undefined
}

/**
 * KV memory in blocks, with a prefix cache by chained block hashes. A block that nobody references counts as free, though its
 * content can still be hit until it is evicted.
 */
export class KvCache {
  readonly #totalBlocks: number
  readonly #blockTokens: Tokens
  readonly #entryTokens: Tokens
  readonly #entryBlocks: number
  readonly #entries = new Map<number, KvEntry>()
  readonly #spare: KvEntry[] = []
  #privateBlocks = 0
  #referencedEntries = 0
  #oldest: KvEntry | undefined
  #newest: KvEntry | undefined

  constructor (capacityTokens: Tokens, blockTokens: Tokens, entryTokens: Tokens) {
    if (entryTokens % blockTokens !== 0) {
      throw new RangeError(`prefixBlockTokens is ${entryTokens}: make it a multiple of blockTokens (${blockTokens})`)
    }
    this.#totalBlocks = Math.floor(capacityTokens / blockTokens)
    this.#blockTokens = blockTokens
    this.#entryTokens = entryTokens
    this.#entryBlocks = entryTokens / blockTokens
  }

  get totalBlocks (): number {
    return this.#totalBlocks
  }

  get usedBlocks (): number {
    return this.#privateBlocks + this.#referencedEntries * this.#entryBlocks
  }

  get cachedEntries (): number {
    return this.#entries.size
  }

  /** How many leading entries of the sequence are in memory, at most so many that one token is left to compute. */
  lookup (sequence: Sequence, knownTokens: Tokens): number {
    const { prefixHashes } = sequence
    const most = Math.min(prefixHashes.length, Math.floor((knownTokens - 1) / this.#entryTokens))
    let hits = 0
    while (hits < most && this.#entries.has(prefixHashes[hits] as number)) hits++
    return hits
  }

  /** Reference the first `count` entries of a sequence that holds nothing. */
  acquire (sequence: Sequence, count: number): void {
    for (let i = 0; i < count; i++) {
      const entry = this.#entries.get(sequence.prefixHashes[i] as number) as KvEntry
      this.#reference(entry)
      sequence.entries.push(entry)
    }
  }

  /** Room for the sequence's first `tokens` tokens. False, and nothing changed, if memory does not suffice. */
  grow (sequence: Sequence, tokens: Tokens): boolean {
    const held = sequence.entries.length * this.#entryBlocks + sequence.privateBlocks
    const wanted = Math.ceil(tokens / this.#blockTokens) - held
    if (wanted <= 0) return true
    if (this.usedBlocks + wanted > this.#totalBlocks) return false
    while (this.#privateBlocks + this.#entries.size * this.#entryBlocks + wanted > this.#totalBlocks) this.#evict()
    sequence.privateBlocks += wanted
    this.#privateBlocks += wanted
    return true
  }

  /** Make the sequence's full prefix blocks among its first `tokens` tokens shareable. A block that is there already is shared, not kept twice. */
  publish (sequence: Sequence, tokens: Tokens): void {
    const { prefixHashes, entries } = sequence
    const full = Math.min(prefixHashes.length, Math.floor(tokens / this.#entryTokens))
    while (entries.length < full) {
      const hash = prefixHashes[entries.length] as number
      let entry = this.#entries.get(hash)
      if (entry === undefined) {
        entry = this.#spare.pop() ?? { hash, references: 0, older: undefined, newer: undefined }
        entry.hash = hash
        entry.references = 1
        this.#referencedEntries++
        this.#entries.set(hash, entry)
      } else {
        this.#reference(entry)
      }
      entries.push(entry)
      sequence.privateBlocks -= this.#entryBlocks
      this.#privateBlocks -= this.#entryBlocks
    }
  }

  /** Let go of all that the sequence holds. Its last blocks become the first to be evicted: a chain is of no use without its start. */
  release (sequence: Sequence): void {
    this.#privateBlocks -= sequence.privateBlocks
    sequence.privateBlocks = 0
    const { entries } = sequence
    for (let i = entries.length - 1; i >= 0; i--) {
      const entry = entries[i] as KvEntry
      if (--entry.references > 0) continue
      this.#referencedEntries--
      entry.older = this.#newest
      if (this.#newest === undefined) this.#oldest = entry
      else this.#newest.newer = entry
      this.#newest = entry
    }
    entries.length = 0
  }

  #reference (entry: KvEntry): void {
    if (entry.references++ > 0) return
    this.#referencedEntries++
    this.#unlink(entry)
  }

  #unlink (entry: KvEntry): void {
    if (entry.older === undefined) this.#oldest = entry.newer
    else entry.older.newer = entry.newer
    if (entry.newer === undefined) this.#newest = entry.older
    else entry.newer.older = entry.older
    entry.older = undefined
    entry.newer = undefined
  }

  #evict (): void {
    const entry = this.#oldest as KvEntry
    this.#unlink(entry)
    this.#entries.delete(entry.hash)
    this.#spare.push(entry)
  }
}
