import { nearest, parseDuration } from '../../config/index.js'
import type { BatchMode, Ms, SloTargets } from '../../core/index.js'
import { ENGINE_PRESETS, type EnginePreset } from '../engine/index.js'
import type { Incident, Knowledge, SimulatedBackend } from '../spec.js'
import { parseArrivals } from './arrivals.js'
import { LENGTH_TABLES, serviceClass, type WorkloadClass } from './classes.js'
import { independent, type LengthTable } from './lengths.js'
import type { Workload } from './workload.js'

/** A workload of one's own, and optionally the fleet and what happens to it. What is undefined is left to the command line. */
export interface Scenario {
  readonly workload: Workload
  readonly backends: readonly SimulatedBackend[] | undefined
  readonly incidents: readonly Incident[]
  readonly gateways: number | undefined
  readonly knowledge: Partial<Knowledge>
}

type Fields = Readonly<Record<string, unknown>>

/** Reads a scenario out of parsed YAML or JSON. Errors name the member, and what was expected there. */
export function parseScenario(data: unknown): Scenario {
  const fields = record(data, 'the scenario', ['name', 'classes', 'arrivals', 'backends', 'incidents', 'gateways', 'prompt_error', 'prompt_bias'])
  const classes = Object.entries(record(fields['classes'], 'classes')).map(([name, entry]) => parseClass(name, entry))
  if (classes.length === 0) throw new Error('classes: at least one class is needed')
  const promptError = optional(fields['prompt_error'], 'prompt_error', number)
  const promptBias = optional(fields['prompt_bias'], 'prompt_bias', number)
  return {
    workload: {
      kind: 'synthetic', name: optional(fields['name'], 'name', text) ?? 'scenario', classes,
      arrivals: parseArrivals(optional(fields['arrivals'], 'arrivals', text) ?? 'poisson'),
    },
    backends: optional(fields['backends'], 'backends', list)?.flatMap((entry, i) => parseBackends(`backends[${i}]`, entry)),
    incidents: (optional(fields['incidents'], 'incidents', list) ?? []).map((entry, i) => parseIncident(`incidents[${i}]`, entry)),
    gateways: optional(fields['gateways'], 'gateways', number),
    knowledge: { ...promptError !== undefined && { promptError }, ...promptBias !== undefined && { promptBias } },
  }
}

function parseClass(name: string, data: unknown): WorkloadClass {
  const at = `classes.${name}`
  const fields = record(data, at, ['share', 'ttft', 'tpot', 'deadline', 'lengths', 'weight', 'min_share', 'objective', 'sheddable', 'batch_mode'])
  const targets: { -readonly [K in keyof SloTargets]: SloTargets[K] } = {}
  const ttftMs = optional(fields['ttft'], `${at}.ttft`, duration)
  const tpotMs = optional(fields['tpot'], `${at}.tpot`, duration)
  const deadlineMs = optional(fields['deadline'], `${at}.deadline`, duration)
  if (ttftMs !== undefined) targets.ttftMs = ttftMs
  if (tpotMs !== undefined) targets.tpotMs = tpotMs
  if (deadlineMs !== undefined) targets.deadlineMs = deadlineMs
  const weight = optional(fields['weight'], `${at}.weight`, number)
  const minShare = optional(fields['min_share'], `${at}.min_share`, number)
  const objective = optional(fields['objective'], `${at}.objective`, number)
  const batchMode = optional(fields['batch_mode'], `${at}.batch_mode`, text)
  if (batchMode !== undefined && !['hold', 'guarded', 'shared'].includes(batchMode)) throw new Error(`${at}.batch_mode: expected hold, guarded or shared, got "${batchMode}"`)
  return {
    service: serviceClass(name, targets, {
      ...weight !== undefined && { weight }, ...minShare !== undefined && { minShare }, ...objective !== undefined && { objective },
      ...fields['sheddable'] === true && { sheddable: true }, ...batchMode !== undefined && { batchMode: batchMode as BatchMode },
    }),
    share: optional(fields['share'], `${at}.share`, number) ?? 1,
    lengths: parseLengths(`${at}.lengths`, fields['lengths']),
  }
}

