export { Runtime } from './runtime.js'
export { DEFAULT_CLASS, targetsOf } from './fleet-spec.js'
export type { Job, RuntimeGauges, RuntimeOptions, RuntimeTelemetry } from './types.js'
