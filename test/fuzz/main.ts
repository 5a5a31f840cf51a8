/**
 * `npm run test:fuzz`: a million cases, each run with other seeds; `-- --quick` about a minute of it; `-- --seed N` and
 * `-- --cases N` to go where somebody has been. Prints how to repeat what failed.
 */
import { parseArgs } from 'node:util'
import fc from 'fast-check'
import { properties } from './properties.js'

const { values } = parseArgs({ options: { quick: { type: 'boolean', default: false }, cases: { type: 'string' }, seed: { type: 'string' } } })
const cases = Number(values.cases ?? (values.quick ? 60_000 : 1_000_000))
const seed = Number(values.seed ?? Date.now() % 2 ** 31)
const total = properties.reduce((sum, property) => sum + property.weight, 0)
let failures = 0
let ran = 0
for (const { name, weight, run } of properties) {
  const startedMs = performance.now()
  const details = run(Math.ceil(cases * weight / total), seed)
  ran += details.numRuns
  process.stdout.write(`${details.failed ? 'FAILED' : 'held'}  ${details.numRuns} cases, ${((performance.now() - startedMs) / 1000).toFixed(1)} s: ${name}\n`)
  if (details.failed) {
    failures++
    process.stdout.write(`${fc.defaultReportMessage(details)}\n`)
  }
}
process.stdout.write(`${ran} cases, seed ${seed}: ${failures} of ${properties.length} properties failed\n`)
process.exitCode = failures === 0 ? 0 : 1
