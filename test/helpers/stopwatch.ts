// A client with a stopwatch: it notes when which bytes came, and reads them when the answer is complete.
import { Agent, request as httpRequest, type IncomingMessage } from 'node:http'

export interface Timed {
  readonly status: number
  readonly headers: IncomingMessage['headers']
  readonly body: Buffer
  readonly cutOff: boolean
  /** From the request being written to the last byte of the first event that holds a token; NaN without one. */
  readonly firstTokenMs: number
  readonly lastTokenMs: number
  /** Events that hold a token. */
  readonly tokenEvents: number
}

/** Connections that live as long as a client's pool usually does. */
export const pooled = (): Agent => new Agent({ keepAlive: true, maxSockets: Infinity })

export function time(agent: Agent, url: string, body: string, headers: Record<string, string>): Promise<Timed> {
  return new Promise((resolve, reject) => {
    let startedMs = 0
    const call = httpRequest(url, { method: 'POST', agent, headers: { 'content-type': 'application/json', ...headers } }, response => {
      const pieces: Buffer[] = []
      /** After how many bytes each piece ended, and when it came. */
      const ends: number[] = []
      const atMs: number[] = []
      let bytes = 0
      response.on('data', (piece: Buffer) => {
        atMs.push(performance.now())
        pieces.push(piece)
        ends.push(bytes += piece.length)
      })
      response.on('error', () => {})
      response.on('close', () => {
        const whole = Buffer.concat(pieces)
        const tokens = tokenEnds(whole)
        const when = (end: number | undefined): number => end === undefined ? Number.NaN : atMs[ends.findIndex(pieceEnd => pieceEnd >= end)]! - startedMs
        resolve({
          status: response.statusCode!, headers: response.headers, body: whole, cutOff: !response.complete,
          firstTokenMs: when(tokens[0]), lastTokenMs: when(tokens.at(-1)), tokenEvents: tokens.length,
        })
      })
    })
    call.on('error', reject)
    // The gateway's clock starts with the request's head; setting up a connection comes before.
    call.once('socket', socket => {
      const go = (): void => {
        startedMs = performance.now()
        call.end(body)
      }
      if (socket.connecting) socket.once('connect', go)
      else go()
    })
  })
}

interface AnyEvent {
  readonly choices?: readonly { readonly delta?: { readonly content?: string | null }, readonly text?: string }[]
  readonly token?: { readonly text: string }
}

/** Where in the bytes each event with a token ends. */
function tokenEnds(body: Buffer): number[] {
  const ends: number[] = []
  for (let at = 0; at < body.length;) {
    const blank = body.indexOf('\n\n', at)
    if (blank < 0) break
    const line = body.toString('utf8', at, blank)
    at = blank + 2
    if (!line.startsWith('data:') || line.endsWith('[DONE]')) continue
    const { choices = [], token } = JSON.parse(line.slice(5)) as AnyEvent
    if (token !== undefined || choices.some(({ delta, text }) => (delta?.content ?? text ?? '') !== '')) ends.push(at)
  }
  return ends
}
