/** The emulated fleet: one process, so many servers, on the load tool's core. */
import { execFileSync, spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { cpus } from 'node:os'
import { setTimeout as sleep } from 'node:timers/promises'
import { cpuNsOf, LOAD_CORE } from '../bench/relay/proxies.js'
import { MAIN } from './arms.js'

export interface EmulatedFleet {
  readonly ports: readonly number[]
  /** CPU nanoseconds so far. */
  cpuNs(): number
  /** Waits until nothing is inside any server. */
  idle(): Promise<void>
  stop(): Promise<void>
}

/** Keeps a process, all its threads, off the gateway's core where there is another. */
export function moveToLoadCore (pid: number): void {
  if (cpus().length > 1) execFileSync('taskset', ['-acp', String(LOAD_CORE), String(pid)], { stdio: 'ignore' })
}

export async function startFleet (count: number, preset: string, speed: number): Promise<EmulatedFleet> {
  const child: ChildProcess = spawn(process.execPath, [
    MAIN, 'emulate', '--json', '--count', String(count), '--preset', preset, '--speed', String(speed), '--seed', '1', '--port', '0',
  ], { stdio: ['ignore', 'pipe', 'inherit'] })
  // Nothing stays behind, however this process ends.
  process.once('exit', () => { child.kill() })
  const [line] = await Promise.race([once(child.stdout!, 'data'), once(child, 'exit').then(() => { throw new Error('the emulated fleet did not start') })]) as [Buffer]
  moveToLoadCore(child.pid!)
  const { servers } = JSON.parse(String(line)) as { servers: { url: string }[] }
  const isIdle = async (url: string) => {
    const state = await (await fetch(`${url}/emulator/state`)).json() as { running: number, waiting: number }
    return state.running + state.waiting === 0
  }
  return {
    ports: servers.map(({ url }) => Number(new URL(url).port)),
    cpuNs: () => cpuNsOf(child.pid!),
    idle: async () => {
      for (let i = 0; i < 100; i++) {
        if ((await Promise.all(servers.map(async ({ url }) => await isIdle(url)))).every(Boolean)) return
        await sleep(100)
      }
      throw new Error('requests stay inside the fleet although their clients are gone')
    },
    stop: async () => {
      if (child.exitCode !== null) return
      child.kill('SIGTERM')
      await once(child, 'exit')
    },
  }
}
