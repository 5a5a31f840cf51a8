import { createRandom, type Ms, type ServiceClass, type Tokens } from '../../core/index.js'
import type { ArrivalProcess } from './arrivals.js'
import { CLASSES, serviceClass, type WorkloadClass } from './classes.js'
import { MultiTurnSource, type MultiTurnShape } from './multi-turn.js'
import { SyntheticSource } from './synthetic.js'
import type { Trace } from './trace.js'
import { TraceSource } from './trace-source.js'

/** What the clients ask for, as plain data. Rates are given when it is opened. */
export type Workload =
  | { readonly kind: 'synthetic', readonly name: string, readonly classes: readonly WorkloadClass[], readonly arrivals: ArrivalProcess }
  | { readonly kind: 'multi-turn', readonly name: string, readonly classes: readonly [WorkloadClass], readonly shape: MultiTurnShape }
  /** Rows whose class is unknown or missing get the first of `classes`. */
  | { readonly kind: 'trace', readonly name: string, readonly classes: readonly { readonly service: ServiceClass }[], readonly trace: Trace, readonly maxPromptTokens: Tokens }

/** One request as the client sends it: true lengths, which no scheduler sees. */
export interface SourcedRequest {
  readonly arrivalMs: Ms
  /** Index into the workload's classes. */
  readonly classIndex: number
  readonly promptTokens: Tokens
  readonly outputTokens: Tokens
  /** Chained ids of the prompt's full blocks; empty = shares nothing. */
  readonly prefixBlocks: readonly number[]
  readonly sessionKey: string | undefined
}

/** Requests in the order of their arrival, without end. */
export interface RequestSource {
  next(): SourcedRequest
}

/** Starts the workload at `ratePerSecond`; the same seed gives the same requests, whatever the rate. */
export function openWorkload(workload: Workload, ratePerSecond: number, seed: number): RequestSource {
  const lengths = createRandom(`${seed}/lengths`)
  const arrivals = createRandom(`${seed}/arrivals`)
  switch (workload.kind) {
    case 'synthetic': return new SyntheticSource(workload.classes, workload.arrivals, ratePerSecond, lengths, arrivals)
    case 'multi-turn': return new MultiTurnSource(workload.classes[0].lengths, workload.shape, ratePerSecond, lengths, arrivals)
    case 'trace': return new TraceSource(workload.trace, workload.classes.map(entry => entry.service.name), workload.maxPromptTokens, ratePerSecond, arrivals)
  }
}

/** Prompt tokens that one entry of `prefixBlocks` covers; undefined where the workload shares nothing. */
export function blockTokensOf(workload: Workload): Tokens | undefined {
  if (workload.kind === 'multi-turn') return workload.shape.blockTokens
  if (workload.kind === 'trace' && workload.trace.blockTokens > 1) return workload.trace.blockTokens
  return undefined
}

const mixOf = (shares: Readonly<Partial<Record<keyof typeof CLASSES, number>>>): WorkloadClass[] =>
  Object.entries(shares).map(([name, share]) => ({ ...CLASSES[name as keyof typeof CLASSES], share }))

const poisson: ArrivalProcess = { process: 'poisson' }

/** The workloads that have a name. */
export const WORKLOADS: Readonly<Record<string, Workload>> = {
  'chat': { kind: 'synthetic', name: 'chat', classes: mixOf({ chat: 1 }), arrivals: poisson },
  'chat+code': { kind: 'synthetic', name: 'chat+code', classes: mixOf({ chat: 0.6, code: 0.4 }), arrivals: poisson },
  'mix': { kind: 'synthetic', name: 'mix', classes: mixOf({ chat: 0.5, code: 0.3, summarise: 0.08, batch: 0.12 }), arrivals: poisson },
  'multi-turn': {
    kind: 'multi-turn', name: 'multi-turn', classes: [{ ...CLASSES.chat, share: 1 }],
    shape: { blockTokens: 64, apps: 16, systemTokens: [200, 1600], meanTurns: 5, maxTurns: 20, medianMessageTokens: 80, thinkMs: 15_000 },
  },
}

/** Prompts longer than this are cut: with the usual memory and targets, longer ones measure only themselves. */
const MAX_PROMPT_TOKENS = 16_000

/** A trace as a workload. Its own classes with the targets of their first request, or one class that suits the format. */
export function traceWorkload(name: string, format: string, trace: Trace): Workload {
  const services = new Map<string, ServiceClass>()
  for (const { className, targets } of trace.rows) {
    if (className !== undefined && !services.has(className)) services.set(className, serviceClass(className, targets ?? {}))
  }
  const usual = format === 'mooncake' ? CLASSES.summarise.service : CLASSES.chat.service
  return { kind: 'trace', name, trace, classes: (services.size > 0 ? [...services.values()] : [usual]).map(service => ({ service })), maxPromptTokens: MAX_PROMPT_TOKENS }
}
