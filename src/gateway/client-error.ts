import type { ServerResponse } from 'node:http'
import type { Socket } from 'node:net'
import { ERRORS, errorBody, type ErrorCode } from '../protocol/index.js'

/** Node's reasons to give up on a connection before there is a request, as our errors. */
const CAUSES: ReadonlyMap<string, readonly [number, string, ErrorCode, string]> = new Map([
  ['HPE_HEADER_OVERFLOW', [431, 'Request Header Fields Too Large', 'invalid_request', 'The request head is larger than the gateway accepts; send fewer or shorter headers.']],
  // Never 408: SDKs repeat it blindly.
  ['ERR_HTTP_REQUEST_TIMEOUT', [400, 'Bad Request', 'invalid_request', 'The request did not arrive in time; send head and body without a pause.']],
  ['CONNECT', [405, 'Method Not Allowed', 'invalid_request', 'The gateway is no forward proxy: CONNECT is not served. Send requests to its own paths, such as POST /v1/chat/completions.']],
] as const)

/** Even what cannot be parsed is answered with the error object, and then the connection is closed. */
export function clientError(error: NodeJS.ErrnoException, socket: Socket): void {
  // Nobody is left to read an answer, or one is being written already: looked up as Node's own handler does, which documents no way.
  if (error.code === 'ECONNRESET' || !socket.writable || (socket as { _httpMessage?: ServerResponse | null })._httpMessage?.headersSent === true) {
    socket.destroy()
    return
  }
  const [status, phrase, code, message] = CAUSES.get(error.code ?? '') ?? [400, 'Bad Request', 'invalid_request', `The request is not valid HTTP/1.1. ${ERRORS.invalid_request.hint}`] as const
  const text = errorBody('openai', code, message)
  socket.end(`HTTP/1.1 ${status} ${phrase}\r\ncontent-type: application/json; charset=utf-8\r\ncontent-length: ${Buffer.byteLength(text)}\r\nconnection: close\r\n\r\n${text}`)
}
