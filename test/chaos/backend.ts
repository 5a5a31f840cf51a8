// One emulated server in a process of its own, that can be told to break, killed, and started again on its port.
import { spawn, type ChildProcess } from 'node:child_process'
import { createServer, type AddressInfo } from 'node:net'
import type { FaultPlan } from '../../src/emulator/index.js'

export const MODEL = 'llama-3.1-8b-instruct'

/** A port that nobody has now. */
const freePort = (): Promise<number> => new Promise(resolve => {
  const server = createServer().listen(0, '127.0.0.1', () => {
    const { port } = server.address() as AddressInfo
    server.close(() => { resolve(port) })
  })
})

/** Whatever becomes of this process, its servers end with it. */
const running = new Set<ChildProcess>()
process.once('exit', () => { for (const child of running) child.kill('SIGKILL') })

export class Backend {
  readonly url: string
  readonly #port: number
  readonly #speed: number
  #child: ChildProcess | undefined
  /** Until when it is not whole. */
  brokenUntilMs = -Infinity

  static async start(speed: number): Promise<Backend> {
    const backend = new Backend(await freePort(), speed)
    await backend.up()
    return backend
  }

  private constructor(port: number, speed: number) {
    this.#port = port
    this.#speed = speed
    this.url = `http://127.0.0.1:${port}`
  }

  async up(): Promise<void> {
    if (this.#child !== undefined) return
    const child = spawn(process.execPath, ['dist/cli/main.js', 'emulate', '--model', MODEL, '--port', String(this.#port), '--speed', String(this.#speed), '--json'], { stdio: ['ignore', 'pipe', 'inherit'] })
    this.#child = child
    running.add(child)
    child.once('exit', () => { running.delete(child) })
    await new Promise<void>(resolve => {
      child.stdout!.once('data', () => { resolve() })
      child.once('exit', () => { resolve() })
    })
  }

  kill(): void {
    this.#child?.kill('SIGKILL')
    this.#child = undefined
  }

  async faults(plan: FaultPlan): Promise<void> {
    if (this.#child === undefined) return
    await fetch(`${this.url}/emulator/faults`, { method: 'POST', headers: { 'content-type': 'application/json' }, body: JSON.stringify(plan) }).catch(() => {})
  }
}
