import { deepEqual, equal, ok } from 'node:assert/strict'
import fc from 'fast-check'
import { createStreamMeter, type Dialect, type StreamMeter } from '../../src/protocol/index.js'
import { slowMeter } from '../support/slow-meter.js'
import { property, type Property } from './property.js'
import { STREAMED_DIALECTS, chunkSizes, chunksOf, damaged, streamOf } from '../support/stream-arbitraries.js'

const LF = 0x0a
const MARGIN_BYTES = 3

/**
 * Feeds a meter; what it returns must be what came, whatever the cuts. Chunks stand in a buffer that others use as well: what is around them
 * would end events, and they are wiped after use.
 */
export function feed (meter: StreamMeter, chunks: readonly Buffer[]): Buffer {
  const out: Buffer[] = []
  for (const chunk of chunks) {
    const shared = Buffer.alloc(chunk.length + 2 * MARGIN_BYTES, LF)
    chunk.copy(shared, MARGIN_BYTES)
    const passed = meter.push(shared, MARGIN_BYTES, MARGIN_BYTES + chunk.length) ?? [chunk]
    out.push(...passed.map(piece => Buffer.from(piece)))
    shared.fill(0)
  }
  const rest = meter.flush()
  if (rest !== undefined) out.push(rest)
  return Buffer.concat(out)
}

function check (dialect: Dialect, stream: Buffer, sizes: readonly number[], stripUsage: boolean): void {
  const meter = createStreamMeter(dialect, { stripUsage })
  const passed = feed(meter, chunksOf(stream, sizes))
  const { stripped, ...expected } = slowMeter(dialect, stream)
  const { tokenEvents, events, firstEventIsError, usage, error, finished } = meter
  deepEqual({ tokenEvents, events, firstEventIsError, usage, error, finished }, expected)
  const forwarded = stripUsage ? stripped : stream
  ok(passed.equals(forwarded), `forwarded ${JSON.stringify(passed.toString())} for ${JSON.stringify(forwarded.toString())}`)
  equal(meter.midEvent, false)
}

const input = (damage: boolean): fc.Arbitrary<[Dialect, Buffer, readonly number[], boolean]> =>
  fc.constantFrom(...STREAMED_DIALECTS).chain(dialect => fc.tuple(
    fc.constant(dialect), damage ? damaged(streamOf(dialect)) : streamOf(dialect), chunkSizes, fc.boolean()))

export const meterProperties: readonly Property[] = [
  property('a stream is metered as by a parser', 3, input(false), args => check(...args)),
  property('a damaged stream is metered as by a parser', 2, input(true), args => check(...args)),
]
