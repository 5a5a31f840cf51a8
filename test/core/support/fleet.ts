import type { BackendSpec, FleetSpec, PolicyName, Random, RequestSpec, SchedulerOptions, ServiceClass } from '../../../src/core/index.js'

/** A small seeded generator (mulberry32) for tests. */
export function seeded(seed: number): Random {
  let state = seed >>> 0
  return {
    next() {
      state = (state + 0x6d2b79f5) >>> 0
      let mixed = Math.imul(state ^ (state >>> 15), state | 1)
      mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)
      return ((mixed ^ (mixed >>> 14)) >>> 0) / 4294967296
    },
  }
}

export function serviceClass(name: string, over: Partial<ServiceClass> = {}): ServiceClass {
  return {
    name, targets: {}, objective: 0.95, weight: 1, minShare: 0.95, sheddable: false, pools: [], onInfeasible: 'reject',
    queueLimit: 1000, maxQueueMs: 60_000, batchMode: 'guarded', ...over,
  }
}

export function backend(id: string, over: Partial<BackendSpec> = {}): BackendSpec {
  return { id, pool: 'main', models: undefined, maxInflight: undefined, costPerHour: undefined, ...over }
}

export function fleet(over: Partial<FleetSpec> = {}): FleetSpec {
  return {
    classes: [serviceClass('default')],
    pools: [{ name: 'main', role: 'latency', mode: 'balanced' }],
    backends: [backend('a'), backend('b')],
    ...over,
  }
}

export function options(policy: PolicyName, over: Partial<FleetSpec> = {}): SchedulerOptions {
  return { policy, fleet: fleet(over), admission: { mode: 'observe', probeShare: 0.05, maxFalseRejectionRatio: 0.2 } }
}

export function request(id: string, over: Partial<RequestSpec> = {}): RequestSpec {
  return {
    id, kind: 'generation', class: 'default', tenant: 'anyone', model: undefined, receivedAtMs: 0, targets: {},
    promptBytes: 400, promptTokens: 100, maxOutputTokens: undefined, streamed: true,
    prefixHashes: [], prefixBlockBytes: 64, sessionKey: undefined, ...over,
  }
}
