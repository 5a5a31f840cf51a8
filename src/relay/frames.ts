const CR = 13
const LF = 10
const HEX_DIGITS = Buffer.from('0123456789abcdef')
const ROOM_BYTES = 64 * 1024
/** Most bytes that a size and three line ends add to a chunk. */
export const FRAMING_BYTES = 12

/** Writes `data` from `from` up to `to` as an HTTP/1.1 chunk to `out` at `at`; answers where it ends. By hand, so that no string is made of the size. */
export function frame(out: Buffer, at: number, data: Buffer, from: number, to: number): number {
  const size = to - from
  let digits = 1
  for (let rest = size >>> 4; rest > 0; rest >>>= 4) digits++
  for (let place = digits - 1, rest = size; place >= 0; place--, rest >>>= 4) out[at + place] = HEX_DIGITS[rest & 15]!
  at += digits
  out[at++] = CR
  out[at++] = LF
  data.copy(out, at, from, to)
  at += size
  out[at++] = CR
  out[at++] = LF
  return at
}

/**
 * Where the chunks of all streams stand from the read that brings them to the write that takes them on, within one turn of the loop: memory
 * that stays in the processor's caches, and no object for each.
 */
export class Frames {
  readonly bytes = Buffer.allocUnsafeSlow(ROOM_BYTES)
  /** Where the next one will stand. */
  end = 0
  #holders = 0

  /** Appends a chunk, and answers how many bytes it is with its framing; 0: there is no room. */
  add(data: Buffer, from: number, to: number): number {
    const at = this.end
    if (at + to - from + FRAMING_BYTES > ROOM_BYTES) return 0
    this.end = frame(this.bytes, at, data, from, to)
    return this.end - at
  }

  /** Somebody has chunks here. */
  hold(): void {
    this.#holders++
  }

  /** They have left. */
  release(): void {
    if (--this.#holders === 0) this.end = 0
  }
}
