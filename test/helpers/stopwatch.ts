// A client with a stopwatch, in a process of its own: while a load runs it does no more than to read the clock and keep what came,
// and it reads the answers when all are complete. So it measures the gateway, and not itself or its neighbours.
// Beside each request it asks a process that has nothing else to do for an echo: what the machine alone makes of two clocks.
import { fork, spawn } from 'node:child_process'
import { connect, type Socket } from 'node:net'
import { fileURLToPath } from 'node:url'
import type { Test } from 'tap'
import { messages } from './wire.js'

export interface TimedCall {
  /** From the start of the load. */
  readonly atMs: number
  readonly path: string
  readonly headers: Readonly<Record<string, string>>
  readonly body: string
}

export interface Timed {
  readonly status: number
  readonly body: Uint8Array
  /** The connection ended before the answer did. */
  readonly cutOff: boolean
  /** From the request being written to the last byte of the first event that holds a token; NaN without one. */
  readonly firstTokenMs: number
  readonly lastTokenMs: number
}

export interface TimedLoad {
  /** In the order of the calls. */
  readonly answers: readonly Timed[]
  /** How long each echo took. */
  readonly echoMs: readonly number[]
}

export interface Stopwatch {
  /** Makes the calls, each at its time. */
  time(url: string, calls: readonly TimedCall[]): Promise<TimedLoad>
}

interface Order {
  readonly url: string
  readonly echoPort: number
  readonly calls: readonly TimedCall[]
}

const ECHO = 'const server = net.createServer({ noDelay: true }, socket => socket.pipe(socket)).listen(0, "127.0.0.1", () => console.log(server.address().port))'

export async function stopwatch(t: Test): Promise<Stopwatch> {
  const echo = spawn(process.execPath, ['-e', ECHO], { stdio: ['ignore', 'pipe', 'inherit'] })
  const child = fork(fileURLToPath(import.meta.url), { serialization: 'advanced', stdio: ['ignore', 'ignore', 'inherit', 'ipc'] })
  t.teardown(() => {
    echo.kill()
    child.kill()
  })
  const echoPort = await new Promise<number>(resolve => echo.stdout.once('data', line => { resolve(Number(line)) }))
  return {
    time: (url, calls) => new Promise((resolve, reject) => {
      const ended = (code: number | null): void => { reject(new Error(`the client's process ended with ${String(code)}`)) }
      child.once('exit', ended)
      child.once('message', load => {
        child.off('exit', ended)
        resolve(load as TimedLoad)
      })
      child.send({ url, echoPort, calls } satisfies Order)
    }),
  }
}

/** What came of one answer, and when. */
interface Kept {
  readonly startedMs: number
  readonly bytes: Buffer
  /** Where each piece ended, and when it came. */
  readonly ends: readonly number[]
  readonly atMs: readonly number[]
  readonly cutOff: boolean
}

/** Keeps one answer at a time, in memory that is used again: garbage would be collected while others wait for their stamp. */
class Connection {
  static readonly idle: Connection[] = []
  readonly #socket: Socket
  #bytes = Buffer.allocUnsafe(1 << 18)
  #length = 0
  #ends: number[] = []
  #atMs: number[] = []
  #startedMs = 0
  #done: ((kept: Kept) => void) | undefined

