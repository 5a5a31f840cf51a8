// A server of known timing: every stream has its first token and the others at set times, and what it truly did is kept by request id.
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'

export interface Course {
  readonly firstMs: number
  readonly gapMs: number
  readonly tokens: number
}

export interface Deed {
  /** From the request's arrival to the first token's sending. */
  readonly ttftMs: number
  readonly tpotMs: number
  readonly tokens: number
}

const event = (delta: object, finish: string | null) => `data: ${JSON.stringify({ id: 'x', object: 'chat.completion.chunk', choices: [{ index: 0, delta, finish_reason: finish }] })}\n\n`

interface Stream { readonly id: string, readonly res: ServerResponse, readonly startMs: number, firstMs: number, lastMs: number, sent: number }

/** @param courseOf may answer a request itself, and give undefined */
export async function startScriptedServer (courseOf: (req: IncomingMessage, res: ServerResponse) => Course | undefined) {
  const deeds = new Map<string, Deed>()
  const streams = new Map<Stream, Course>()
  let received = 0
  const server = createServer((req, res) => {
    const startMs = performance.now()
    if (req.method === 'GET') {
      res.end(JSON.stringify({ data: [{ id: 'scripted' }] }))
      return
    }
    received++
    const course = courseOf(req, res)
    req.resume()
    if (course === undefined) return
    res.writeHead(200, { 'content-type': 'text/event-stream' })
    res.flushHeaders()
    streams.set({ id: String(req.headers['x-request-id']), res, startMs, firstMs: 0, lastMs: 0, sent: 0 }, course)
  })
  const tick = () => {
    for (const [stream, course] of streams) {
      const { res, startMs } = stream
      const dueMs = startMs + course.firstMs + stream.sent * course.gapMs
      const nowMs = performance.now()
      if (dueMs > nowMs) continue
      if (res.destroyed) streams.delete(stream)
      else if (stream.sent < course.tokens) {
        res.write(event({ content: ' word' }, null))
        if (stream.sent++ === 0) stream.firstMs = nowMs
        stream.lastMs = nowMs
        if (stream.sent === course.tokens) {
          streams.delete(stream)
          deeds.set(stream.id, { ttftMs: stream.firstMs - startMs, tpotMs: (stream.lastMs - stream.firstMs) / (course.tokens - 1), tokens: course.tokens })
          res.end(`${event({}, 'stop')}data: ${JSON.stringify({ choices: [], usage: { prompt_tokens: 10, completion_tokens: course.tokens } })}\n\ndata: [DONE]\n\n`)
        }
      }
    }
  }
  const timer = setInterval(tick, 1)
  await new Promise<void>(resolve => server.listen(0, '127.0.0.1', 4096, () => { resolve() }))
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    deeds,
    received: () => received,
    stop: async () => {
      clearInterval(timer)
      server.closeAllConnections()
      await new Promise(resolve => server.close(resolve))
    },
  }
}
