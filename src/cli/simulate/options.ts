import { availableParallelism } from 'node:os'
import { POLICIES, type Ms, type PolicyName } from '../../core/index.js'
import { ENGINE_PRESETS, RUN_DEFAULTS, uniformFleet, type Conditions, type EnginePreset, type Incident, type SimulatedBackend, type Workload } from '../../simulator/index.js'
import { UsageError } from '../command.js'
import { choiceFlag, durationFlag, numberFlag, numbersFlag, parseFlags, seedsFlag } from '../flags.js'
import { readWorkload, withArrivals } from '../workload.js'

export const FLAGS = {
  'workload': { type: 'string', default: 'mix' },
  'policy': { type: 'string', default: 'slo' },
  'backends': { type: 'string' },
  'preset': { type: 'string', default: 'a100-8b' },
  'cost-per-hour': { type: 'string' },
  'loads': { type: 'string', default: '0.5,0.7,0.9,1.0,1.2,1.5' },
  'seeds': { type: 'string', default: '3' },
  'objectives': { type: 'string', default: '0.9,0.99' },
  'no-search': { type: 'boolean', default: false },
  'perfect': { type: 'boolean', default: false },
  'target-rate': { type: 'string' },
  'max-backends': { type: 'string', default: '64' },
  'duration': { type: 'string' },
  'warmup': { type: 'string' },
  'arrivals': { type: 'string' },
  'admission': { type: 'string' },
  'probe-share': { type: 'string' },
  'batch-mode': { type: 'string' },
  'gateways': { type: 'string' },
  'prompt-error': { type: 'string' },
  'prompt-bias': { type: 'string' },
  'slow': { type: 'string', multiple: true },
  'down': { type: 'string', multiple: true },
  'explain': { type: 'string' },
  'html': { type: 'string' },
  'json': { type: 'boolean', default: false },
  'jobs': { type: 'string' },
} as const

/** The command line of `sluice simulate`, read and checked. */
export interface SimulateOptions {
  readonly workload: Workload
  readonly policies: readonly PolicyName[]
  readonly backends: readonly SimulatedBackend[]
  /** The fleet of another size, for the planner. */
  readonly fleet: (count: number) => readonly SimulatedBackend[]
  readonly loads: readonly number[]
  readonly seeds: readonly number[]
  readonly objectives: readonly number[]
  readonly search: boolean
  readonly perfect: boolean
  readonly targetRate: number | undefined
  readonly maxBackends: number
  readonly conditions: Conditions
  readonly explain: number
  readonly html: string | undefined
  readonly json: boolean
  readonly jobs: number
}

