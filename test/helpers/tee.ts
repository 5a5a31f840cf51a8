// A wire tap: a TCP relay in front of a server that keeps all bytes of both ways, and reads them when all is over.
import { connect, createServer, type AddressInfo, type Socket } from 'node:net'
import { messages } from './wire.js'

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
