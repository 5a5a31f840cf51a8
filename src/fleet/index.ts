export * from './types.js'
export type { EngineAdapter } from './engines/adapter.js'
export type { BreakerState } from './breaker.js'
export { backendId, createFleet, type FleetOptions } from './fleet.js'
