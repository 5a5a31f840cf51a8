/**
 * A synthetic model server that costs next to nothing: canned bytes on bare sockets, one timer for all streams.
 * Run as its own process: `node upstream.js PORT [HOSTS]`, on 127.0.0.1 and as many neighbours as HOSTS says. Prints `ready`.
 */
import { createServer, type Socket } from 'node:net'
import { eventTemplate, microseconds, writeStamp, type StreamOrder } from './wire.js'

interface Stream { socket: Socket, dueUs: number, periodUs: number, left: number }

/** A connection's answer that is still being written. */
type Upstream = Socket & { stream?: Stream }

const { bytes: TEMPLATE, stampAt: STAMP_AT } = eventTemplate()
const STREAM_HEAD = 'HTTP/1.1 200 OK\r\ncontent-type: text/event-stream; charset=utf-8\r\ntransfer-encoding: chunked\r\n\r\n'
const frame = (text: string) => `${text.length.toString(16)}\r\n${text}\r\n`
const STREAM_TAIL = Buffer.from(
  frame('data: {"id":"chatcmpl-7f3b5a1e","object":"chat.completion.chunk","created":1760000000,"model":"bench","choices":[{"index":0,"delta":{},"logprobs":null,"finish_reason":"length"}]}\n\n') +
  frame('data: {"id":"chatcmpl-7f3b5a1e","object":"chat.completion.chunk","created":1760000000,"model":"bench","choices":[],"usage":{"prompt_tokens":12,"total_tokens":112,"completion_tokens":100}}\n\n') +
  frame('data: [DONE]\n\n') + '0\r\n\r\n')
const json = (body: string) => Buffer.from(`HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: ${body.length}\r\n\r\n${body}`)
const ANSWER = json('{"id":"chatcmpl-7f3b5a1e","object":"chat.completion","created":1760000000,"model":"bench","choices":[{"index":0,"message":{"role":"assistant","content":"A short answer."},"finish_reason":"stop"}],"usage":{"prompt_tokens":12,"total_tokens":17,"completion_tokens":5}}')
const MODELS = json('{"object":"list","data":[{"id":"bench","object":"model","owned_by":"vllm","max_model_len":1000000}]}')
const EMPTY = json('')

const streams = new Set<Stream>()

/** Stamped and written one by one, so that every event is a segment of its own, as with a real server. */
function emit (stream: Stream): void {
  const bytes = Buffer.allocUnsafe(TEMPLATE.length)
  TEMPLATE.copy(bytes)
  writeStamp(bytes, STAMP_AT, microseconds())
  stream.socket.write(bytes)
  stream.dueUs += stream.periodUs
  if (stream.left > 0 && --stream.left === 0) {
    stream.socket.write(STREAM_TAIL)
    streams.delete(stream)
  }
}

function tick (): void {
  const nowUs = microseconds()
  for (const stream of streams) {
    // A stream whose reader is behind is not fed further: the backlog would be this process's, not the proxy's.
    if (stream.socket.writableLength > 65536) stream.dueUs = nowUs + stream.periodUs
    else while (stream.dueUs <= nowUs && streams.has(stream)) emit(stream)
  }
  setTimeout(tick, 1)
}

function answer (socket: Upstream, path: string, body: Buffer): void {
  if (path === '/v1/models') socket.write(MODELS)
  else if (!path.startsWith('/v1/')) socket.write(EMPTY)
  else if (!body.includes('"stream":true')) socket.write(ANSWER)
  else {
    const found = /"bench":(\{[^}]*\})/.exec(body.toString('latin1', 0, 512))
    const order = JSON.parse(found?.[1] ?? '{"rate":50,"events":10}') as StreamOrder
    const periodUs = 1e6 / order.rate
    socket.write(STREAM_HEAD)
    const stream: Stream = { socket, dueUs: microseconds(), periodUs, left: order.events }
    streams.add(stream)
    socket.stream = stream
    emit(stream)
    stream.dueUs += Math.floor(Math.random() * periodUs) // phases apart, so that streams do not march in step
  }
}

const serve = (socket: Upstream) => {
  let pending: Buffer[] = []
  let pendingBytes = 0
  let needBytes = -1
  socket.on('error', () => socket.destroy())
  socket.once('close', () => { if (socket.stream !== undefined) streams.delete(socket.stream) })
  socket.on('data', chunk => {
    pending.push(chunk)
    pendingBytes += chunk.length
    if (needBytes > pendingBytes) return
    const all = pending.length === 1 ? chunk : Buffer.concat(pending)
    const headEnd = all.indexOf('\r\n\r\n')
    pending = [all]
    if (headEnd < 0) return
    const head = all.toString('latin1', 0, headEnd)
    const length = Number(/\r\ncontent-length: *(\d+)/i.exec(head)?.[1] ?? 0)
    // A proxy that re-frames the body chunked is served too: all of it is here when its last chunk is.
    const chunked = /\r\ntransfer-encoding: *chunked/i.test(head)
    needBytes = headEnd + 4 + length
    if (chunked ? !all.subarray(-5).equals(Buffer.from('0\r\n\r\n')) : all.length < needBytes) return
    pending = []
    pendingBytes = 0
    needBytes = -1
    answer(socket, head.split(' ', 2)[1] ?? '/', all.subarray(headEnd + 4))
  })
}

for (let host = 1, hosts = Number(process.argv[3] ?? 1); host <= hosts; host++) {
  createServer({ noDelay: true }, serve).listen(Number(process.argv[2]), `127.0.0.${host}`, 4096, () => {
    if (host === hosts) process.stdout.write('ready\n')
  })
}
tick()
