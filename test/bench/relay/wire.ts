/** What the synthetic upstream and the load client agree on: one event's shape, and where its time stamp stands. */

/** Digits of the stamp: microseconds of the machine-wide monotonic clock. */
export const STAMP_DIGITS = 16
export const MARK = Buffer.from('"content":"')

const HEAD = 'data: {"id":"chatcmpl-7f3b5a1e","object":"chat.completion.chunk","created":1760000000,"model":"bench","choices":[{"index":0,"delta":{"content":"'
const TAIL = ' "},"logprobs":null,"finish_reason":null}]}\n\n'

/** One content event in chunked framing; `stamp` writes the time of sending into it. */
export function eventTemplate (): { bytes: Buffer, stampAt: number } {
  const event = HEAD + '0'.repeat(STAMP_DIGITS) + TAIL
  const framed = `${event.length.toString(16)}\r\n${event}\r\n`
  return { bytes: Buffer.from(framed), stampAt: framed.indexOf(HEAD) + HEAD.length }
}

/** Microseconds of the clock that all processes of a machine share. */
export const microseconds = (): number => Number(process.hrtime.bigint() / 1000n)

export function writeStamp (bytes: Buffer, at: number, stampUs: number): void {
  for (let i = STAMP_DIGITS - 1, rest = stampUs; i >= 0; i--) {
    bytes[at + i] = 48 + rest % 10
    rest = Math.floor(rest / 10)
  }
}

export function readStamp (bytes: Buffer, at: number): number {
  let stampUs = 0
  for (let i = at; i < at + STAMP_DIGITS; i++) stampUs = stampUs * 10 + (bytes[i]! - 48)
  return stampUs
}

/** What the request body asks of the synthetic upstream. */
export interface StreamOrder {
  /** Events per second of this stream. */
  readonly rate: number
  /** Events before it ends; 0 = until the client leaves. */
  readonly events: number
}
