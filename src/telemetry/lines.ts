const NEWLINE = 10
const ZERO = 48
/** Whole numbers up to here are written digit by digit. */
const MOST_DIGITS = 2 ** 31
/** Room for numbers that grow, so that most growth only moves bytes. */
const SLACK = 16

/**
 * Lines of text that end in a number, as bytes: what stands before the numbers is written once, and a number is written over its
 * predecessor when it has changed. A scrape then copies bytes instead of making some ten thousand strings.
 */
export class Lines {
  #bytes: Buffer
  #used: number
  readonly #starts: number[] = []
  readonly #lengths: number[] = []
  readonly #values: Float64Array

  /** Every number is 0 at first. */
  constructor(heads: readonly string[]) {
    this.#values = new Float64Array(heads.length)
    this.#used = 0
    for (const head of heads) {
      this.#starts.push(this.#used + Buffer.byteLength(head))
      this.#lengths.push(1)
      this.#used = this.#starts.at(-1)! + 2
    }
    this.#bytes = Buffer.alloc(this.#used + SLACK)
    this.#bytes.write(heads.map((head) => `${head}0\n`).join(''))
  }

  set(line: number, value: number): void {
    if (Object.is(this.#values[line], value)) return
    this.#values[line] = value
    if (!(Number.isInteger(value) && value >= 0 && value < MOST_DIGITS)) {
      const text = numberText(value)
      this.#resize(line, text.length)
      this.#bytes.write(text, this.#starts[line]!, 'latin1')
      return
    }
    let length = 1
    for (let rest = value; rest >= 10; rest = Math.floor(rest / 10)) length++
    this.#resize(line, length)
    for (let at = this.#starts[line]! + length - 1, rest = value; length > 0; length--, at--) {
      const tens = Math.floor(rest / 10)
      this.#bytes[at] = ZERO + rest - tens * 10
      rest = tens
    }
  }

  copyTo(text: TextBuffer): void {
    text.append(this.#bytes, this.#used)
  }

  /** Makes room for a number of `length` bytes, and puts everything behind it in its new place. */
  #resize(line: number, length: number): void {
    const growth = length - this.#lengths[line]!
    if (growth === 0) return
    const end = this.#starts[line]! + this.#lengths[line]!
    if (this.#used + growth > this.#bytes.length) {
      const bytes = Buffer.alloc(this.#used + growth + SLACK)
      bytes.set(this.#bytes)
      this.#bytes = bytes
    }
    this.#bytes.copyWithin(end + growth, end, this.#used)
    this.#used += growth
    this.#lengths[line] = length
    for (let i = line + 1; i < this.#starts.length; i++) this.#starts[i]! += growth
    this.#bytes[end + growth] = NEWLINE
  }
}

/** Text as bytes that grows at its end. */
export class TextBuffer {
  #bytes: Buffer
  #used = 0

  constructor(expectedBytes: number) {
    this.#bytes = Buffer.allocUnsafe(expectedBytes)
  }

  get length(): number {
    return this.#used
  }

  /** The first `length` of these bytes; room is made for all of them, for copying a whole array is what is fast. */
  append(bytes: Uint8Array, length: number): void {
    this.#reserve(bytes.length)
    this.#bytes.set(bytes, this.#used)
    this.#used += length
  }

  write(text: string): void {
    this.#reserve(text.length * 3)
    this.#used += this.#bytes.write(text, this.#used)
  }

  bytes(): Buffer {
    return this.#bytes.subarray(0, this.#used)
  }

  #reserve(bytes: number): void {
    if (this.#used + bytes <= this.#bytes.length) return
    const grown = Buffer.allocUnsafe(2 * this.#bytes.length + bytes)
    grown.set(this.bytes())
    this.#bytes = grown
  }
}

function numberText(value: number): string {
  return value === Infinity ? '+Inf' : value === -Infinity ? '-Inf' : String(value)
}
