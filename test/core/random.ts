import t from 'tap'
import { createRandom, exponential, gamma, integerBelow, logNormal, normal } from '../../src/core/index.js'

const DRAWS = 20_000

function moments(draw: () => number): { mean: number, cv: number, min: number, max: number } {
  let sum = 0
  let squares = 0
  let min = Infinity
  let max = -Infinity
  for (let i = 0; i < DRAWS; i++) {
    const x = draw()
    sum += x
    squares += x * x
    min = Math.min(min, x)
    max = Math.max(max, x)
  }
  const mean = sum / DRAWS
  return { mean, cv: Math.sqrt(squares / DRAWS - mean * mean) / mean, min, max }
}

t.test('random: the same seed gives the same numbers, another seed others', async (t) => {
  const take = (seed: number | string) => { const r = createRandom(seed); return [r.next(), r.next(), r.next()] }
  t.same(take(1), take(1))
  t.same(take('arrivals'), take('arrivals'))
  t.notSame(take(1), take(2))
  t.notSame(take(1), take(1 + 2 ** 32), 'the high half of a seed counts')
})

t.test('random: distributions have their moments', async (t) => {
  const random = createRandom(7)
  const cases: [name: string, draw: () => number, mean: number, cv: number][] = [
    ['uniform', () => random.next(), 0.5, 1 / Math.sqrt(3)],
    ['exponential', () => exponential(random, 20), 20, 1],
    ['normal', () => normal(random, 10, 2), 10, 0.2],
    ['log-normal', () => logNormal(random, 100, 0.5), 100 * Math.exp(0.125), Math.sqrt(Math.exp(0.25) - 1)],
    ['gamma, shape 4', () => gamma(random, 4, 5), 20, 0.5],
    ['gamma, shape 1/16 (bursts of CV 4)', () => gamma(random, 1 / 16, 16), 1, 4],
  ]
  for (const [name, draw, mean, cv] of cases) {
    const m = moments(draw)
    t.ok(Math.abs(m.mean / mean - 1) < 0.12, `${name}: mean ${m.mean} is about ${mean}`)
    t.ok(Math.abs(m.cv / cv - 1) < 0.12, `${name}: cv ${m.cv} is about ${cv}`)
  }
  const whole = moments(() => integerBelow(random, 6))
  t.same([whole.min, whole.max], [0, 5])
  t.throws(() => gamma(random, 0, 1), /shape must be above 0/)
})
