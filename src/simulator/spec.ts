import type { AdmissionMode, BatchMode, Ms, PolicyName, ServiceClass } from '../core/index.js'
import { ENGINE_PRESETS, type EnginePreset } from './engine/index.js'
import type { Workload } from './workload/workload.js'

/** One model server of the simulated fleet. */
export interface SimulatedBackend {
  readonly preset: EnginePreset
  /** Everything takes 1/speed of the preset's time. */
  readonly speed: number
  readonly pool: string
  readonly costPerHour: number | undefined
}

/** Something that happens to a backend while the simulation runs; its share of the fleet is not told beforehand. */
export interface Incident {
  readonly kind: 'slow' | 'down'
  /** Number of the backend, from 0. */
  readonly backend: number
  readonly fromMs: Ms
  /** Infinity = until the end. */
  readonly untilMs: Ms
  /** `slow` only: its speed from then on, relative to the usual. */
  readonly speed: number
}

/** How far a gateway's knowledge is from the truth. */
export interface Knowledge {
  /** Prompt bytes say the tokens up to this relative error, uniform; 0.12 = ±12 %. */
  readonly promptError: number
  /** Added to every prompt's bytes, relative; calibration can learn it. */
  readonly promptBias: number
  /** Exact prompt and output lengths are told: the upper end of what better estimates could bring. */
  readonly perfect: boolean
}

/** One run: a policy, at a rate, with a seed. Plain data, so that it can be sent to a worker. */
export interface RunSpec {
  readonly workload: Workload
  readonly backends: readonly SimulatedBackend[]
  readonly policy: PolicyName
  readonly admission: { readonly mode: AdmissionMode, readonly probeShare: number, readonly maxFalseRejectionRatio: number }
  /** Overrides the mode of the classes without a TTFT target. */
  readonly batchMode: BatchMode | undefined
  /** Pools by class, in order of preference; a class that is not named may use every pool. */
  readonly classPools: Readonly<Record<string, readonly string[]>>
  readonly ratePerSecond: number
  readonly seed: number
  /** Not measured: the fleet fills and the models learn. */
  readonly warmupMs: Ms
  readonly measureMs: Ms
  /** Requests go on arriving for so long after the measured ones, which must not find the fleet emptying; Infinity = until those have ended. */
  readonly cooldownMs: Ms
  /** One way between gateway and backend. */
  readonly networkMs: Ms
  /** A stream's progress is told to the scheduler this often. */
  readonly progressMs: Ms
  /** Engine gauges are read this often; 0 = never. */
  readonly reportMs: Ms
  /** Gateway replicas; each sees its own requests, and the engines' gauges. */
  readonly gateways: number
  readonly knowledge: Knowledge
  readonly incidents: readonly Incident[]
  /** Time from a crash or a recovery to its notice. */
  readonly detectMs: Ms
}

export const RUN_DEFAULTS = {
  policy: 'slo',
  admission: { mode: 'enforce', probeShare: 0.02, maxFalseRejectionRatio: 1 },
  batchMode: undefined,
  classPools: {},
  seed: 1,
  warmupMs: 40_000,
  measureMs: 200_000,
  cooldownMs: Infinity,
  networkMs: 0.5,
  progressMs: 100,
  reportMs: 1000,
  gateways: 1,
  knowledge: { promptError: 0.12, promptBias: 0, perfect: false },
  incidents: [],
  detectMs: 1000,
} as const satisfies Omit<RunSpec, 'workload' | 'backends' | 'ratePerSecond'>

/** `count` equal backends, half of each pool where two are named. */
export function uniformFleet(count: number, preset: EnginePreset = 'a100-8b', pools: readonly string[] = ['default'], costPerHour?: number): SimulatedBackend[] {
  return Array.from({ length: count }, (_, i) => ({ preset, speed: 1, pool: pools[Math.floor(i * pools.length / count)]!, costPerHour }))
}

/** The workload's classes as this run configures them. */
export function serviceClasses({ workload, batchMode, classPools }: Pick<RunSpec, 'workload' | 'batchMode' | 'classPools'>): ServiceClass[] {
  return workload.classes.map(({ service }) => ({
    ...service,
    pools: classPools[service.name] ?? service.pools,
    batchMode: service.targets.ttftMs === undefined ? batchMode ?? service.batchMode : service.batchMode,
  }))
}

export const profileOf = (backend: SimulatedBackend) => ENGINE_PRESETS[backend.preset]
