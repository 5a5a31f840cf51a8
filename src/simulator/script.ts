import type { Decision, Ms, Scheduler, SchedulerEvent } from '../core/index.js'

/** What a scheduler was told, when, and what it answered. */
export interface ScriptEntry {
  readonly atMs: Ms
  readonly event: SchedulerEvent
  readonly decisions: readonly Decision[]
}

export type Script = readonly ScriptEntry[]

/** The scheduler, with everything that passes it written to `into`. Plain data: fit for JSON. */
export function recordScript(scheduler: Scheduler, into: ScriptEntry[]): Scheduler {
  return {
    handle(event, nowMs) {
      const decisions = scheduler.handle(event, nowMs)
      into.push({ atMs: nowMs, event: structuredCopy(event), decisions: decisions.map(structuredCopy) })
      return decisions
    },
    state: nowMs => scheduler.state(nowMs),
  }
}

/** Tells a fresh scheduler the same events and answers what it decided, entry by entry; the same as was recorded, if the two agree. */
export function replayScript(script: Script, scheduler: Scheduler): ScriptEntry[] {
  return script.map(({ atMs, event }) => ({ atMs, event, decisions: scheduler.handle(event, atMs).map(structuredCopy) }))
}

/** Through JSON, as a file would hold it: members that are undefined are gone. */
function structuredCopy<T>(value: T): T {
  return JSON.parse(JSON.stringify(value)) as T
}
