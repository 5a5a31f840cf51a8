import type { ClientOrder } from './client.js'

export interface Scenario {
  readonly name: string
  readonly title: string
  readonly order: Omit<ClientOrder, 'port'>
}

/** Streams begin at any time, as those of independent users do: the first ones over the whole length of a stream, where they have one. */
const streams = (connections: number, rate: number, events: number, spreadMs = events === 0 ? 500 : events / rate * 1000) =>
  ({ kind: 'streams', connections, rate, events, spreadMs, promptBytes: 400, requestsPerSecond: 0 }) as const
const requests = (connections: number, requestsPerSecond: number, promptBytes: number) =>
  ({ kind: 'requests', connections, rate: 1, events: 1, spreadMs: 0, promptBytes, requestsPerSecond }) as const

/**
 * What every proxy serves before anything is measured: tens of thousands of short streams and of requests. What is asked is what a gateway
 * costs that runs for days; the engine compiles a function for good only after thousands of calls, which the streams that are measured
 * would take minutes to make.
 */
export const WARM_UP: readonly Scenario[] = [
  { name: 'warm-up', title: 'short streams, 64 connections, as fast as they go', order: { ...streams(64, 1000, 4), warmupMs: 0, measureMs: 10_000 } },
  { name: 'warm-up', title: 'not streamed, 64 connections, as fast as they go', order: { ...requests(64, 0, 400), warmupMs: 0, measureMs: 15_000 } },
]

/** What is measured. `quick` is for a look: shorter, same shapes. */
export const SCENARIOS = (quick: boolean): Scenario[] => {
  const times = (measureMs: number, warmupMs = 2500) => ({ warmupMs, measureMs: quick ? measureMs / 2 : measureMs })
  return [
    { name: 'saturation', title: '256 streams × 200/s, more than one core relays', order: { ...streams(256, 200, 0), ...times(5000) } },
    { name: '200x50', title: '200 streams × 50/s', order: { ...streams(200, 50, 100), ...times(8000) } },
    { name: '500x50', title: '500 streams × 50/s', order: { ...streams(500, 50, 100), ...times(8000) } },
    { name: '500burst', title: '500 streams × 50/s that begin within half a second of every two', order: { ...streams(500, 50, 100, 500), ...times(8000) } },
    { name: '1000slow', title: '1,000 streams × 4/s', order: { ...streams(1000, 4, 20), ...times(6000, 5500) } },
    { name: 'requests', title: 'not streamed, 64 connections, as fast as they go', order: { ...requests(64, 0, 400), ...times(5000) } },
    { name: '500rps', title: 'not streamed, 500/s', order: { ...requests(64, 500, 400), ...times(6000) } },
    { name: 'prompt32k', title: '32 KB prompts, not streamed', order: { ...requests(16, 0, 32768), ...times(4000) } },
    { name: 'prompt1m', title: '200 streams × 50/s beside a 1 MB prompt twice a second', order: { ...streams(200, 50, 0), ...times(8000), disturbBytes: 1_000_000 } },
    { name: 'undisturbed', title: '200 endless streams × 50/s, for comparison', order: { ...streams(200, 50, 0), ...times(8000) } },
    { name: 'memory', title: 'open idle streams', order: { kind: 'idle', connections: 5000, rate: 0.05, events: 0, spreadMs: 2000, promptBytes: 400, requestsPerSecond: 0, warmupMs: 9000, measureMs: 1000 } },
  ]
}
