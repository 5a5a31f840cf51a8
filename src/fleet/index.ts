export * from './types.js'
export type { EngineAdapter } from './engines/adapter.js'
