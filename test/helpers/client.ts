// A client without opinions: what was sent, what came back, and whether it came back whole.
import { request as httpRequest, type ClientRequest, type IncomingMessage } from 'node:http'
import { connect } from 'node:net'

export interface Answer {
  readonly status: number
  readonly headers: IncomingMessage['headers']
  readonly body: Buffer
  readonly text: string
  /** The connection closed before the answer was complete. */
  readonly cutOff: boolean
}

export interface Call {
  readonly call: ClientRequest
  readonly answer: Promise<Answer>
  /** Resolves with the first bytes of the answer's body. */
  readonly firstBytes: Promise<Buffer>
  /** Closes the connection; returns when, on the process's clock. */
  leave(): number
}

export function send(url: string, body: string | Buffer | undefined, headers: Record<string, string> = {}, method = 'POST'): Call {
  let started!: (bytes: Buffer) => void
  const firstBytes = new Promise<Buffer>(resolve => { started = resolve })
  let call!: ClientRequest
  const answer = new Promise<Answer>((resolve, reject) => {
    call = httpRequest(url, { method, agent: false, headers: { 'content-type': 'application/json', ...headers } }, response => {
      const pieces: Buffer[] = []
      response.on('data', (piece: Buffer) => {
        started(piece)
        pieces.push(piece)
      })
      response.on('error', () => {})
      response.on('close', () => {
        const bytes = Buffer.concat(pieces)
        resolve({ status: response.statusCode!, headers: response.headers, body: bytes, text: bytes.toString(), cutOff: !response.complete })
      })
    })
    call.on('error', reject)
    call.end(body)
  })
  answer.catch(() => {})
  return {
    call, answer, firstBytes,
    leave: () => {
      const atMs = performance.now()
      call.destroy()
      return atMs
    },
  }
}

/** Bytes as they are, on a connection of their own; resolves with all that came until it closed. */
export function raw(port: number, bytes: string): Promise<string> {
  return new Promise((resolve, reject) => {
    const socket = connect(port, '127.0.0.1', () => { socket.write(bytes) })
    let text = ''
    socket.on('data', piece => { text += piece.toString('latin1') })
    socket.on('error', reject)
    socket.on('close', () => { resolve(text) })
  })
}

export const CHAT = (more: object = {}): string => JSON.stringify({ model: 'm', messages: [{ role: 'user', content: 'hi' }], ...more })
export const STREAMED = CHAT({ stream: true })
