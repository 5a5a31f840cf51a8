// A whole data plane on a free port, in front of the given servers, with everything it tells kept for the test to read.
import type { Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { promisify } from 'node:util'
import { pino } from 'pino'
import type { Test } from 'tap'
import { configFrom, type Config } from '../../src/config/index.js'
import type { BackendState, Clock } from '../../src/core/index.js'
import { createRandom, type createScheduler } from '../../src/core/index.js'
import type { Fleet, FleetBackend, FleetChange, FleetConfig } from '../../src/fleet/index.js'
import { createDataPlane } from '../../src/gateway/index.js'
import { Runtime } from '../../src/runtime/index.js'
import type { RequestRecord } from '../../src/telemetry/index.js'
import type { EngineAdapter } from '../../src/fleet/index.js'
import { ADAPTERS } from '../../src/fleet/engines/index.js'

/** A fleet that is what the test says: no checks, no timers. */
export class StaticFleet implements Fleet {
  readonly verdicts: string[] = []
  readonly #listeners = new Set<(change: FleetChange) => void>()
  #backends: Map<string, { -readonly [K in keyof FleetBackend]: FleetBackend[K] }>
  #config: Config

  constructor(config: Config) {
    this.#config = config
    this.#backends = new Map(Object.entries(config.pools).flatMap(([pool, { backends }]) => backends.map(backend => {
      const url = new URL(backend.url)
      const id = backend.name ?? url.host
      return [id, {
        id, pool, origin: url.origin, basePath: url.pathname.replace(/\/$/, ''), apiKey: backend.api_key, tls: undefined,
        costPerHour: undefined, engine: backend.engine, state: 'up' as BackendState, inflightLimit: undefined as number | undefined, models: backend.models,
        adapter: { lacks: ADAPTERS[backend.engine].lacks, reportsUsageWhenAsked: backend.engine !== 'openai', ...(backend.engine === 'vllm' && { continuation: { tokenIds: true } }) } as EngineAdapter,
      }] as const
    })))
  }

  start() { return Promise.resolve() }
  stop() { return Promise.resolve() }
  /** Caps and modes alone: the backends stay. */
  configure(config: FleetConfig): void { this.#config = { ...this.#config, pools: config.pools } }
  get backends() { return [...this.#backends.values()] }
  get pools() { return Object.entries(this.#config.pools).map(([name, { role, mode }]) => ({ name, role, mode })) }
  get(id: string) { return this.#backends.get(id) }
  specs() {
    return Object.entries(this.#config.pools).flatMap(([pool, { backends }]) => backends.map(backend =>
      ({ id: backend.name ?? new URL(backend.url).host, pool, models: backend.models, maxInflight: backend.max_inflight, costPerHour: undefined })))
  }
  models() {
    const names = new Set(this.backends.flatMap(({ models }) => models ?? []))
    return [...names].map(id => ({ id, created: 5, ownedBy: 'vllm', maxModelTokens: 4096 }))
  }
  onChange(listener: (change: FleetChange) => void) {
    this.#listeners.add(listener)
    return () => { this.#listeners.delete(listener) }
  }
  attemptEnded(...[id, verdict]: Parameters<Fleet['attemptEnded']>) { this.verdicts.push(`${id} ${verdict}`) }
  attemptProgressed() {}
  drain() { return false }
  undrain() { return false }
  setPoolMode() { return false }
  snapshot() { return [] }
  setState(id: string, state: BackendState, inflightLimit?: number) {
    Object.assign(this.#backends.get(id)!, { state, inflightLimit })
    this.tell({ type: 'state', backend: id, state, why: 'test', inflightLimit })
  }
  tell(change: FleetChange) {
    for (const listener of this.#listeners) listener(change)
  }
}

export interface TestGateway {
  readonly url: string
  readonly port: number
  readonly runtime: Runtime
  readonly fleet: StaticFleet
  readonly records: RequestRecord[]
  readonly gaps: number[]
  readonly log: string[]
  /** The record of the request after those seen so far; waits for it. */
  nextRecord(): Promise<RequestRecord>
  configure(config: Config): void
  readonly server: Server
  /** Open connections of clients. */
  connections(): Promise<number>
  close(): Promise<void>
}

export async function startGateway(t: Test, written: Readonly<Record<string, unknown>>, { clock = { now: () => performance.now() }, ...more }: { clock?: Clock, createScheduler?: typeof createScheduler } = {}): Promise<TestGateway> {
  const config = configFrom({ listen: { port: 0 }, admission: { mode: 'off' }, scheduling: { policy: 'round-robin' }, ...written, limits: { event_loop_lag: '0s', ...written['limits'] as object | undefined } })
  const fleet = new StaticFleet(config)
  const records: RequestRecord[] = []
  const gaps: number[] = []
  const log: string[] = []
  const waiting: ((record: RequestRecord) => void)[] = []
  let read = 0
  const telemetry = {
    log: pino({ level: 'trace' }, { write: (line: string) => { log.push(line) } }),
    offered: () => {}, attemptLost: () => {}, admission: () => {}, attempt: () => {}, refused: () => {}, firstToken: () => {},
    intervals: () => ({ record: (gapMs: number) => { gaps.push(gapMs) } }),
    finished: (record: RequestRecord) => {
      records.push(record)
      const next = waiting.shift()
      if (next !== undefined) {
        read++
        // What ends with the request is let go of by promises: a turn of the loop later nothing is held.
        setImmediate(next, record)
      }
    },
  }
  const runtime = new Runtime({ config, fleet, telemetry, clock, random: createRandom(1), ...more })
  let ids = 0
  const plane = createDataPlane({ config, runtime, fleet, telemetry, clock, wallClock: () => Date.now(), newId: () => `req-${++ids}` })
  await plane.app.listen({ host: '127.0.0.1', port: 0 })
  const { port } = plane.app.server.address() as AddressInfo
  const close = async () => {
    plane.app.server.closeAllConnections()
    await plane.app.close()
    await runtime.close()
  }
  t.teardown(close)
  return {
    url: `http://127.0.0.1:${port}`, port, runtime, fleet, records, gaps, log, server: plane.app.server,
    nextRecord: () => {
      const present = records[read]
      if (present !== undefined) {
        read++
        return new Promise(resolve => { setImmediate(resolve, present) })
      }
      return new Promise(resolve => { waiting.push(resolve) })
    },
    configure: next => {
      fleet.configure(next)
      runtime.configure(next)
      plane.configure(next)
    },
    connections: () => promisify(plane.app.server.getConnections.bind(plane.app.server))(),
    close,
  }
}

/** Everything is zero: nothing is held for anybody. */
export const IDLE = { requests: 0, waiting: 0, leases: 0, watched: 0, running: 0 }
