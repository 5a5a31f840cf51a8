// On one core the collector works without helpers: the engine has to survive that, and what does not concern it has to stay. Nowhere are objects old from the start, nor are there more new ones than are quickly looked through.
import { execFile } from 'node:child_process'
import { promisify } from 'node:util'
import t from 'tap'

const COLLECTOR = new URL('../../dist/cli/collector.js', import.meta.url).href

/** Long- and short-lived objects, buffers among them, until every kind of collection has run many times; prints how many did. */
const work = (cores: number) => `
import { PerformanceObserver } from 'node:perf_hooks'
import { setUpCollector } from ${JSON.stringify(COLLECTOR)}
setUpCollector(${cores})
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

t.test('nothing is made old from the start, however long what came before it has lived', async t => {
  /** Objects that live on; how many decisions on their places the engine tells of. */
  const decisions = async (first: string) => {
    const script = `
${first}
const make = i => ({ i, list: [i] })
const kept = []
for (let i = 0; i < 400_000; i++) kept.push(make(i))
console.log(kept.length)`
    const { stdout } = await promisify(execFile)(process.execPath, ['--trace-pretenuring-statistics', '--input-type=module', '--eval', script], { env: {} })
    return stdout.match(/AllocationSite/g)?.length ?? 0
  }
  t.ok(await decisions('') > 0, 'it tells when it decides')
  t.equal(await decisions(`import { setUpCollector } from ${JSON.stringify(COLLECTOR)}; setUpCollector(2)`), 0)
})

t.test('the space for new objects grows, but not until streams have to wait for it', async t => {
  /** MiB of that space, when far more has lived on than makes the engine let it grow. */
  const grown = async (first: string) => {
    const script = `
import { getHeapSpaceStatistics } from 'node:v8'
${first}
let kept = []
for (let round = 0; round < 200; round++) {
  kept = Array.from({ length: 20_000 }, (_, i) => ({ i, list: [i, round] }))
  await new Promise(setImmediate)
}
const young = getHeapSpaceStatistics().find(space => space.space_name === 'new_space')
console.log((young.space_used_size + young.space_available_size) / 1024 / 1024)`
    return Number((await promisify(execFile)(process.execPath, ['--input-type=module', '--eval', script], { env: {} })).stdout)
  }
  t.ok(await grown('') > 12, 'by itself the engine lets it')
  const bounded = await grown(`import { setUpCollector } from ${JSON.stringify(COLLECTOR)}; setUpCollector(2)`)
  t.ok(bounded > 7 && bounded < 9, `${bounded} MiB`)
})
