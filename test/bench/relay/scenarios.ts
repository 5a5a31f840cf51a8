import type { ClientOrder } from './client.js'

export interface Scenario {
  readonly name: string
  readonly title: string
  readonly order: Omit<ClientOrder, 'port'>
}

const streams = (connections: number, rate: number, events: number) =>
  ({ kind: 'streams', connections, rate, events, promptBytes: 400, requestsPerSecond: 0 }) as const
const requests = (connections: number, requestsPerSecond: number, promptBytes: number) =>
  ({ kind: 'requests', connections, rate: 1, events: 1, promptBytes, requestsPerSecond }) as const

/** What is measured. `quick` is for a look: shorter, fewer streams in the memory test, same shapes. */
export const SCENARIOS = (quick: boolean): Scenario[] => {
  const times = (measureMs: number, warmupMs = 2500) => ({ warmupMs, measureMs: quick ? measureMs / 2 : measureMs })
  return [
    { name: 'saturation', title: '256 streams × 200/s, more than one core relays', order: { ...streams(256, 200, 0), ...times(5000) } },
    { name: '200x50', title: '200 streams × 50/s', order: { ...streams(200, 50, 100), ...times(8000) } },
    { name: '500x50', title: '500 streams × 50/s', order: { ...streams(500, 50, 100), ...times(8000) } },
    { name: '1000slow', title: '1,000 streams × 4/s', order: { ...streams(1000, 4, 20), ...times(6000) } },
    { name: 'requests', title: 'not streamed, 64 connections, as fast as they go', order: { ...requests(64, 0, 400), ...times(5000) } },
    { name: '500rps', title: 'not streamed, 500/s', order: { ...requests(64, 500, 400), ...times(6000) } },
    { name: 'prompt32k', title: '32 KB prompts, not streamed', order: { ...requests(16, 0, 32768), ...times(4000) } },
    { name: 'prompt1m', title: '200 streams × 50/s beside a 1 MB prompt twice a second', order: { ...streams(200, 50, 0), ...times(8000), disturbBytes: 1_000_000 } },
    { name: 'undisturbed', title: '200 endless streams × 50/s, for comparison', order: { ...streams(200, 50, 0), ...times(8000) } },
    { name: 'memory', title: 'open idle streams', order: { kind: 'idle', connections: quick ? 1000 : 5000, rate: 0.05, events: 0, promptBytes: 400, requestsPerSecond: 0, warmupMs: quick ? 4000 : 9000, measureMs: 1000 } },
  ]
}
