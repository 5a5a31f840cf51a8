/**
 * Holds endless streams open and measures the gaps between their events, in a process of its own. Told by IPC what to begin
 * with; then each message names the interval that follows, and is answered with what the one before it showed.
 */
import { connect } from 'node:net'
import { MARK, STAMP_DIGITS, microseconds, readStamp } from '../bench/relay/wire.js'

export interface StreamsOrder {
  readonly port: number
  readonly streams: number
  /** Events per second of one stream. */
  readonly rate: number
  readonly classes: readonly string[]
}

/** Milliseconds. A gap counts beyond the stream's period; a delay from the upstream's writing of an event. */
export interface StreamsReport {
  readonly events: number
  readonly errors: number
  readonly gapMs: Readonly<Record<'p50' | 'p99' | 'p999' | 'max', number>>
  readonly delayMs: Readonly<Record<'p50' | 'p99' | 'p999' | 'max', number>>
}

/** What follows at once after a change belongs to neither side of it. */
const SETTLE_US = 250_000
const TRIES = 40, PAUSE_MS = 250

let gaps: number[] = [], delays: number[] = [], errors = 0, countsFromUs = Infinity

function quantiles(valuesUs: readonly number[]): StreamsReport['gapMs'] {
  const sorted = Float64Array.from(valuesUs).sort()
  const at = (q: number) => (sorted[Math.min(sorted.length - 1, Math.floor(q * sorted.length))] ?? NaN) / 1000
  return { p50: at(0.5), p99: at(0.99), p999: at(0.999), max: at(1) }
}

/** Resolves with the first event of an endless stream, or the end of a finite one. A gateway that sheds load is asked again. */
async function open(order: StreamsOrder, className: string, events: number): Promise<void> {
  for (let tries = 0; tries < TRIES; tries++) {
    if (await ask(order, className, events)) return
    await new Promise((resolve) => setTimeout(resolve, PAUSE_MS))
  }
  throw new Error(`class ${className} was refused ${TRIES} times: the machine is too busy to measure on`)
}

/** Whether it was answered with 200. */
function ask({ port, rate }: StreamsOrder, className: string, events: number): Promise<boolean> {
  const periodUs = 1e6 / rate
  const body = `{"model":"bench","stream":true,"bench":{"rate":${rate},"events":${events}},"messages":[{"role":"user","content":"Tell me about rivers."}]}`
  return new Promise((resolve) => {
    let lastUs = 0, isEndless = false
    const socket = connect({ port, host: '127.0.0.1', noDelay: true }, () => {
      socket.write(`POST /v1/chat/completions HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-type: application/json\r\nx-class: ${className}\r\ncontent-length: ${body.length}\r\n\r\n${body}`)
    })
    socket.on('error', () => {})
    socket.on('close', () => {
      if (isEndless) errors++
      resolve(false)
    })
    socket.on('data', (chunk) => {
      const nowUs = microseconds()
      if (chunk.indexOf('HTTP/1.1 ') === 0 && chunk.indexOf('HTTP/1.1 200') !== 0) return socket.destroy()
      if (events > 0 && chunk.subarray(-5).toString() === '0\r\n\r\n') {
        resolve(true)
        return socket.destroy()
      }
      for (let at = chunk.indexOf(MARK); at >= 0; at = chunk.indexOf(MARK, at + MARK.length)) {
        if (at + MARK.length + STAMP_DIGITS > chunk.length) break
        if (nowUs >= countsFromUs) {
          delays.push(nowUs - readStamp(chunk, at + MARK.length))
          if (lastUs > 0) gaps.push(Math.max(0, nowUs - lastUs - periodUs))
        }
        lastUs = nowUs
        if (events === 0) {
          isEndless = true
          resolve(true)
        }
      }
    })
  })
}

async function start(order: StreamsOrder): Promise<void> {
  // Requests that end, so that every class has its series.
  for (let round = 0; round < 3; round++) await Promise.all(order.classes.map((className) => open({ ...order, rate: 100 }, className, 10)))
  const opened: Promise<void>[] = []
  for (let i = 0; i < order.streams; i++) {
    opened.push(open(order, order.classes[i % order.classes.length]!, 0))
    if (i % 50 === 49) await new Promise((resolve) => setTimeout(resolve, 25))
  }
  await Promise.all(opened)
}

process.on('message', (message: StreamsOrder | 'next') => {
  if (message !== 'next') return void start(message).then(() => process.send?.('open'))
  const report: StreamsReport = { events: delays.length, errors, gapMs: quantiles(gaps), delayMs: quantiles(delays) }
  gaps = []
  delays = []
  process.send?.(report)
  countsFromUs = microseconds() + SETTLE_US
})