export async function readOptions(args: string[]): Promise<SimulateOptions> {
  const { values } = parseFlags(args, FLAGS)
  const scenario = await readWorkload(values.workload)
  const preset = choiceFlag('preset', values.preset, Object.keys(ENGINE_PRESETS) as EnginePreset[])
  const costPerHour = values['cost-per-hour'] === undefined ? undefined : numberFlag('cost-per-hour', values['cost-per-hour'], { min: 0 })
  const count = values.backends === undefined ? undefined : numberFlag('backends', values.backends, { min: 1, max: 1024, integer: true })
  const fleet = (size: number) => scenario.backends === undefined ? uniformFleet(size, preset, ['default'], costPerHour) : Array.from({ length: size }, (_, i) => scenario.backends![i % scenario.backends!.length]!)
  const backends = fleet(count ?? scenario.backends?.length ?? 8)
  const number = (flag: 'gateways' | 'prompt-error' | 'prompt-bias' | 'probe-share', fallback: number, bounds: Parameters<typeof numberFlag>[2]) =>
    values[flag] === undefined ? fallback : numberFlag(flag, values[flag], bounds)
  const duration = (flag: 'duration' | 'warmup', fallback: Ms) => values[flag] === undefined ? fallback : durationFlag(flag, values[flag])
  return {
    workload: values.arrivals === undefined ? scenario.workload : withArrivals(scenario.workload, values.arrivals),
    policies: readPolicies(values.policy),
    backends, fleet,
    loads: numbersFlag('loads', values.loads, { min: 0.001, max: 100 }).sort((a, b) => a - b),
    seeds: seedsFlag('seeds', values.seeds),
    objectives: numbersFlag('objectives', values.objectives, { min: 0.01, max: 0.9999 }),
    search: !values['no-search'],
    perfect: values.perfect,
    targetRate: values['target-rate'] === undefined ? undefined : numberFlag('target-rate', values['target-rate'], { min: 0.001 }),
    maxBackends: numberFlag('max-backends', values['max-backends'], { min: 1, max: 1024, integer: true }),
    conditions: {
      ...RUN_DEFAULTS,
      measureMs: duration('duration', RUN_DEFAULTS.measureMs),
      warmupMs: duration('warmup', RUN_DEFAULTS.warmupMs),
      admission: {
        ...RUN_DEFAULTS.admission,
        mode: values.admission === undefined ? RUN_DEFAULTS.admission.mode : choiceFlag('admission', values.admission, ['off', 'observe', 'enforce']),
        probeShare: number('probe-share', RUN_DEFAULTS.admission.probeShare, { min: 0, max: 1 }),
      },
      batchMode: values['batch-mode'] === undefined ? undefined : choiceFlag('batch-mode', values['batch-mode'], ['hold', 'guarded', 'shared']),
      gateways: number('gateways', scenario.gateways ?? 1, { min: 1, max: 64, integer: true }),
      knowledge: {
        ...RUN_DEFAULTS.knowledge, ...scenario.knowledge,
        promptError: number('prompt-error', scenario.knowledge.promptError ?? RUN_DEFAULTS.knowledge.promptError, { min: 0, max: 0.99 }),
        promptBias: number('prompt-bias', scenario.knowledge.promptBias ?? RUN_DEFAULTS.knowledge.promptBias, { min: -0.9, max: 10 }),
      },
      incidents: [...scenario.incidents, ...(values.slow ?? []).map(text => readSlow(text)), ...(values.down ?? []).map(text => readDown(text))]
        .map(incident => within(incident, backends.length)),
    },
    explain: values.explain === undefined ? 0 : numberFlag('explain', values.explain, { min: 1, integer: true }),
    html: values.html,
    json: values.json,
    jobs: values.jobs === undefined ? availableParallelism() : numberFlag('jobs', values.jobs, { min: 1, max: 256, integer: true }),
  }
}

function readPolicies(text: string): PolicyName[] {
  return text === 'all' ? [...POLICIES] : text.split(',').map(name => choiceFlag('policy', name.trim(), POLICIES))
}

/** `0=0.5`: backend 0 at half speed, `0=0.5@60s-90s` from 60 s to 90 s of the run. */
function readSlow(text: string): Incident {
  const [, backend, speed, , from, until] = /^(\d+)=([\d.]+)(@(\w+)-(\w+))?$/.exec(text) ?? []
  if (backend === undefined) throw new UsageError(`'--slow' takes BACKEND=SPEED or BACKEND=SPEED@FROM-UNTIL, such as 0=0.5 or 0=0.5@60s-90s, got '${text}'`)
  return { kind: 'slow', backend: Number(backend), speed: numberFlag('slow', speed!, { min: 0.01, max: 100 }), fromMs: from === undefined ? 0 : durationFlag('slow', from), untilMs: until === undefined ? Infinity : durationFlag('slow', until) }
}

/** `0@60s-90s`: backend 0 is down from 60 s to 90 s of the run. */
function readDown(text: string): Incident {
  const [, backend, from, until] = /^(\d+)@(\w+)-(\w+)$/.exec(text) ?? []
  if (backend === undefined) throw new UsageError(`'--down' takes BACKEND@FROM-UNTIL, such as 0@60s-90s, got '${text}'`)
  return { kind: 'down', backend: Number(backend), speed: 1, fromMs: durationFlag('down', from!), untilMs: durationFlag('down', until!) }
}

function within(incident: Incident, backends: number): Incident {
  if (incident.backend >= backends) throw new UsageError(`backend ${incident.backend} is not in the fleet: its backends are 0 to ${backends - 1}`)
  return incident
}