  private constructor(port: number, host: string) {
    const read = Buffer.allocUnsafe(1 << 16)
    this.#socket = connect({ port, host, noDelay: true, onread: { buffer: read, callback: length => this.#keep(length, read) } })
    this.#socket.on('error', () => {})
    this.#socket.once('close', () => {
      const at = Connection.idle.indexOf(this)
      if (at >= 0) Connection.idle.splice(at, 1)
      this.#end(true)
    })
  }

  /** One that nobody uses, as a client's pool keeps them, or a new one. */
  static async get(port: number, host: string): Promise<Connection> {
    const idle = Connection.idle.pop()
    if (idle !== undefined) return idle
    const connection = new Connection(port, host)
    await new Promise<void>((resolve, reject) => {
      connection.#socket.once('connect', resolve)
      connection.#socket.once('error', reject)
    })
    return connection
  }

  ask(request: string): Promise<Kept> {
    return new Promise(resolve => {
      this.#done = resolve
      this.#startedMs = performance.now()
      this.#socket.write(request)
    })
  }

  #keep(length: number, read: Buffer): boolean {
    this.#atMs.push(performance.now())
    while (this.#length + length > this.#bytes.length) this.#bytes = Buffer.concat([this.#bytes], this.#bytes.length * 2)
    read.copy(this.#bytes, this.#length, 0, length)
    this.#ends.push(this.#length += length)
    const bytes = this.#bytes.subarray(0, this.#length)
    if (mayEnd(bytes) && messages(bytes).length > 0) {
      Connection.idle.push(this)
      this.#end(false)
    }
    return true
  }

  #end(cutOff: boolean): void {
    this.#done?.({ startedMs: this.#startedMs, bytes: Buffer.from(this.#bytes.subarray(0, this.#length)), ends: this.#ends, atMs: this.#atMs, cutOff })
    this.#done = undefined
    this.#length = 0
    this.#ends = []
    this.#atMs = []
  }
}

const HEAD_BYTES = 1024

/** Cheap, and seldom true before the end: the closing chunk, or an answer that is not chunked and so is not a stream. */
function mayEnd(bytes: Buffer): boolean {
  return bytes.subarray(-5).equals(LAST_CHUNK) || bytes.subarray(0, HEAD_BYTES).includes('\r\ncontent-length: ')
}

const LAST_CHUNK = Buffer.from('0\r\n\r\n')

function read({ startedMs, bytes, ends, atMs, cutOff }: Kept): Timed {
  const [message] = messages(bytes)
  const status = Number(/^HTTP\/1\.1 (\d{3})/.exec(bytes.toString('latin1', 0, 12))?.[1])
  if (message === undefined) return { status, body: bytes, cutOff, firstTokenMs: Number.NaN, lastTokenMs: Number.NaN }
  const tokens = tokenEnds(message.body)
  const when = (end: number | undefined): number => {
    if (end === undefined) return Number.NaN
    const last = message.position(end - 1)
    return atMs[ends.findIndex(pieceEnd => pieceEnd > last)]! - startedMs
  }
  return { status, body: message.body, cutOff, firstTokenMs: when(tokens[0]), lastTokenMs: when(tokens.at(-1)) }
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

/** Sends a byte, and tells how long each took to come back. */
async function echoes(port: number): Promise<{ send(): void, readonly tookMs: readonly number[], end(): void }> {
  const sentMs: number[] = []
  const tookMs: number[] = []
  const socket = connect({ port, host: '127.0.0.1', noDelay: true })
  socket.on('data', ({ length }) => {
    const nowMs = performance.now()
    for (let i = 0; i < length; i++) tookMs.push(nowMs - sentMs.shift()!)
  })
  await new Promise(resolve => socket.once('connect', resolve))
  return {
    tookMs,
    send: () => {
      sentMs.push(performance.now())
      socket.write('.')
    },
    end: () => { socket.destroy() },
  }
}

async function load({ url, echoPort, calls }: Order): Promise<TimedLoad> {
  const { hostname, port } = new URL(url)
  const requests = calls.map(({ path, headers, body }) => {
    const lines = Object.entries({ host: 'gateway', 'content-type': 'application/json', 'content-length': Buffer.byteLength(body), ...headers }).map(([name, value]) => `${name}: ${value}\r\n`)
    return `POST ${path} HTTP/1.1\r\n${lines.join('')}\r\n${body}`
  })
  const echo = await echoes(echoPort)
  const kept = await Promise.all(calls.map(async ({ atMs }, index) => {
    await new Promise(resolve => setTimeout(resolve, atMs))
    echo.send()
    const connection = await Connection.get(Number(port), hostname)
    return await connection.ask(requests[index]!)
  }))
  echo.end()
  return { answers: kept.map(read), echoMs: echo.tookMs }
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  process.on('message', message => { void load(message as Order).then(done => { process.send!(done) }) })
  process.on('disconnect', () => { process.exit() })
}
