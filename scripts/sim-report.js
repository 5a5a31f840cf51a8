// Makes docs/results/simulation.md, or prints a small version of it with --quick. Takes about ten minutes on two cores.
import { mkdir, writeFile } from 'node:fs/promises'
import { availableParallelism } from 'node:os'
import { realIo } from '../dist/cli/process.js'
import { withProgress } from '../dist/cli/simulate/progress.js'
import { threadedRunner } from '../dist/cli/simulate/runners.js'
import { publishedReport } from '../dist/simulator/index.js'

const quick = process.argv.includes('--quick')
let runner
let requests = 0
let progress
const finish = async () => {
  if (progress !== undefined) requests += progress.finish().requests
  await runner?.close()
}
const runnerFor = workload => {
  void finish()
  runner = threadedRunner(availableParallelism(), workload)
  progress = withProgress(runner.run, realIo)
  return progress.run
}
const startMs = realIo.clock.now()
const page = await publishedReport({ quick, command: quick ? 'npm run sim:report -- --quick' : 'npm run sim:report', runnerFor, onSection: done => console.error(`section ${done} of 6`) })
await finish()
if (quick) console.log(page)
else {
  const folder = new URL('../docs/results/', import.meta.url)
  await mkdir(folder, { recursive: true })
  await writeFile(new URL('simulation.md', folder), page)
}
console.error(`${requests.toLocaleString('en')} requests simulated in ${((realIo.clock.now() - startMs) / 1000).toFixed(0)} s`)
