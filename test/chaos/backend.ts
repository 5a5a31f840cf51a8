// One emulated server in a process of its own, that can be told to break, killed, and started again on its port.
import { createServer, type AddressInfo } from 'node:net'
import type { FaultPlan } from '../../src/emulator/index.js'
import { Program, type Answered } from './program.js'

export const MODEL = 'llama-3.1-8b-instruct'

/** A port that nobody has now. */
export const freePort = (): Promise<number> => new Promise(resolve => {
  const server = createServer().listen(0, '127.0.0.1', () => {
    const { port } = server.address() as AddressInfo
    server.close(() => { resolve(port) })
  })
})

export class Backend {
  readonly url: string
  readonly #port: number
  readonly #speed: number
  readonly #model: string
  #program: Program | undefined
  #ended = false
  /** Faults under way. */
  #faults = 0
  /** Since when there are none, by the wall clock. */
  #wholeSinceMs = -Infinity
  readonly #whole: { readonly fromMs: number, readonly toMs: number }[] = []

  static async start(speed: number, model = MODEL): Promise<Backend> {
    const backend = new Backend(await freePort(), speed, model)
    await backend.up()
    return backend
  }

  private constructor(port: number, speed: number, model: string) {
    this.#port = port
    this.#speed = speed
    this.#model = model
    this.url = `http://127.0.0.1:${port}`
  }

  /** A fault begins. */
  breaks(): void {
    if (this.#faults++ === 0) this.#whole.push({ fromMs: this.#wholeSinceMs, toMs: Date.now() })
  }

  /** A fault is over. */
  mended(): void {
    if (--this.#faults === 0) this.#wholeSinceMs = Date.now()
  }

  /** Was it whole at that time of the wall clock, and had been for so long? */
  wasWhole(atMs: number, forMs: number): boolean {
    return (this.#faults === 0 && this.#wholeSinceMs + forMs <= atMs) || this.#whole.some(({ fromMs, toMs }) => fromMs + forMs <= atMs && atMs < toMs)
  }

  /** Started, where it does not run, and serving. */
  async up(): Promise<void> {
    if (this.#ended) return
    this.#program ??= new Program(['emulate', '--model', this.#model, '--port', String(this.#port), '--speed', String(this.#speed), '--json'])
    // It may be killed before it is up.
    await this.#program.says(/servers/).catch(() => {})
  }

  kill(): void {
    this.#program?.kill('SIGKILL')
    this.#program = undefined
  }

  /** For good: a fault that is under way does not start it again. */
  end(): void {
    this.#ended = true
    this.kill()
  }

  /** How the answers since it was last asked ended; the first time none, for only then it begins to take note of them. */
  async answers(): Promise<readonly Answered[]> {
    return this.#program === undefined ? [] : await this.#program.answers()
  }

  async faults(plan: FaultPlan): Promise<void> {
    if (this.#program === undefined) return
    await fetch(`${this.url}/emulator/faults`, { method: 'POST', headers: { 'content-type': 'application/json' }, body: JSON.stringify(plan) }).catch(() => {})
  }
}
