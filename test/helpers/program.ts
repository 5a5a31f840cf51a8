// The whole program in a process of its own, as `npm run build` left it.
import { spawn } from 'node:child_process'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Test } from 'tap'
import { stringify } from 'yaml'

export interface Program {
  /** Data plane. */
  readonly url: string
  /** Admin plane. */
  readonly admin: string
  /** Lines of the log so far. */
  log(): string
  /** SIGTERM; resolves with the exit code. */
  stop(): Promise<number | null>
}

/** A folder that goes away with the test. */
export async function scratch(t: Test): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'sluice-test-'))
  t.teardown(() => rm(folder, { recursive: true }))
  return folder
}

/** Starts `sluice serve` on free ports with this configuration; `nodeFlags` are for the engine. */
export async function serve(t: Test, config: object, nodeFlags: readonly string[] = []): Promise<Program> {
  const file = join(await scratch(t), 'sluice.yaml')
  await writeFile(file, stringify(config))
  const child = spawn(process.execPath, [...nodeFlags, 'dist/cli/main.js', '--config', file, '--port', '0', '--admin-port', '0'], { stdio: ['ignore', 'pipe', 'pipe'] })
  t.teardown(() => child.kill('SIGKILL'))
  const ended = new Promise<number | null>((resolve) => child.once('exit', resolve))
  let log = '', banner = ''
  child.stdout.on('data', (chunk) => { log += String(chunk) })
  const [url, admin] = await new Promise<[string, string]>((resolve, reject) => {
    child.stderr.on('data', (chunk) => {
      banner += String(chunk)
      const found = /data plane +(http:\S+)[^]*admin plane +(http:\S+)/.exec(banner)
      if (found !== null) resolve([found[1]!, found[2]!])
    })
    void ended.then((code) => { reject(new Error(`sluice ended with ${code}: ${banner}${log}`)) })
  })
  return { url, admin, log: () => log, stop: () => { child.kill('SIGTERM'); return ended } }
}
