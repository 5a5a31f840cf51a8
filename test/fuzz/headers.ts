import { equal, notEqual, ok } from 'node:assert/strict'
import fc from 'fast-check'
import { headersToBackend, headersToClient, isHeaderSafe, parseEngineError, readSloHeaders, readTraceContext, validRequestId } from '../../src/protocol/index.js'
import { treacherous } from '../support/stream-arbitraries.js'
import { property, type Property } from './property.js'

const names = fc.constantFrom('x-slo-ttft-ms', 'x-slo-tpot-ms', 'x-slo-deadline-ms', 'x-llm-d-slo-ttft-ms', 'x-slo-class', 'x-stainless-timeout', 'x-stainless-retry-count', 'traceparent', 'tracestate',
  'x-request-id', 'connection', 'cookie', 'authorization', 'content-type', '__proto__', 'constructor', 'x-other')
const values = fc.oneof(treacherous, fc.double().map(String), fc.integer().map(String), fc.string({ maxLength: 60 }),
  fc.constantFrom('500', '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01', 'a=1', 'close, content-type', '1e999', 'chat'))
const headers = fc.array(fc.tuple(names, fc.oneof({ weight: 5, arbitrary: values }, { weight: 1, arbitrary: fc.array(values, { maxLength: 2 }) })), { maxLength: 6 })
  .map(entries => Object.assign(Object.create(null) as Record<string, string | string[]>, Object.fromEntries(entries)))

function checkHeaders (given: Record<string, string | string[]>): void {
  const slo = readSloHeaders(given)
  if (slo.ok) {
    for (const ms of Object.values(slo.targets)) ok(typeof ms === 'number' && ms > 0 && ms <= 86_400_000)
    ok(Number.isInteger(slo.retryCount) && slo.retryCount >= 0)
  } else ok(isHeaderSafe(slo.message.replace(/[\u0080-\uffff]/g, '')) && slo.message.length < 300)
  const id = validRequestId(given['x-request-id'])
  ok(id === undefined || isHeaderSafe(id))
  const trace = readTraceContext(given)
  ok(trace === undefined || /^[0-9a-f]{32}$/.test(trace.traceId))
  ok(trace?.state === undefined || isHeaderSafe(trace.state))
  const up = headersToBackend(given, false)
  const names = up.filter((_, i) => i % 2 === 0)
  for (const name of ['cookie', 'authorization', 'connection', 'x-slo-class', 'constructor']) equal(names.includes(name), false)
  for (const out of [up, Object.values(headersToClient(given))]) {
    for (const value of out.flat()) notEqual(/[\r\n\0]/.test(value as string), true)
  }
}

function checkEngineError (status: number | undefined, body: Buffer): void {
  const error = parseEngineError(status, undefined, body)
  ok(error.message.length > 0 && error.message.length <= 1000)
  ok(Number.isInteger(error.status) && error.status >= 400 && error.status <= 599)
}

export const headerProperties: readonly Property[] = [
  property('headers are read safely and nothing steers another', 3, headers, checkHeaders),
  property('any error body has a message and a status', 1, fc.tuple(fc.constantFrom(undefined, 400, 503),
    fc.oneof(fc.json().map(text => Buffer.from(text)), fc.uint8Array({ maxLength: 40 }).map(bytes => Buffer.from(bytes)),
      fc.tuple(values, values, values).map(([message, type, code]) => Buffer.from(JSON.stringify({ error: { message, type, code } }))))), ([status, body]) => checkEngineError(status, body)),
]
