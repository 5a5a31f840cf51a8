/** A model server as a pure function of time, driven by the simulator's heap and by the emulator's timer. */
export { EngineModel, type EngineCounters, type EngineGauges, type EngineOptions, type StepReport } from './engine-model.js'
export { ENGINE_PRESETS, type EngineLimits, type EnginePreset, type EngineProfile, type StepCosts } from './profile.js'
export { type EngineRequest, type Sequence, type SequenceState } from './sequence.js'
