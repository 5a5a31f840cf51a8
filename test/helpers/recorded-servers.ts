// Emulated model servers, each behind a wire tap, in a process of their own: what they do costs the process under test nothing.
import { fork } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import type { Test } from 'tap'
import { realIo } from '../../src/cli/process.js'
import { startEmulator, type EmulatedEngine } from '../../src/emulator/index.js'
import { tee, type Exchange, type Tee } from './tee.js'

export interface RecordedServers {
  readonly urls: readonly string[]
  /** What they were asked and answered, by `x-request-id`; ask when nothing is under way any more. */
  exchanges(): Promise<Map<string, Exchange>>
}

export async function recordedServers(t: Test, engines: readonly EmulatedEngine[], model: string, speed: number): Promise<RecordedServers> {
  const child = fork(fileURLToPath(import.meta.url), [JSON.stringify({ engines, model, speed })], { serialization: 'advanced', stdio: ['ignore', 'ignore', 'inherit', 'ipc'] })
  t.teardown(() => { child.kill() })
  const answer = <T>() => new Promise<T>((resolve, reject) => {
    child.once('message', message => { resolve(message as T) })
    child.once('exit', code => { reject(new Error(`the servers' process ended with ${String(code)}`)) })
  })
  const urls = await answer<string[]>()
  return {
    urls,
    exchanges: async () => {
      const answered = answer<Map<string, Exchange>>()
      child.send('exchanges')
      return await answered
    },
  }
}

async function serve({ engines, model, speed }: { engines: EmulatedEngine[], model: string, speed: number }): Promise<void> {
  const tees: Tee[] = []
  for (const [index, engine] of engines.entries()) {
    const { url } = await startEmulator({ engine, model, speed, clock: realIo.clock, seed: index })
    tees.push(await tee(url))
  }
  process.on('message', () => { process.send!(new Map(tees.flatMap(tap => [...tap.exchanges()]))) })
  process.on('disconnect', () => { process.exit() })
  process.send!(tees.map(({ url }) => url))
}

if (process.argv[1] === fileURLToPath(import.meta.url)) await serve(JSON.parse(process.argv[2]!) as Parameters<typeof serve>[0])
