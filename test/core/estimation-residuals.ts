import t from 'tap'
import { createRandom, integerBelow } from '../../src/core/index.js'
import { Residuals } from '../../src/core/estimation/residuals.js'

t.test('quantiles are those of the latest values, whatever their order', async (t) => {
  const random = createRandom('residuals')
  const residuals = new Residuals(8)
  const latest: number[] = []
  for (let i = 0; i < 500; i++) {
    // Equal ones among them.
    const value = integerBelow(random, 12)
    residuals.add(value)
    latest.push(value)
    if (latest.length > 8) latest.shift()
    const sorted = [...latest].sort((a, b) => a - b)
    const wrong = sorted.findIndex((expected, at) => residuals.quantile(at / Math.max(1, sorted.length - 1))?.toFixed(6) !== expected.toFixed(6))
    if (wrong >= 0) return void t.fail(`after ${i + 1} values: ${latest.join(' ')}`)
  }
  t.equal(residuals.size, 8)
})
