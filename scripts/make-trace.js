#!/usr/bin/env node
// Writes a conversation trace of our own making to stdout, in the columns of the Azure traces: Poisson arrivals, log-normal
// lengths. The same file every time. `node scripts/make-trace.js > test/fixtures/traces/conversation.csv`
import { createRandom } from '../dist/core/index.js'

const ROWS = 360
const REQUESTS_PER_SECOND = 5.5
// Medians and spreads of what people type to a chat and of what it answers.
const PROMPT = { median: 900, spread: 0.9, min: 4, max: 4000 }
const ANSWER = { median: 140, spread: 0.8, min: 7, max: 700 }

const random = createRandom('conversation trace')
const normal = () => Math.sqrt(-2 * Math.log(1 - random.next())) * Math.cos(2 * Math.PI * random.next())
const length = ({ median, spread, min, max }) => Math.min(max, Math.max(min, Math.round(median * Math.exp(spread * normal()))))

let atMs = Date.UTC(2026, 0, 1, 12)
const lines = ['TIMESTAMP,ContextTokens,GeneratedTokens']
for (let i = 0; i < ROWS; i++) {
  lines.push(`${new Date(atMs).toISOString().replace('T', ' ').replace('Z', '0000')},${length(PROMPT)},${length(ANSWER)}`)
  atMs += -Math.log(1 - random.next()) * 1000 / REQUESTS_PER_SECOND
}
process.stdout.write(`${lines.join('\n')}\n`)
