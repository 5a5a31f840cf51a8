/**
 * The load client of the relay bench, a process of its own on bare sockets: takes one `ClientOrder` by IPC at a time,
 * answers with a `ClientReport`. Delays are arrival minus the stamp inside the event.
 */
import { connect, type Socket } from 'node:net'
import { MARK, STAMP_DIGITS, microseconds, readStamp } from './wire.js'

export interface ClientOrder {
  readonly port: number
  readonly kind: 'streams' | 'requests' | 'idle'
  /** Connections at once. */
  readonly connections: number
  /** Events per second of one stream. */
  readonly rate: number
  /** Events per stream before the next one starts on the same connection; 0 = one endless stream. */
  readonly events: number
  /** The first streams begin at random moments of this long; the next ones follow them. */
  readonly spreadMs: number
  readonly promptBytes: number
  readonly warmupMs: number
  readonly measureMs: number
  /** For `requests`: open loop at this many a second in all; 0 = closed loop, as many as it can. */
  readonly requestsPerSecond: number
  /** Beside the streams: one prompt of this size every 500 ms, whose effect on the others is wanted. */
  readonly disturbBytes?: number
}

export interface ClientReport {
  readonly events: number
  readonly requests: number
  readonly errors: number
  readonly measuredMs: number
  readonly delayMs: Quantiles
  readonly ttftMs: Quantiles
  readonly latencyMs: Quantiles
  /** Largest gap beyond the stream's own period, between two events. */
  readonly gapMs: Quantiles
}

export interface Quantiles { readonly p50: number, readonly p99: number, readonly p999: number, readonly max: number }

export function quantiles (valuesUs: readonly number[]): Quantiles {
  const sorted = Float64Array.from(valuesUs).sort()
  const at = (q: number) => (sorted[Math.min(sorted.length - 1, Math.floor(q * sorted.length))] ?? NaN) / 1000
  return { p50: at(0.5), p99: at(0.99), p999: at(0.999), max: at(1) }
}

const END = Buffer.from('0\r\n\r\n')
const READ_BUFFER = Buffer.allocUnsafeSlow(64 * 1024)
let socketsOfRun: Socket[] = []

function requestBytes (order: ClientOrder, promptBytes: number, stream: boolean, events: number, rate: number): Buffer {
  const prompt = 'word '.repeat(Math.ceil(promptBytes / 5)).slice(0, promptBytes)
  const body = `{"model":"bench","stream":${stream},"bench":{"rate":${rate},"events":${events}},"stream_options":{"include_usage":true},"messages":[{"role":"user","content":"${prompt}"}]}`
  return Buffer.from(`POST /v1/chat/completions HTTP/1.1\r\nhost: 127.0.0.1:${order.port}\r\ncontent-type: application/json\r\ncontent-length: ${Buffer.byteLength(body)}\r\n\r\n${body}`)
}

async function run (order: ClientOrder): Promise<ClientReport> {
  const delays: number[] = []
  const ttfts: number[] = []
  const latencies: number[] = []
  const gaps: number[] = []
  let events = 0
  let requests = 0
  let errors = 0
  let measuring = false
  let stopped = false
  const periodUs = 1e6 / order.rate

  const open = (onData: (chunk: Buffer, nowUs: number) => void, onConnect: (socket: Socket) => void): void => {
    const socket = connect({
      port: order.port, host: '127.0.0.1', noDelay: true,
      // Read where it lands: what a client that collects garbage does to delays is none of a proxy's doing.
      onread: { buffer: READ_BUFFER, callback: bytes => { onData(READ_BUFFER.subarray(0, bytes), microseconds()); return true } },
    })
    socketsOfRun.push(socket)
    socket.once('connect', () => onConnect(socket))
    socket.on('error', () => { if (!stopped) errors++ })
  }

  const stream = (bytes: Buffer, measured: boolean, pauseMs: number): void => {
    let sentUs = 0
    let first = true
    let lastUs = 0
    let socket: Socket
    const send = () => {
      if (stopped) return
      sentUs = microseconds()
      first = true
      lastUs = 0
      socket.write(bytes)
    }
    open((chunk, nowUs) => {
      for (let at = chunk.indexOf(MARK); at >= 0; at = chunk.indexOf(MARK, at + MARK.length)) {
        if (at + MARK.length + STAMP_DIGITS > chunk.length) break
        if (first && measured && measuring) ttfts.push(nowUs - sentUs)
        first = false
        if (!measured || !measuring) continue
        events++
        delays.push(nowUs - readStamp(chunk, at + MARK.length))
        if (lastUs > 0) gaps.push(Math.max(0, nowUs - lastUs - periodUs))
        lastUs = nowUs
      }
      if (first && chunk.indexOf('HTTP/1.1 ') === 0 && chunk.indexOf('HTTP/1.1 200') !== 0) { errors++; process.stderr.write(`${chunk.toString('latin1', 0, 300)}\n`) }
      if (chunk.length >= 5 && chunk.subarray(-5).equals(END)) {
        requests++
        if (pauseMs > 0) setTimeout(send, pauseMs)
        else send()
      }
    }, opened => { socket = opened; setTimeout(send, Math.random() * order.spreadMs) })
  }

  const requester = (bytes: Buffer): void => {
    let dueUs = 0
    let socket: Socket
    const everyUs = order.requestsPerSecond > 0 ? 1e6 * order.connections / order.requestsPerSecond : 0
    const send = () => {
      if (stopped) return
      if (everyUs === 0) dueUs = microseconds()
      socket.write(bytes)
    }
    open((chunk, nowUs) => {
      if (chunk.indexOf('HTTP/1.1 200') !== 0) errors++
      if (measuring) { requests++; latencies.push(nowUs - dueUs) }
      if (everyUs === 0) { send(); return }
      dueUs += everyUs // latency counts from the scheduled time, late or not
      const waitMs = (dueUs - microseconds()) / 1000
      if (waitMs <= 0) send()
      else setTimeout(send, waitMs)
    }, opened => {
      socket = opened
      const phaseMs = everyUs / 1000 * Math.random()
      dueUs = microseconds() + phaseMs * 1000
      setTimeout(send, phaseMs)
    })
  }

  const bytes = requestBytes(order, order.promptBytes, order.kind !== 'requests', order.events, order.rate)
  for (let i = 0; i < order.connections; i++) {
    if (order.kind === 'requests') requester(bytes)
    else stream(bytes, true, 0)
    if (i % 100 === 99) await new Promise(resolve => setTimeout(resolve, 10)) // below the listen backlog
  }
  if (order.disturbBytes !== undefined) stream(requestBytes(order, order.disturbBytes, true, 2, 50), false, 500)
  await new Promise(resolve => setTimeout(resolve, order.warmupMs))
  process.send?.({ phase: 'measuring' })
  measuring = true
  requests = 0
  const startUs = microseconds()
  await new Promise(resolve => setTimeout(resolve, order.measureMs))
  measuring = false
  const measuredMs = (microseconds() - startUs) / 1000
  process.send?.({ phase: 'measured' })
  stopped = true
  if (order.kind === 'idle') await new Promise(resolve => setTimeout(resolve, 300))
  for (const socket of socketsOfRun) socket.destroy()
  socketsOfRun = []
  return { events, requests, errors, measuredMs, delayMs: quantiles(delays), ttftMs: quantiles(ttfts), latencyMs: quantiles(latencies), gapMs: quantiles(gaps) }
}

process.on('message', (order: ClientOrder) => { void run(order).then(report => process.send?.({ phase: 'done', report })) })
