import { startEmulator, type Emulator } from '../../emulator/index.js'
import type { Io } from '../process.js'

/** An emulated fleet, and the configuration that stands in front of it. */
export interface Demo {
  readonly model: string
  /** What has to be in any configuration of the demo: where the servers are. */
  readonly pools: Readonly<Record<string, unknown>>
  /** The rest of it, where no file says otherwise. */
  readonly defaults: Readonly<Record<string, unknown>>
  stop(): Promise<void>
}

const MODEL = 'llama-3.1-8b-instruct'
const SERVERS = [
  { name: 'vllm-1', engine: 'vllm', pool: 'interactive' },
  { name: 'vllm-2', engine: 'vllm', pool: 'interactive' },
  { name: 'vllm-3', engine: 'vllm', pool: 'bulk' },
  { name: 'tgi-1', engine: 'tgi', pool: 'bulk' },
] as const

/** Starts three servers that behave like vLLM and one like TGI, each an 8B model on an A100, on free ports of this machine. */
export const startDemo = async (io: Io): Promise<Demo> => {
  const seed = io.seed()
  const servers: Emulator[] = []
  const stop = async () => { await Promise.all(servers.map(async server => { await server.stop() })) }
  try {
    for (const [index, { engine }] of SERVERS.entries()) servers.push(await startEmulator({ engine, clock: io.clock, model: MODEL, seed: seed + index, noise: 0.05 }))
  } catch (error) {
    await stop()
    throw error
  }
  const backendsOf = (wanted: string) => SERVERS.flatMap(({ name, engine, pool }, index) => pool === wanted ? [{ name, engine, url: servers[index]!.url, cost_per_hour: 2 }] : [])
  return {
    model: MODEL,
    pools: {
      interactive: { role: 'latency', backends: backendsOf('interactive') },
      bulk: { role: 'throughput', backends: backendsOf('bulk') },
    },
    defaults: {
      classes: {
        chat: { ttft: '500ms', tpot: '50ms', pools: ['interactive', 'bulk'] },
        code: { ttft: '200ms', tpot: '30ms', pools: ['interactive'], weight: 2 },
        summarise: { ttft: '3s', tpot: '80ms', pools: ['bulk', 'interactive'] },
        batch: { deadline: '10m', sheddable: true, pools: ['bulk', 'interactive'] },
      },
      routes: [
        { match: { path: '/v1/chat/completions', header: { 'x-workload': 'ide' } }, class: 'code' },
        { match: { path: '/v1/chat/completions' }, class: 'chat' },
        { match: { path: '/generate*' }, class: 'chat' },
        { match: { path: '/v1/completions' }, class: 'batch' },
      ],
      log: { level: 'warn' },
    },
    stop,
  }
}