function parseLengths(at: string, data: unknown): LengthTable {
  if (typeof data === 'string') {
    const table = LENGTH_TABLES[data]
    if (table !== undefined) return table
    throw new Error(`${at}: unknown table "${data}"; known: ${Object.keys(LENGTH_TABLES).join(', ')}`)
  }
  const fields = record(data, at, ['prompt', 'output'])
  const quantiles = (name: string) => list(fields[name], `${at}.${name}`).map((point, i) => {
    const [level, tokens] = list(point, `${at}.${name}[${i}]`)
    return [number(level, `${at}.${name}[${i}][0]`), number(tokens, `${at}.${name}[${i}][1]`)] as const
  })
  return independent(quantiles('prompt'), quantiles('output'))
}

function parseBackends(at: string, data: unknown): SimulatedBackend[] {
  const fields = record(data, at, ['count', 'preset', 'speed', 'pool', 'cost_per_hour'])
  const preset = optional(fields['preset'], `${at}.preset`, text) ?? 'a100-8b'
  if (!Object.hasOwn(ENGINE_PRESETS, preset)) throw new Error(`${at}.preset: unknown engine "${preset}"; known: ${Object.keys(ENGINE_PRESETS).join(', ')}`)
  const backend: SimulatedBackend = {
    preset: preset as EnginePreset,
    speed: optional(fields['speed'], `${at}.speed`, number) ?? 1,
    pool: optional(fields['pool'], `${at}.pool`, text) ?? 'default',
    costPerHour: optional(fields['cost_per_hour'], `${at}.cost_per_hour`, number),
  }
  return Array.from({ length: optional(fields['count'], `${at}.count`, number) ?? 1 }, () => backend)
}

function parseIncident(at: string, data: unknown): Incident {
  const fields = record(data, at, ['kind', 'backend', 'from', 'until', 'speed'])
  const kind = text(fields['kind'], `${at}.kind`)
  if (kind !== 'slow' && kind !== 'down') throw new Error(`${at}.kind: expected slow or down, got "${kind}"`)
  return {
    kind,
    backend: number(fields['backend'], `${at}.backend`),
    fromMs: optional(fields['from'], `${at}.from`, duration) ?? 0,
    untilMs: optional(fields['until'], `${at}.until`, duration) ?? Infinity,
    speed: kind === 'slow' ? number(fields['speed'], `${at}.speed`) : 1,
  }
}

function record(data: unknown, at: string, known?: readonly string[]): Fields {
  if (typeof data !== 'object' || data === null || Array.isArray(data)) throw new Error(`${at}: expected a mapping, got ${shown(data)}`)
  for (const key of Object.keys(data)) {
    if (known === undefined || known.includes(key)) continue
    const near = nearest(key, known)
    throw new Error(`${at}: unknown key "${key}"${near === undefined ? `; known: ${known.join(', ')}` : `; did you mean "${near}"?`}`)
  }
  return data as Fields
}

function optional<T>(value: unknown, at: string, read: (value: unknown, at: string) => T): T | undefined {
  return value === undefined || value === null ? undefined : read(value, at)
}

function list(value: unknown, at: string): readonly unknown[] {
  if (!Array.isArray(value)) throw new Error(`${at}: expected a list, got ${shown(value)}`)
  return value
}

function number(value: unknown, at: string): number {
  if (typeof value !== 'number' || !Number.isFinite(value) || value < 0) throw new Error(`${at}: expected a number of at least 0, got ${shown(value)}`)
  return value
}

function text(value: unknown, at: string): string {
  if (typeof value !== 'string' || value === '') throw new Error(`${at}: expected text, got ${shown(value)}`)
  return value
}

function duration(value: unknown, at: string): Ms {
  const ms = parseDuration(text(value, at))
  if (ms === undefined) throw new Error(`${at}: expected a duration such as 500ms, 2s or 1m30s, got ${shown(value)}`)
  return ms
}

const shown = (value: unknown): string => value === undefined ? 'nothing' : JSON.stringify(value).slice(0, 60)
