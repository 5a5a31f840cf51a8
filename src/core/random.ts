import type { Random } from './types.js'

/**
 * A seeded source of randomness (sfc32, Chris Doty-Humphrey's small fast counting generator): the same seed gives the
 * same numbers on every machine. Strings seed by their hash, so that streams can be named.
 */
export function createRandom(seed: number | string): Random {
  const start = typeof seed === 'string' ? hash32(seed) : seed
  let a = start >>> 0
  let b = Math.floor(start / 0x1_0000_0000) >>> 0
  let c = 0x9e37_79b9
  let counter = 1
  const next = (): number => {
    const sum = (a + b + counter) | 0
    counter = (counter + 1) | 0
    a = b ^ (b >>> 9)
    b = (c + (c << 3)) | 0
    c = ((c << 21) | (c >>> 11)) + sum | 0
    return (sum >>> 0) / 0x1_0000_0000
  }
  // Spreads a small seed over the whole state.
  for (let i = 0; i < 16; i++) next()
  return { next }
}

/** Exponentially distributed with the given mean: gaps of a Poisson process. */
export function exponential(random: Random, mean: number): number {
  return -Math.log(1 - random.next()) * mean
}

/** Normally distributed (Box–Muller; keeps nothing between calls, so that draws stay reproducible one by one). */
export function normal(random: Random, mean = 0, deviation = 1): number {
  const radius = Math.sqrt(-2 * Math.log(1 - random.next()))
  return mean + deviation * radius * Math.cos(2 * Math.PI * random.next())
}

/** Log-normally distributed with the given median and the deviation of the logarithm. */
export function logNormal(random: Random, median: number, sigma: number): number {
  return median * Math.exp(normal(random, 0, sigma))
}

/** Gamma distributed (Marsaglia & Tsang 2000). Mean = shape · scale; coefficient of variation = 1/√shape. */
export function gamma(random: Random, shape: number, scale: number): number {
  if (!(shape > 0)) throw new RangeError(`gamma: shape must be above 0, got ${String(shape)}`)
  // Below 1 the method needs a boost: Gamma(a) = Gamma(a + 1) · U^(1/a).
  if (shape < 1) return gamma(random, shape + 1, scale) * Math.pow(1 - random.next(), 1 / shape)
  const d = shape - 1 / 3
  const c = 1 / Math.sqrt(9 * d)
  for (;;) {
    const x = normal(random)
    const v = (1 + c * x) ** 3
    if (v <= 0) continue
    if (Math.log(1 - random.next()) < 0.5 * x * x + d - d * v + d * Math.log(v)) return d * v * scale
  }
}

/** A whole number in [0, count). */
export function integerBelow(random: Random, count: number): number {
  return Math.floor(random.next() * count)
}

/** 32-bit FNV-1a of a string's UTF-16 units. */
function hash32(text: string): number {
  let hash = 0x811c_9dc5
  for (let i = 0; i < text.length; i++) hash = Math.imul(hash ^ text.charCodeAt(i), 0x0100_0193)
  return hash >>> 0
}
