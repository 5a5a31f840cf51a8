// npm run test:chaos [-- --quick | --seconds N] [--streams N] [--seed N] [--story]
import { parseArgs } from 'node:util'
import { realIo } from '../../src/cli/process.js'
import { chaos } from './chaos.js'

const { values } = parseArgs({ options: { quick: { type: 'boolean', default: false }, seconds: { type: 'string' }, streams: { type: 'string', default: '200' }, seed: { type: 'string', default: '1' }, story: { type: 'boolean', default: false } } })
const seconds = Number(values.seconds ?? (values.quick ? 60 : 600))
const { requests, endings, growth, checks, losses, excused, story } = await chaos({ seconds, streams: Number(values.streams), seed: values.seed }, realIo.clock)
const { out } = realIo
out(`${seconds} s, ${values.streams} streams at once, ${requests} requests, seed ${values.seed}\n`)
out(`  seen by clients: ${[...endings].map(([ending, count]) => `${ending} ${count}`).join(', ')}\n`)
for (const [what, [middle, last], slope] of [['resident', growth.residentMiB, growth.residentMiBPerMinute], ['heap and buffers', growth.heapMiB, growth.heapMiBPerMinute]] as const) {
  out(`  memory, ${what}: ${middle.toFixed(1)} MiB in the middle third, ${last.toFixed(1)} MiB in the last, slope ${slope.toFixed(2)} MiB a minute\n`)
}
for (const { what, holds, figure } of checks) out(`  ${holds ? 'holds ' : 'BROKEN'}  ${what}: ${figure}\n`)
for (const loss of losses.slice(0, 10)) out(`          lost: ${loss}\n`)
if (values.story) for (const line of [...excused.map(one => `excused: ${one}`), ...story]) out(`${line}\n`)
process.exit(checks.every(({ holds }) => holds) ? 0 : 1)
