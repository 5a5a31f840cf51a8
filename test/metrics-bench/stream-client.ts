/**
 * Holds endless streams open and measures how unevenly their events arrive, in a process of its own. Told by IPC what to begin
 * with; then each message is answered with what the time since the one before it showed.
 */
import { connect } from 'node:net'
import { Bins, type Sparse } from './bins.js'
import { exposed, type Passage, type Span } from './exposure.js'
import { MARK, STAMP_DIGITS, microseconds, readStamp } from '../bench/relay/wire.js'

export interface StreamsOrder {
  readonly port: number
  readonly streams: number
  /** Events per second of one stream. */
  readonly rate: number
  readonly classes: readonly string[]
}

/** Ends an interval: in which spans of it somebody looked, and how late an event has to be to hold up those behind it. */
export interface Take {
  readonly looks: readonly Span[]
  readonly lateUs: number
}

export interface StreamsReport {
  /** How much further apart two events of a stream arrive than they were written: what the upstream's own unrest does not touch. */
  readonly gaps: Sparse
  /** Of these the ones whose later event can have felt a look. */
  readonly exposedGaps: Sparse
  /** From an event's writing by the upstream to its arrival. */
  readonly delays: Sparse
  /** Streams that broke so far. */
  readonly errors: number
}

const TRIES = 40, PAUSE_MS = 250

interface Event extends Passage {
  readonly gapUs: number | undefined
}

let events: Event[] = []
let errors = 0

/** Resolves with the first event of an endless stream, or the end of a finite one. A gateway that sheds load is asked again. */
async function open(order: StreamsOrder, className: string, count: number): Promise<void> {
  for (let tries = 0; tries < TRIES; tries++) {
    if (await ask(order, className, count)) return
    await new Promise((resolve) => setTimeout(resolve, PAUSE_MS))
  }
  throw new Error(`class ${className} was refused ${TRIES} times: the machine is too busy to measure on`)
}

/** Whether it was answered with 200. */
function ask({ port, rate }: StreamsOrder, className: string, count: number): Promise<boolean> {
  const body = `{"model":"bench","stream":true,"bench":{"rate":${rate},"events":${count}},"messages":[{"role":"user","content":"Tell me about rivers."}]}`
  return new Promise((resolve) => {
    let lastDelayUs: number | undefined, isEndless = false
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
      if (count > 0 && chunk.subarray(-5).toString() === '0\r\n\r\n') {
        resolve(true)
        return socket.destroy()
      }
      for (let at = chunk.indexOf(MARK); at >= 0; at = chunk.indexOf(MARK, at + MARK.length)) {
        if (at + MARK.length + STAMP_DIGITS > chunk.length) break
        const writtenUs = readStamp(chunk, at + MARK.length), delayUs = nowUs - writtenUs
        events.push({ writtenUs, arrivedUs: nowUs, gapUs: lastDelayUs === undefined ? undefined : delayUs - lastDelayUs })
        lastDelayUs = delayUs
        if (count === 0) {
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

function take({ looks, lateUs }: Take): StreamsReport {
  const gaps = new Bins(), exposedGaps = new Bins(), delays = new Bins()
  const touched = exposed(events, looks, lateUs)
  for (const [i, { writtenUs, arrivedUs, gapUs }] of events.entries()) {
    delays.add(arrivedUs - writtenUs)
    if (gapUs === undefined) continue
    gaps.add(gapUs)
    if (touched[i]!) exposedGaps.add(gapUs)
  }
  events = []
  return { gaps: gaps.take(), exposedGaps: exposedGaps.take(), delays: delays.take(), errors }
}

process.on('message', (message: StreamsOrder | Take) => {
  if ('looks' in message) return void process.send?.(take(message))
  void start(message).then(() => process.send?.('open'))
})
