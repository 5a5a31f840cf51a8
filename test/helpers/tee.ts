// A wire tap: a TCP relay in front of a server that keeps all bytes of both ways, and reads them when all is over.
import { connect, createServer, type AddressInfo, type Socket } from 'node:net'

/** One request and what the server answered, as they were on the wire. */
export interface Exchange {
  readonly requestHead: string
  readonly requestBody: Buffer
  readonly answerHead: string
  /** Without transfer framing. */
  readonly answerBody: Buffer
}

export interface Tee {
  readonly url: string
  /** By `x-request-id`. Call it when nothing is under way any more. */
  exchanges(): Map<string, Exchange>
  close(): Promise<void>
}

export async function tee(target: string): Promise<Tee> {
  const { hostname, port } = new URL(target)
  const sockets = new Set<Socket>()
  const wires: { up: Buffer[], down: Buffer[] }[] = []
  const server = createServer({ noDelay: true }, client => {
    const wire = { up: [] as Buffer[], down: [] as Buffer[] }
    wires.push(wire)
    const upstream = connect({ port: Number(port), host: hostname, noDelay: true })
    for (const socket of [client, upstream]) {
      sockets.add(socket)
      socket.on('error', () => {})
      socket.on('close', () => {
        sockets.delete(socket)
        client.destroy()
        upstream.destroy()
      })
    }
    client.on('data', bytes => {
      wire.up.push(bytes)
      upstream.write(bytes)
    })
    upstream.on('data', bytes => {
      wire.down.push(bytes)
      client.write(bytes)
    })
  })
  await new Promise<void>(resolve => { server.listen(0, '127.0.0.1', resolve) })
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    exchanges: () => {
      const found = new Map<string, Exchange>()
      for (const { up, down } of wires) {
        const requests = messages(Buffer.concat(up))
        const answers = messages(Buffer.concat(down))
        for (const [index, { head, body }] of requests.entries()) {
          const id = /^x-request-id: *(\S+)\r?$/im.exec(head)?.[1]
          const answer = answers[index]
          if (id !== undefined && answer !== undefined) found.set(id, { requestHead: head, requestBody: body, answerHead: answer.head, answerBody: answer.body })
        }
      }
      return found
    },
    close: () => new Promise(resolve => {
      server.close(() => { resolve() })
      for (const socket of sockets) socket.destroy()
    }),
  }
}

/** The HTTP/1.1 messages of one direction, in turn; an unfinished last one is left out. */
function messages(bytes: Buffer): { head: string, body: Buffer }[] {
  const all: { head: string, body: Buffer }[] = []
  for (let at = 0; at < bytes.length;) {
    const end = bytes.indexOf('\r\n\r\n', at)
    if (end < 0) break
    const head = bytes.toString('latin1', at, end)
    const read = /^transfer-encoding: *chunked/im.test(head)
      ? chunks(bytes, end + 4)
      : whole(bytes, end + 4, Number(/^content-length: *(\d+)/im.exec(head)?.[1] ?? 0))
    if (read === undefined) break
    all.push({ head, body: read.body })
    at = read.next
  }
  return all
}

function whole(bytes: Buffer, from: number, length: number): { body: Buffer, next: number } | undefined {
  const next = from + length
  return next > bytes.length ? undefined : { body: bytes.subarray(from, next), next }
}

function chunks(bytes: Buffer, from: number): { body: Buffer, next: number } | undefined {
  const pieces: Buffer[] = []
  for (let at = from; ;) {
    const lineEnd = bytes.indexOf('\r\n', at)
    if (lineEnd < 0) return undefined
    const size = Number.parseInt(bytes.toString('latin1', at, lineEnd), 16)
    const next = lineEnd + 2 + size + 2
    if (!(next <= bytes.length)) return undefined
    if (size === 0) return { body: Buffer.concat(pieces), next }
    pieces.push(bytes.subarray(lineEnd + 2, lineEnd + 2 + size))
    at = next
  }
}
