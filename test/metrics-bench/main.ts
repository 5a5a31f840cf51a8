/**
 * `npm run bench:metrics [-- --only looks|streams] [--streams N] [--rate N] [--pairs N] [--json]`: what it costs to be looked at, in
 * the gateway's CPU and in what its streams feel. Some three minutes; ends with 1 unless streams are shown to feel little.
 */
import { parseArgs } from 'node:util'
import { report } from './judge.js'
import { looks, table } from './looks.js'
import { streams } from './streams.js'

const { values: flags } = parseArgs({
  options: {
    only: { type: 'string' }, json: { type: 'boolean', default: false },
    streams: { type: 'string', default: '2000' }, rate: { type: 'string', default: '2' }, pairs: { type: 'string', default: '12' },
  },
})
const costs = flags.only === 'streams' ? undefined : await looks()
if (costs !== undefined && !flags.json) console.log(table(costs))
const felt = flags.only === 'looks' ? undefined : await streams(Number(flags.streams), Number(flags.rate), Number(flags.pairs))
if (felt !== undefined && !flags.json) console.log(report(felt))
if (flags.json) console.log(JSON.stringify({ looks: costs, streams: felt }))
process.exitCode = felt === undefined || felt.verdict === 'kept' ? 0 : 1
