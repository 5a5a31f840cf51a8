// A whole gateway in a process of its own.
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { RequestRecord } from '../../src/telemetry/index.js'
import { Program } from './program.js'

/** What a record looks like in the request log, where `undefined` is left out. */
export type Line = RequestRecord

export class Gateway extends Program {
  readonly #folder: string
  dataUrl = ''
  adminUrl = ''

  static async start(config: object): Promise<Gateway> {
    const folder = await mkdtemp(join(tmpdir(), 'sluice-chaos-'))
    const file = join(folder, 'sluice.yaml')
    // JSON is YAML.
    await writeFile(file, JSON.stringify({ ...config, log: { level: 'info', requests: false, request_file: join(folder, 'requests.jsonl') } }))
    const gateway = new Gateway(file, folder)
    const [, data, admin] = await gateway.says(/data plane +(http:\S+)[^]*admin plane +(http:\S+)/)
    gateway.dataUrl = data!
    gateway.adminUrl = admin!.replace(/\/$/, '')
    return gateway
  }

  private constructor(file: string, folder: string) {
    super(['--config', file, '--port', '0', '--admin-port', '0'])
    this.#folder = folder
  }

  /** When a backend's state changed, by the wall clock, and why; the latest ones of a long run. */
  changes(): readonly { readonly time: string | number, readonly backend: string, readonly state: string, readonly why: string }[] {
    return this.said.split('\n').filter(line => line.startsWith('{') && line.endsWith('}') && line.includes('"state"')).map(line => JSON.parse(line) as ReturnType<Gateway['changes']>[number])
  }

  async #metrics(): Promise<string> {
    return await (await fetch(`${this.adminUrl}/metrics`)).text()
  }

  /** Sum over all series of these metrics. */
  async sum(...names: readonly string[]): Promise<number> {
    const metrics = await this.#metrics()
    return names.flatMap(name => [...metrics.matchAll(new RegExp(`^${name}(?:\\{[^}]*\\})? (\\S+)$`, 'gm'))]).reduce((sum, [, value]) => sum + Number(value), 0)
  }

  /** Requests that it still holds anything for: 0 when all have ended, or what is left after 5 s. */
  async held(): Promise<number> {
    for (let tries = 0; ; tries++) {
      const held = await this.sum('sluice_backend_inflight_requests', 'sluice_backend_inflight_prefill_tokens', 'sluice_queue_depth', 'sluice_queue_tokens')
      if (held === 0 || tries === 50) return held
      await new Promise(resolve => setTimeout(resolve, 100))
    }
  }

  /** Stops it and returns its request log. */
  async stop(): Promise<Line[]> {
    this.kill('SIGTERM')
    const code = await this.ended
    if (code !== 0) throw new Error(`the gateway ended with ${code}`)
    const lines = (await readFile(join(this.#folder, 'requests.jsonl'), 'utf8')).trim().split('\n').map(line => JSON.parse(line) as Line)
    await rm(this.#folder, { recursive: true })
    return lines
  }
}
