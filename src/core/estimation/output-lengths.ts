import type { ClassName, Tokens } from '../types.js'

/** Lengths up to here have a bin each; above, bins grow by `GROWTH`. */
const EXACT = 32
const GROWTH = 1.06
const LONGEST = 262_144

const EDGES = binEdges()
const BINS = EDGES.length - 1

/** The prior is that of a short memoryless answer: few tokens left, whatever was generated. Protecting too much is safe. */
const PRIOR_MEAN_TOKENS = 64
const PRIOR_SAMPLES = 4

/**
 * Output lengths of one class, as a decaying histogram: recent requests count most (half the weight after `halfLife` of them).
 * `remaining` is a binary search over about 190 bins.
 */
export class OutputLengthHistogram {
  readonly #counts = new Float64Array(BINS)
  /** `#below[i]` = weight of all bins before `i`. */
  readonly #below = new Float64Array(BINS + 1)
  readonly #inflation: number
  /** Weight of the next observation. Growing it is decaying all others. */
  #unit = 1
  #sum = 0
  #samples = 0

  constructor(halfLife = 1000) {
    this.#inflation = Math.pow(2, 1 / halfLife)
    let tail = 1
    for (let i = 0; i < BINS; i++) {
      const next = Math.exp(-EDGES[i + 1]! / PRIOR_MEAN_TOKENS)
      this.#counts[i] = PRIOR_SAMPLES * (tail - next)
      tail = next
    }
    this.#sum = PRIOR_SAMPLES * PRIOR_MEAN_TOKENS
    this.#accumulate(0)
  }

  get samples(): number {
    return this.#samples
  }

  add(outputTokens: Tokens): void {
    if (!(outputTokens >= 0 && outputTokens < Infinity)) return
    const bin = binOf(outputTokens)
    this.#unit *= this.#inflation
    this.#counts[bin]! += this.#unit
    this.#sum += this.#unit * outputTokens
    this.#samples++
    if (this.#unit > 1e9) this.#rescale()
    else this.#accumulate(bin)
  }

  /** Mean length; the prior's while nothing was seen. */
  mean(): Tokens {
    return this.#sum / this.#below[BINS]!
  }

  /** The `q`-quantile of all lengths. */
  quantile(q: number): Tokens {
    return this.#quantileFrom(0, q)
  }

  /**
   * Tokens still to come from a stream that has `generated` tokens: the `q`-quantile of (length − generated | length ≥ generated).
   * `cap` is the client's own limit on the whole output.
   */
  remaining(generated: Tokens, q: number, cap: Tokens = Infinity): Tokens {
    const left = this.#quantileFrom(generated, q) - generated
    return Math.max(0, Math.min(left, cap - generated))
  }

  /** Whole lengths, `generated + remaining(generated, q, cap)`, for several `levels` of `q` in ascending order; written to `into` from `at` on. */
  wholeLengths(levels: readonly number[], generated: Tokens, cap: Tokens = Infinity, into: Float64Array, at: number): void {
    let bin = binOf(generated)
    const skipped = this.#skipped(generated, bin)
    const tail = this.#below[BINS]! - skipped
    const known = this.#isKnown(tail)
    for (let i = 0; i < levels.length; i++) {
      let length: Tokens
      if (known) {
        const target = skipped + levels[i]! * tail
        bin = this.#binAt(target, bin)
        length = Math.max(generated, this.#position(target, bin))
      } else length = memoryless(generated, levels[i]!)
      into[at + i] = generated + Math.max(0, Math.min(length - generated, cap - generated))
    }
  }

  #quantileFrom(from: Tokens, q: number): Tokens {
    const first = binOf(from)
    const skipped = this.#skipped(from, first)
    const tail = this.#below[BINS]! - skipped
    if (!this.#isKnown(tail)) return memoryless(from, q)
    const target = skipped + q * tail
    return Math.max(from, this.#position(target, this.#binAt(target, first)))
  }

  /** Weight of all lengths below `from`, which lies in bin `first`. */
  #skipped(from: Tokens, first: number): number {
    const start = EDGES[first]!
    const width = EDGES[first + 1]! - start
    return this.#below[first]! + this.#counts[first]! * (Math.min(from, EDGES[first + 1]!) - start) / width
  }

  /** Is anything kept that is as long? Else the prior, which has no memory, answers. */
  #isKnown(tail: number): boolean {
    return tail >= 1e-6 * this.#unit
  }

  /** The bin, at or after `low`, up to which `target` is reached. */
  #binAt(target: number, low: number): number {
    let high = BINS - 1
    while (low < high) {
      const middle = (low + high + 1) >>> 1
      if (this.#below[middle]! <= target) low = middle
      else high = middle - 1
    }
    return low
  }

  #position(target: number, bin: number): Tokens {
    const count = this.#counts[bin]!
    const share = count > 0 ? Math.min(1, (target - this.#below[bin]!) / count) : 0
    const position = EDGES[bin]! + share * (EDGES[bin + 1]! - EDGES[bin]!)
    // An exact bin [n, n + 1) holds one length, n.
    return bin < EXACT ? Math.floor(position) : position
  }

  #accumulate(from: number): void {
    for (let i = from; i < BINS; i++) this.#below[i + 1] = this.#below[i]! + this.#counts[i]!
  }

  #rescale(): void {
    for (let i = 0; i < BINS; i++) this.#counts[i]! /= this.#unit
    this.#sum /= this.#unit
    this.#unit = 1
    this.#accumulate(0)
  }
}

/** Output lengths by class. A class not seen yet answers from the prior. */
export class OutputLengths {
  readonly #classes = new Map<ClassName, OutputLengthHistogram>()
  readonly #halfLife: number

  constructor(halfLife = 1000) {
    this.#halfLife = halfLife
  }

  /** The class's own histogram, made when first asked for; hold on to it on a hot path. */
  of(name: ClassName): OutputLengthHistogram {
    let lengths = this.#classes.get(name)
    if (lengths === undefined) {
      lengths = new OutputLengthHistogram(this.#halfLife)
      this.#classes.set(name, lengths)
    }
    return lengths
  }

  add(name: ClassName, outputTokens: Tokens): void {
    this.of(name).add(outputTokens)
  }

  remaining(name: ClassName, generated: Tokens, q: number, cap?: Tokens): Tokens {
    return this.of(name).remaining(generated, q, cap)
  }

  mean(name: ClassName): Tokens {
    return this.of(name).mean()
  }

  /** Forget classes that the configuration no longer has. */
  keepOnly(names: ReadonlySet<ClassName>): void {
    for (const name of this.#classes.keys()) {
      if (!names.has(name)) this.#classes.delete(name)
    }
  }
}

/** Length of a stream that has `generated` tokens, by the prior. */
function memoryless(generated: Tokens, q: number): Tokens {
  return generated - PRIOR_MEAN_TOKENS * Math.log(1 - Math.min(q, 0.999))
}

function binEdges(): Float64Array {
  const edges: number[] = []
  for (let i = 0; i <= EXACT; i++) edges.push(i)
  while (edges.at(-1)! < LONGEST) edges.push(Math.ceil(edges.at(-1)! * GROWTH))
  return Float64Array.from(edges)
}

function binOf(tokens: Tokens): number {
  if (tokens < EXACT) return Math.floor(tokens)
  let low = EXACT
  let high = BINS - 1
  while (low < high) {
    const middle = (low + high + 1) >>> 1
    if (EDGES[middle]! <= tokens) low = middle
    else high = middle - 1
  }
  return low
}
