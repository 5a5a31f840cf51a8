import type { Bytes } from '../core/index.js'

/** Prompt bytes per hash: about four of vLLM's 16-token blocks of English text. */
export const PREFIX_BLOCK_BYTES: Bytes = 256
/** Most hashes per prompt; what is longer is known by its first 256 KiB. */
export const MAX_PREFIX_BLOCKS = 1024

const LIMIT = PREFIX_BLOCK_BYTES * MAX_PREFIX_BLOCKS
const WORDS_PER_BLOCK = PREFIX_BLOCK_BYTES / 4
// One scratch area for the process: it is filled and read within one synchronous call.
const scratch = Buffer.from(new ArrayBuffer(LIMIT))
const words = new Int32Array(scratch.buffer)

/** MurmurHash3's 32-bit mixing step (Appleby, public domain). */
function mix (h: number, word: number): number {
  let k = Math.imul(word, 0xcc9e2d51)
  k = (k << 15) | (k >>> 17)
  h ^= Math.imul(k, 0x1b873593)
  h = (h << 13) | (h >>> 19)
  return (Math.imul(h, 5) + 0xe6546b64) | 0
}

/** MurmurHash3's 32-bit finalizer. */
function finish (h: number): number {
  h = Math.imul(h ^ (h >>> 16), 0x85ebca6b)
  h = Math.imul(h ^ (h >>> 13), 0xc2b2ae35)
  return h ^ (h >>> 16)
}

/** Signed 32-bit hash of a range, continuing from `seed`. */
export function hashRange (bytes: Uint8Array, start: number, end: number, seed: number): number {
  let h = seed
  for (let i = start; i < end; i++) h = mix(h, bytes[i]!)
  return finish(h ^ (end - start))
}

/**
 * Chained hashes over the concatenation of `spans` (start and end pairs into `bytes`, each closed by one separator
 * byte): entry k stands for the first (k + 1) blocks, so equal prefixes give equal entries, and a partial last block has
 * none. Signed 32-bit integers, which V8 keeps unboxed.
 */
export function prefixHashes (bytes: Buffer, spans: readonly number[], seed: number): number[] {
  let length = 0
  for (let k = 0; k + 1 < spans.length && length < LIMIT; k += 2) {
    const start = spans[k]!
    const stop = Math.min(spans[k + 1]!, start + LIMIT - length)
    // A native copy costs more than it saves on short spans.
    if (stop - start > 48) {
      bytes.copy(scratch, length, start, stop)
      length += stop - start
    } else for (let i = start; i < stop; i++) scratch[length++] = bytes[i]!
    if (length < LIMIT) scratch[length++] = 0x0a
  }
  const blocks = Math.floor(length / PREFIX_BLOCK_BYTES)
  const hashes = new Array<number>(blocks)
  let h = seed | 0
  for (let block = 0; block < blocks; block++) {
    const stop = (block + 1) * WORDS_PER_BLOCK
    for (let w = block * WORDS_PER_BLOCK; w < stop; w++) h = mix(h, words[w]!)
    hashes[block] = finish(h)
  }
  return hashes
}
