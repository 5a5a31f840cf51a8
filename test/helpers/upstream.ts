// A model server that does what a test tells it: real sockets, no logic of its own.
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'

export interface Seen {
  readonly method: string
  readonly url: string
  readonly headers: IncomingMessage['headers']
  readonly body: Buffer
  /** Resolves when the connection of this request closed before its answer was complete. */
  readonly aborted: Promise<number>
}

export type Script = (seen: Seen, response: ServerResponse) => void | Promise<void>

export interface ScriptedUpstream {
  readonly url: string
  readonly seen: Seen[]
  script: Script
  /** Requests being answered now. */
  readonly open: number
  close(): Promise<void>
}

export async function scriptedUpstream(script: Script, { host, port } = { host: '127.0.0.1', port: 0 }): Promise<ScriptedUpstream> {
  const seen: Seen[] = []
  let open = 0
  const upstream = { script }
  const server: Server = createServer((request, response) => {
    open++
    let gone!: (atMs: number) => void
    const aborted = new Promise<number>(resolve => { gone = resolve })
    response.once('close', () => {
      open--
      if (!response.writableFinished) gone(performance.now())
    })
    const pieces: Buffer[] = []
    request.on('data', (piece: Buffer) => pieces.push(piece))
    request.on('end', () => {
      const call: Seen = { method: request.method!, url: request.url!, headers: request.headers, body: Buffer.concat(pieces), aborted }
      seen.push(call)
      void upstream.script(call, response)
    })
    request.on('error', () => {})
  })
  server.keepAliveTimeout = 60_000
  await new Promise<void>(resolve => { server.listen(port, host, resolve) })
  return {
    url: `http://${host}:${(server.address() as AddressInfo).port}`,
    seen,
    get open() { return open },
    get script() { return upstream.script },
    set script(next) { upstream.script = next },
    close: () => new Promise(resolve => {
      server.close(() => { resolve() })
      server.closeAllConnections()
    }),
  }
}

export const event = (data: unknown): string => `data: ${typeof data === 'string' ? data : JSON.stringify(data)}\n\n`

const chunk = (delta: object, finish: string | null = null) =>
  ({ id: 'chatcmpl-1', object: 'chat.completion.chunk', created: 1, model: 'm', choices: [{ index: 0, delta, finish_reason: finish }] })

/** The events of a chat stream as vLLM sends them. */
export function chatEvents(words: readonly string[], usage?: { prompt_tokens: number, completion_tokens: number, total_tokens: number }): string[] {
  return [
    event(chunk({ role: 'assistant', content: '' })),
    ...words.map(content => event(chunk({ content }))),
    event(chunk({}, 'stop')),
    ...(usage === undefined ? [] : [event({ id: 'chatcmpl-1', object: 'chat.completion.chunk', created: 1, model: 'm', choices: [], usage })]),
    event('[DONE]'),
  ]
}

export const STREAM_HEAD = { 'content-type': 'text/event-stream; charset=utf-8' }

/** Answers chat calls well: streamed when asked, whole otherwise; usage as asked. */
export const goodChat = (words: readonly string[] = ['Hello', ' ', 'world']): Script => (seen, response) => {
  const call = JSON.parse(seen.body.toString()) as { stream?: boolean, stream_options?: { include_usage?: boolean } }
  const usage = { prompt_tokens: 7, completion_tokens: words.length, total_tokens: 7 + words.length }
  if (call.stream === true) {
    response.writeHead(200, STREAM_HEAD)
    for (const text of chatEvents(words, call.stream_options?.include_usage === true ? usage : undefined)) response.write(text)
    response.end()
    return
  }
  const answer = JSON.stringify({ id: 'chatcmpl-1', object: 'chat.completion', created: 1, model: 'm', choices: [{ index: 0, message: { role: 'assistant', content: words.join('') }, finish_reason: 'stop' }], usage })
  response.writeHead(200, { 'content-type': 'application/json', 'content-length': Buffer.byteLength(answer) })
  response.end(answer)
}
