import type { Tokens } from '../types.js'

const NONE = -1
/** Weight of one report of cached tokens in what the index's answers are worth. */
const TRUST_GAIN = 0.1
const MIN_TRUST = 0.05

/**
 * What one backend's prefix cache probably holds: chained hashes of prompt blocks, least recently used first out, the way the
 * engine itself evicts (the end of a prompt before its start). Memory is bounded by `maxBlocks`; look-ups allocate nothing.
 *
 * The engine may hold less than is assumed here (other tenants, a smaller cache): `observe` compares what was predicted with
 * what the engine reported and scales later answers.
 */
export class PrefixIndex {
  #maxBlocks: number
  #capacity = 0
  #size = 0
  #mask = 0
  #table = new Int32Array(0)
  #keys = new Float64Array(0)
  #newer = new Int32Array(0)
  #older = new Int32Array(0)
  #newest = NONE
  #oldest = NONE
  #trust = 1

  constructor(maxBlocks = 16_384) {
    this.#maxBlocks = checkedLimit(maxBlocks)
    this.#allocate(Math.min(256, this.#maxBlocks))
  }

  get blocks(): number {
    return this.#size
  }

  get maxBlocks(): number {
    return this.#maxBlocks
  }

  /** What share of a predicted hit the engine confirmed, of late; 1 while it reports nothing. */
  get trust(): number {
    return this.#trust
  }

  /** Leading blocks that the backend is thought to hold. Hashes are chained, so the first unknown one ends the search. */
  cachedBlocks(hashes: readonly number[]): number {
    let known = 0
    while (known < hashes.length && this.#find(hashes[known]!) !== NONE) known++
    return known
  }

  /** Prompt tokens that need no prefill, scaled by what past predictions were worth. */
  cachedTokens(hashes: readonly number[], tokensPerBlock: number): Tokens {
    return this.cachedBlocks(hashes) * tokensPerBlock * this.#trust
  }

  /** The backend works on a prompt with these blocks, and so holds them now. */
  insert(hashes: readonly number[]): void {
    // Last block first: the start of the prompt, which others share, ends up as the most recently used.
    for (let i = Math.min(hashes.length, this.#maxBlocks) - 1; i >= 0; i--) this.#touch(hashes[i]!)
  }

  /** The engine's `usage` says how many of the tokens predicted as cached really were. */
  observe(predictedTokens: Tokens, reportedTokens: Tokens): void {
    if (!(predictedTokens > 0 && reportedTokens >= 0)) return
    const share = Math.min(1, reportedTokens / predictedTokens)
    this.#trust = Math.max(MIN_TRUST, this.#trust + TRUST_GAIN * (share - this.#trust))
  }

  /** The backend's cache turned out to be this large; the least recently used blocks beyond it are forgotten. */
  limitTo(maxBlocks: number): void {
    this.#maxBlocks = checkedLimit(maxBlocks)
    while (this.#size > this.#maxBlocks) this.#evictOldest()
  }

  /** The backend restarted: it holds nothing. */
  clear(): void {
    this.#size = 0
    this.#newest = NONE
    this.#oldest = NONE
    this.#table.fill(NONE)
    this.#trust = 1
  }

  #touch(hash: number): void {
    const found = this.#find(hash)
    if (found !== NONE) {
      const slot = this.#table[found]!
      if (slot === this.#newest) return
      this.#unlink(slot)
      this.#linkNewest(slot)
      return
    }
    if (this.#size === this.#maxBlocks) this.#evictOldest()
    else if (this.#size === this.#capacity) this.#allocate(Math.min(this.#capacity * 2, this.#maxBlocks))
    const slot = this.#size++
    this.#keys[slot] = hash
    this.#place(slot)
    this.#linkNewest(slot)
  }

  /** Slots stay dense: the last one moves into the gap. */
  #evictOldest(): void {
    const gone = this.#oldest
    this.#unlink(gone)
    this.#removeFromTable(this.#find(this.#keys[gone]!))
    const last = --this.#size
    if (gone === last) return
    this.#table[this.#find(this.#keys[last]!)] = gone
    this.#keys[gone] = this.#keys[last]!
    const newer = this.#newer[last]!
    const older = this.#older[last]!
    this.#newer[gone] = newer
    this.#older[gone] = older
    if (newer === NONE) this.#newest = gone
    else this.#older[newer] = gone
    if (older === NONE) this.#oldest = gone
    else this.#newer[older] = gone
  }

  #linkNewest(slot: number): void {
    this.#newer[slot] = NONE
    this.#older[slot] = this.#newest
    if (this.#newest === NONE) this.#oldest = slot
    else this.#newer[this.#newest] = slot
    this.#newest = slot
  }

  #unlink(slot: number): void {
    const newer = this.#newer[slot]!
    const older = this.#older[slot]!
    if (newer === NONE) this.#newest = older
    else this.#older[newer] = older
    if (older === NONE) this.#oldest = newer
    else this.#newer[older] = newer
  }

  /** Position in the table that holds `hash`, or NONE. Open addressing, linear probing, at most half full. */
  #find(hash: number): number {
    let at = mix(hash) & this.#mask
    for (;;) {
      const slot = this.#table[at]!
      if (slot === NONE) return NONE
      if (this.#keys[slot] === hash) return at
      at = (at + 1) & this.#mask
    }
  }

  #place(slot: number): void {
    let at = mix(this.#keys[slot]!) & this.#mask
    while (this.#table[at] !== NONE) at = (at + 1) & this.#mask
    this.#table[at] = slot
  }

  /** Deletion without tombstones: later entries of the run move back to where a search would look for them. */
  #removeFromTable(at: number): void {
    let gap = at
    let next = (gap + 1) & this.#mask
    while (this.#table[next] !== NONE) {
      const home = mix(this.#keys[this.#table[next]!]!) & this.#mask
      if (((next - home) & this.#mask) >= ((next - gap) & this.#mask)) {
        this.#table[gap] = this.#table[next]!
        gap = next
      }
      next = (next + 1) & this.#mask
    }
    this.#table[gap] = NONE
  }

  #allocate(capacity: number): void {
    this.#capacity = capacity
    this.#keys = grown(this.#keys, new Float64Array(capacity))
    this.#newer = grown(this.#newer, new Int32Array(capacity))
    this.#older = grown(this.#older, new Int32Array(capacity))
    let tableSize = 2
    while (tableSize < capacity * 2) tableSize *= 2
    this.#mask = tableSize - 1
    this.#table = new Int32Array(tableSize).fill(NONE)
    for (let slot = 0; slot < this.#size; slot++) this.#place(slot)
  }
}

function grown<T extends Float64Array | Int32Array>(from: T, to: T): T {
  to.set(from)
  return to
}

function checkedLimit(maxBlocks: number): number {
  if (!(maxBlocks >= 1)) throw new RangeError(`PrefixIndex: maxBlocks must be at least 1, got ${String(maxBlocks)}`)
  return Math.floor(maxBlocks)
}

/** Spreads a hash of up to 53 bits over 32 (the finaliser of MurmurHash3, over both halves). */
function mix(hash: number): number {
  let h = (hash | 0) ^ Math.imul((hash / 0x1_0000_0000) | 0, 0x9e37_79b1)
  h = Math.imul(h ^ (h >>> 16), 0x85eb_ca6b)
  h = Math.imul(h ^ (h >>> 13), 0xc2b2_ae35)
  return h ^ (h >>> 16)
}
