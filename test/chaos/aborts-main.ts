// npm run test:aborts [-- --count N] [--seed N]
import { parseArgs } from 'node:util'
import { aborts, quantile } from './aborts.js'

const { values } = parseArgs({ options: { count: { type: 'string', default: '10000' }, seed: { type: 'string', default: '1' } } })
const report = await aborts({ count: Number(values.count), seed: values.seed })
console.log(`${report.aborts} clients left, seed ${values.seed}; ${report.tooLate} of them when the server had finished`)
for (const [phase, sorted] of report.delaysMs) console.log(`  ${phase}: ${sorted.length} seen, p50 ${quantile(sorted, 0.5).toFixed(1)} ms, p99 ${quantile(sorted, 0.99).toFixed(1)} ms, most ${(sorted.at(-1) ?? NaN).toFixed(1)} ms`)
const checks = [...report.checks, report.timely]
for (const { what, holds, figure } of checks) console.log(`  ${holds ? 'holds ' : 'BROKEN'}  ${what}: ${figure}`)
process.exit(checks.every(({ holds }) => holds) ? 0 : 1)
