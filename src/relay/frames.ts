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
 * Where what all streams send stands from the read that brings it to the write that takes it on, within one turn of the loop: memory that stays
 * in the processor's caches, and no object for each. What is added is answered with how many bytes it takes here; 0: there is no room.
 */
export class Frames {
  readonly bytes = Buffer.allocUnsafeSlow(ROOM_BYTES)
  /** Where the next one will stand. */
  end = 0
  #holders = 0

  /** `data` from `from` up to `to`, as an HTTP/1.1 chunk. */
  addChunk(data: Buffer, from: number, to: number): number {
    const at = this.end
    if (at + to - from + FRAMING_BYTES > ROOM_BYTES) return 0
    this.end = frame(this.bytes, at, data, from, to)
    return this.end - at
  }

  /** The same as it is. */
  addPlain(data: Buffer, from: number, to: number): number {
    const size = to - from
    if (this.end + size > ROOM_BYTES) return 0
    data.copy(this.bytes, this.end, from, to)
    this.end += size
    return size
  }

  /** Of a head: characters that are bytes. */
  addText(text: string): number {
    if (this.end + text.length > ROOM_BYTES) return 0
    this.bytes.write(text, this.end, 'latin1')
    this.end += text.length
    return text.length
  }

  /** Somebody has something here. */
  hold(): void {
    this.#holders++
  }

  /** It has left. */
  release(): void {
    if (--this.#holders === 0) this.end = 0
  }
}
