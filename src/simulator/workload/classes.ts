import type { ServiceClass, SloTargets } from '../../core/index.js'
import { independent, scaled, type LengthTable } from './lengths.js'
import { conversation, longConversation } from './tables.js'

/** A service class of a workload, with the traffic that it gets. */
export interface WorkloadClass {
  readonly service: ServiceClass
  /** Share of the workload's requests, 0–1. */
  readonly share: number
  readonly lengths: LengthTable
}

/** Editor completions: short answers, tight targets. Ours, after the figures that are public of such traffic. */
const completion = independent(
  [[0, 80], [0.1, 380], [0.5, 700], [0.9, 1024], [0.99, 1500], [1, 2000]],
  [[0, 1], [0.1, 4], [0.5, 13], [0.9, 55], [0.99, 252], [1, 500]],
)

/** The length tables that a scenario can name. */
export const LENGTH_TABLES: Readonly<Record<string, LengthTable>> = {
  conversation,
  'long-conversation': longConversation,
  completion,
  'double-conversation': scaled(conversation, 2),
}

export function serviceClass(name: string, targets: SloTargets, changes: Partial<ServiceClass> = {}): ServiceClass {
  return {
    name, targets, objective: 0.9, weight: 1, minShare: 0.95, sheddable: false, pools: [], onInfeasible: 'reject',
    queueLimit: 100_000, maxQueueMs: 600_000, batchMode: 'guarded', ...changes,
  }
}

/** The classes of the standard workloads. */
export const CLASSES = {
  chat: { service: serviceClass('chat', { ttftMs: 500, tpotMs: 50 }), lengths: conversation },
  code: { service: serviceClass('code', { ttftMs: 200, tpotMs: 30 }), lengths: completion },
  summarise: { service: serviceClass('summarise', { ttftMs: 3000, tpotMs: 80 }), lengths: longConversation },
  batch: { service: serviceClass('batch', { deadlineMs: 120_000 }), lengths: scaled(conversation, 2) },
} as const satisfies Readonly<Record<string, Omit<WorkloadClass, 'share'>>>
