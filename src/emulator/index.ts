/** Emulated model servers: the engine model behind the HTTP face of vLLM or TGI. */
export { EMULATED_ENGINES, type EmulatedEngine, type Emulator, type EmulatorOptions, type EmulatorState, startEmulator } from './server.js'
export { COURSE_FAULTS, type CourseFault, type FaultPlan, type FaultRule, readFaultPlan, SHAPE_FAULTS, type ShapeFault } from './faults.js'
export { METRIC_NAMES, type MetricNames } from './metrics/exposition.js'
