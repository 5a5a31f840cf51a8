// HTTP/1.1 messages read off the bytes of one direction of a connection.

export interface Message {
  readonly head: string
  /** Without transfer framing. */
  readonly body: Buffer
  /** Where this byte of the body stands among all bytes. */
  readonly position: (bodyOffset: number) => number
}

/** The messages in turn; an unfinished last one is left out. */
export function messages(bytes: Buffer): Message[] {
  const all: Message[] = []
  for (let at = 0; at < bytes.length;) {
    const end = bytes.indexOf('\r\n\r\n', at)
    if (end < 0) break
    const head = bytes.toString('latin1', at, end)
    const read = /^transfer-encoding: *chunked/im.test(head)
      ? chunks(bytes, end + 4)
      : whole(bytes, end + 4, Number(/^content-length: *(\d+)/im.exec(head)?.[1] ?? 0))
    if (read === undefined) break
    all.push({ head, ...read.body })
    at = read.next
  }
  return all
}

interface Read {
  readonly body: Pick<Message, 'body' | 'position'>
  readonly next: number
}

function whole(bytes: Buffer, from: number, length: number): Read | undefined {
  const next = from + length
  return next > bytes.length ? undefined : { body: { body: bytes.subarray(from, next), position: offset => from + offset }, next }
}

function chunks(bytes: Buffer, from: number): Read | undefined {
  const pieces: { readonly bytes: Buffer, readonly bodyEnd: number, readonly end: number }[] = []
  let length = 0
  for (let at = from; ;) {
    const lineEnd = bytes.indexOf('\r\n', at)
    if (lineEnd < 0) return undefined
    const size = Number.parseInt(bytes.toString('latin1', at, lineEnd), 16)
    const end = lineEnd + 2 + size
    if (!(end + 2 <= bytes.length)) return undefined
    if (size === 0) {
      const position = (offset: number): number => {
        const { bodyEnd, end } = pieces.find(piece => offset < piece.bodyEnd)!
        return end - (bodyEnd - offset)
      }
      return { body: { body: Buffer.concat(pieces.map(({ bytes }) => bytes)), position }, next: end + 2 }
    }
    length += size
    pieces.push({ bytes: bytes.subarray(lineEnd + 2, end), bodyEnd: length, end })
    at = end + 2
  }
}
