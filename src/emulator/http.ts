import type { IncomingMessage, ServerResponse } from 'node:http'

/** A refusal with a status; the dialect gives it its shape. */
export class EmulatedError extends Error {
  readonly status: number
  readonly type: string

  constructor (status: number, type: string, message: string) {
    super(message)
    this.status = status
    this.type = type
  }
}

export function badRequest (message: string): EmulatedError {
  return new EmulatedError(400, 'BadRequestError', message)
}

export async function readBody (req: IncomingMessage): Promise<Buffer> {
  const chunks: Buffer[] = []
  for await (const chunk of req) chunks.push(chunk as Buffer)
  return chunks.length === 1 ? chunks[0] as Buffer : Buffer.concat(chunks)
}

export type JsonObject = Readonly<Record<string, unknown>>

export function parseObject (body: Buffer): JsonObject {
  let value: unknown
  try {
    value = JSON.parse(body.toString('utf8'))
  } catch (error) {
    throw badRequest(`the body is not JSON: ${(error as Error).message}`)
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value)) throw badRequest('the body must be a JSON object')
  return value as JsonObject
}

/** A whole number of at least `least`; `fallback` where the member is absent or null. */
export function integerMember<T> (body: JsonObject, name: string, least: number, fallback: T): number | T {
  const value = body[name]
  if (value === undefined || value === null) return fallback
  if (typeof value !== 'number' || !Number.isInteger(value) || value < least) throw badRequest(`${name} must be a whole number of at least ${least}`)
  return value
}

export function booleanMember (body: JsonObject, name: string, fallback = false): boolean {
  const value = body[name]
  if (value === undefined || value === null) return fallback
  if (typeof value !== 'boolean') throw badRequest(`${name} must be true or false`)
  return value
}

export function stringListMember (body: JsonObject, name: string): readonly string[] {
  const value = body[name]
  if (value === undefined || value === null) return []
  const list = Array.isArray(value) ? value as unknown[] : [value]
  if (!list.every(item => typeof item === 'string' && item !== '')) throw badRequest(`${name} must be text or a list of texts`)
  return list as string[]
}

/** How many tokens the whole answer has, as the replayer of a trace orders it: by body member (gateways forward it) or header. */
export function orderedTokens (req: IncomingMessage, body: JsonObject): number | undefined {
  const member = integerMember(body, 'emulate_output_tokens', 1, undefined)
  if (member !== undefined) return member
  const header = Number(req.headers['x-emulate-output-tokens'])
  return Number.isInteger(header) && header >= 1 ? header : undefined
}

export function sendJson (res: ServerResponse, status: number, value: unknown, headers: Readonly<Record<string, string>> = {}): void {
  sendText(res, status, JSON.stringify(value), 'application/json', headers)
}

export function sendText (res: ServerResponse, status: number, text: string, type: string, headers: Readonly<Record<string, string>> = {}): void {
  if (res.destroyed) return
  res.writeHead(status, { 'content-type': type, 'content-length': Buffer.byteLength(text), ...headers })
  res.end(text)
}
