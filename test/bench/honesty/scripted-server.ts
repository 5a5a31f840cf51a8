// A server of known timing: every stream has its first token and the others at set times, and what it truly did is kept by request id.
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { monotonicMs } from './monotonic.js'

export interface Course {
  readonly firstMs: number
  readonly gapMs: number
  readonly tokens: number
}

/** Every time was read right before the bytes were handed to the kernel. */
export interface Deed {
  /** When the server read the request, on the machine's clock. */
  readonly arrivedMs: number
  /** From the request's arrival to the first token's sending. */
  readonly ttftMs: number
  readonly tpotMs: number
  readonly tokens: number
  /** At most so long before `arrival` had the request lain in the kernel: since then the server was at other work. */
  readonly unseenMs: number
  /** What writing the first token took: it may have reached the reader so much later than it was noted. */
  readonly writeMs: number
}

const event = (delta: object, finish: string | null) => `data: ${JSON.stringify({ id: 'x', object: 'chat.completion.chunk', choices: [{ index: 0, delta, finish_reason: finish }] })}\n\n`
const chunk = (text: string) => `${text.length.toString(16)}\r\n${text}\r\n`
const TOKEN = Buffer.from(chunk(event({ content: ' word' }, null)))
const tail = (tokens: number) => Buffer.from(chunk(`${event({}, 'stop')}data: ${JSON.stringify({ choices: [], usage: { prompt_tokens: 10, completion_tokens: tokens } })}\n\ndata: [DONE]\n\n`))

/** Tokens sent before the sockets are looked at again. */
const TOKENS_PER_TURN = 8
/** A core that only looks at the clock slows its sibling, where the load tool may be. */
const NAP_MS = 0.05
const NEVER = new Int32Array(new SharedArrayBuffer(4))

interface Stream { readonly id: string, readonly res: ServerResponse, readonly course: Course, readonly startMs: number, readonly unseenMs: number, dueMs: number, firstMs: number, writeMs: number, sent: number }

/**
 * @param courseOf may answer a request itself, and give undefined
 * @param punctual looks at the clock every 0.1 ms or so, which takes most of a core, in place of every millisecond
 */
export async function startScriptedServer (courseOf: (req: IncomingMessage, res: ServerResponse) => Course | undefined, punctual = false) {
  const deeds = new Map<string, Deed>()
  const streams = new Dues<Stream>()
  let received = 0
  let turnMs = performance.now()
  const server = createServer({ noDelay: true }, (req, res) => {
    const startMs = performance.now()
    if (req.method === 'GET') {
      res.end(JSON.stringify({ data: [{ id: 'scripted' }] }))
      return
    }
    received++
    const course = courseOf(req, res)
    req.resume()
    if (course === undefined) return
    res.writeHead(200, { 'content-type': 'text/event-stream', 'transfer-encoding': 'chunked' })
    res.flushHeaders()
    streams.add({ id: String(req.headers['x-request-id']), res, course, startMs, unseenMs: startMs - turnMs, dueMs: startMs + course.firstMs, firstMs: 0, writeMs: 0, sent: 0 })
  })
  /** Straight to the socket: written through `res`, bytes wait until the turn ends, and the time noted would not be theirs. */
  const sendToken = (stream: Stream) => {
    const { res, course, startMs } = stream
    const socket = res.socket
    if (socket === null || socket.destroyed) return
    const nowMs = performance.now()
    socket.write(TOKEN)
    if (stream.sent++ === 0) {
      stream.firstMs = nowMs
      stream.writeMs = performance.now() - nowMs
    }
    if (stream.sent < course.tokens) {
      stream.dueMs = startMs + course.firstMs + stream.sent * course.gapMs
      streams.add(stream)
      return
    }
    deeds.set(stream.id, { arrivedMs: monotonicMs(startMs), ttftMs: stream.firstMs - startMs, tpotMs: (nowMs - stream.firstMs) / (course.tokens - 1), tokens: course.tokens, unseenMs: stream.unseenMs, writeMs: stream.writeMs })
    socket.write(tail(course.tokens))
    res.end()
  }
  const sendDue = (most: number) => {
    for (let sent = 0; sent < most && streams.firstDueMs <= performance.now(); sent++) sendToken(streams.take())
  }
  let stopped = false
  const spin = () => {
    turnMs = performance.now()
    sendDue(TOKENS_PER_TURN)
    const napMs = Math.min(NAP_MS, streams.firstDueMs - performance.now())
    if (napMs > 0) Atomics.wait(NEVER, 0, 0, napMs)
    if (!stopped) setImmediate(spin)
  }
  const timer = punctual ? undefined : setInterval(() => { sendDue(Infinity) }, 1)
  if (punctual) spin()
  await new Promise<void>(resolve => server.listen(0, '127.0.0.1', 4096, () => { resolve() }))
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    deeds,
    received: () => received,
    stop: async () => {
      stopped = true
      clearInterval(timer)
      server.closeAllConnections()
      await new Promise(resolve => server.close(resolve))
    },
  }
}

/** A binary heap by due time. */
class Dues<T extends { readonly dueMs: number }> {
  readonly #items: T[] = []

  get firstDueMs(): number {
    return this.#items[0]?.dueMs ?? Infinity
  }

  add (item: T): void {
    const items = this.#items
    let at = items.push(item) - 1
    while (at > 0) {
      const up = (at - 1) >> 1
      if (items[up]!.dueMs <= item.dueMs) break
      items[at] = items[up]!
      at = up
    }
    items[at] = item
  }

  take (): T {
    const items = this.#items
    const first = items[0]!
    const last = items.pop()!
    if (items.length === 0) return first
    let at = 0
    for (;;) {
      let down = 2 * at + 1
      if (down >= items.length) break
      if (down + 1 < items.length && items[down + 1]!.dueMs < items[down]!.dueMs) down++
      if (items[down]!.dueMs >= last.dueMs) break
      items[at] = items[down]!
      at = down
    }
    items[at] = last
    return first
  }
}
