// On one core the collector works without helpers: the engine has to survive that, and what does not concern it has to stay.
import { execFile } from 'node:child_process'
import { promisify } from 'node:util'
import t from 'tap'

const COLLECTOR = new URL('../../dist/cli/collector.js', import.meta.url).href

/** Long- and short-lived objects, buffers among them, until every kind of collection has run many times; prints how many did. */
const work = (cores: number) => `
import { PerformanceObserver } from 'node:perf_hooks'
import { collectWithoutHelpersOnOneCore } from ${JSON.stringify(COLLECTOR)}
collectWithoutHelpersOnOneCore(${cores})
const seen = new Map()
new PerformanceObserver(list => { for (const { detail } of list.getEntries()) seen.set(detail.kind, (seen.get(detail.kind) ?? 0) + 1) }).observe({ entryTypes: ['gc'] })
const kept = []
for (let round = 0; round < 60; round++) {
  kept.push(Array.from({ length: 5000 }, (_, i) => ({ i, bytes: Buffer.alloc(64 + i % 300), text: 'x' + i })))
  if (kept.length > 10) kept.splice(0, 5)
  if (round % 20 === 19) gc()
  await new Promise(setImmediate)
}
await new Promise(resolve => setTimeout(resolve, 50))
console.log(JSON.stringify([...seen.values()].reduce((sum, count) => sum + count, 0)))`

for (const cores of [1, 2]) {
  t.test(`collects on ${cores}`, async t => {
    const { stdout } = await promisify(execFile)(process.execPath, ['--expose-gc', '--input-type=module', '--eval', work(cores)], { env: {} })
    t.ok(Number(stdout) > 5, `${stdout.trim()} collections`)
  })
}
