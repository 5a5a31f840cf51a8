import { queueMs, ttftMs, e2eMs, type BackendId, type ClassName, type Outcome } from '../core/index.js'
import type { RequestRecord } from '../telemetry/index.js'
import type { MissView } from './types.js'

/** Not broken promises: kept ones, none, and clients that left. */
const NOT_MISSED: readonly Outcome[] = ['met', 'untargeted', 'cancelled']

/**
 * Why promises broke lately: by class, the outcomes, how much of the time to the first token (of an answer that is not streamed, to
 * its end) was spent in the queue, and the backend that most of them ran on.
 */
export function missesOf(records: readonly RequestRecord[]): readonly MissView[] {
  const classes = new Map<ClassName, { ended: number, missed: RequestRecord[] }>()
  for (const record of records) {
    let entry = classes.get(record.class)
    if (entry === undefined) classes.set(record.class, entry = { ended: 0, missed: [] })
    entry.ended++
    if (!NOT_MISSED.includes(record.outcome)) entry.missed.push(record)
  }
  return [...classes].flatMap(([name, { ended, missed }]) => missed.length === 0 ? [] : [{
    class: name, ended, missed: missed.length,
    outcome: most(missed.map(({ outcome }) => outcome))!,
    queueShare: queueShare(missed),
    backend: most(missed.flatMap(({ timeline }): BackendId[] => timeline.backend === undefined ? [] : [timeline.backend])),
  }])
}

function queueShare(records: readonly RequestRecord[]): number | undefined {
  let queued = 0, all = 0
  for (const { timeline } of records) {
    const took = ttftMs(timeline) ?? e2eMs(timeline)
    if (took === undefined || timeline.dispatchedAtMs === undefined) continue
    all += took
    queued += Math.min(took, queueMs(timeline) ?? 0)
  }
  return all > 0 ? queued / all : undefined
}

/** The most frequent of them and how often it is there. */
function most<T extends string>(names: readonly T[]): { readonly name: T, readonly count: number } | undefined {
  const counts = new Map<T, number>()
  for (const name of names) counts.set(name, (counts.get(name) ?? 0) + 1)
  const [first] = [...counts].sort(([, a], [, b]) => b - a)
  return first === undefined ? undefined : { name: first[0], count: first[1] }
}
