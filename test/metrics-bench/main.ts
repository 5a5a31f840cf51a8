/**
 * `npm run bench:metrics [-- --only looks|streams] [--streams N] [--rate N] [--pairs N] [--json]`: what it costs to be looked at, in
 * the gateway's CPU and in what its streams feel. Under two minutes; ends with 1 where streams feel too much.
 */
import { parseArgs } from 'node:util'
import { looks, table } from './looks.js'
import { streams, verdict } from './streams.js'

const { values: flags } = parseArgs({
  options: {
    only: { type: 'string' }, json: { type: 'boolean', default: false },
    streams: { type: 'string', default: '2000' }, rate: { type: 'string', default: '5' }, pairs: { type: 'string', default: '6' },
  },
})
const costs = flags.only === 'streams' ? undefined : await looks()
if (costs !== undefined && !flags.json) console.log(table(costs))
const felt = flags.only === 'looks' ? undefined : await streams(Number(flags.streams), Number(flags.rate), Number(flags.pairs))
if (felt !== undefined && !flags.json) console.log(verdict(felt))
if (flags.json) console.log(JSON.stringify({ looks: costs, streams: felt }))
process.exitCode = felt === undefined || felt.kept ? 0 : 1
