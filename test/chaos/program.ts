// `sluice`, as `npm run build` left it, in a process of its own that can be asked for its memory and for how its answers ended.
import { fork, type ChildProcess } from 'node:child_process'

const PROBE = new URL('probe.js', new URL('test/chaos/', `file://${process.cwd()}/`)).href

const MOST_SAID = 2 ** 20

/** Whatever becomes of this process, its programs end with it. */
const running = new Set<ChildProcess>()
process.once('exit', () => { for (const child of running) child.kill('SIGKILL') })

/** Bytes, measured right after a full garbage collection, and `rssBefore` it; `sockets` are those open. */
export interface Memory { readonly rssBefore: number, readonly rss: number, readonly heapUsed: number, readonly external: number, readonly sockets: number }

/** Id of the request, when it came and when its answer closed in microseconds of the clock that all processes share, and whether that was whole. */
export type Answered = readonly [id: string, cameAtUs: number, closedAtUs: number, whole: boolean]

export class Program {
  readonly #child: ChildProcess
  readonly ended: Promise<number | null>
  /** The latest of it. */
  protected said = ''
  #exited = false

  constructor(args: readonly string[]) {
    this.#child = fork('dist/cli/main.js', args, { execArgv: ['--expose-gc', '--import', PROBE], stdio: ['ignore', 'pipe', 'pipe', 'ipc'] })
    running.add(this.#child)
    this.ended = new Promise(resolve => {
      this.#child.once('exit', code => {
        running.delete(this.#child)
        this.#exited = true
        resolve(code)
      })
    })
    for (const stream of [this.#child.stdout!, this.#child.stderr!]) stream.on('data', (bytes: Buffer) => { this.said = (this.said + String(bytes)).slice(-MOST_SAID) })
  }

  /** What it said, once that matches. @throws Error where it ends before */
  async says(pattern: RegExp): Promise<RegExpExecArray> {
    for (;;) {
      const found = pattern.exec(this.said)
      if (found !== null) return found
      if (this.#exited) throw new Error(`the program ended: ${this.said}`)
      await Promise.race([this.ended, new Promise(resolve => setTimeout(resolve, 10))])
    }
  }

  memory(): Promise<Memory> {
    return this.#ask('memory')
  }

  /** How many objects there are that anything still holds. */
  objects(): Promise<number> {
    return this.#ask('objects')
  }

  /** Of requests that came after this was first asked, what has closed since it was last asked. */
  answers(): Promise<readonly Answered[]> {
    return this.#ask('answers')
  }

  kill(signal: NodeJS.Signals): void {
    this.#child.kill(signal)
  }

  #ask<T>(what: string): Promise<T> {
    return new Promise((resolve, reject) => {
      if (this.#exited) return reject(new Error(`the program ended: ${this.said}`))
      this.#child.once('message', answer => { resolve(answer as T) })
      this.#child.send(what)
    })
  }
}
