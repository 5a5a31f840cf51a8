import { EngineModel, type EnginePreset, type EngineProfile } from './engine/index.js'
import { profileOf, type SimulatedBackend } from './spec.js'
import { openWorkload, type Workload } from './workload/workload.js'

/** Requests that are kept waiting in front of the engine: so deep that it never lacks work. */
const BACKLOG = 64
const WARMUP_REQUESTS = 1000
const MEASURED_REQUESTS = 6000
const SEED = 1
/** Requests are taken as the engine has room for them; the rate of the source only decides how conversations interleave. */
const SOURCE_PER_SECOND = 5

/**
 * Load 1.0: requests per second that the fleet completes of this workload when it never lacks work and no target counts. Every prompt
 * is computed whole: what a prefix cache would find depends on who places the requests, and load must not depend on a policy.
 * Measured on the engine model.
 */
export function saturatedRate(workload: Workload, backends: readonly SimulatedBackend[]): number {
  const measured = new Map<EnginePreset, number>()
  let total = 0
  for (const backend of backends) {
    const rate = measured.get(backend.preset) ?? oneBackend(workload, profileOf(backend))
    measured.set(backend.preset, rate)
    total += backend.speed * rate
  }
  return total
}

function oneBackend(workload: Workload, profile: EngineProfile): number {
  const source = openWorkload(workload, SOURCE_PER_SECOND, SEED)
  const engine = new EngineModel<undefined>({ profile })
  let nowMs = 0
  let startMs = 0
  for (let finished = 0, measuring = false; ;) {
    while (engine.gauges().waiting < BACKLOG) {
      const { promptTokens, outputTokens } = source.next()
      engine.submit({ promptTokens, outputTokens, tag: undefined }, nowMs)
    }
    const report = engine.step(nowMs)
    finished += report.finished.length
    if (!measuring && finished >= WARMUP_REQUESTS) {
      measuring = true
      finished = 0
      startMs = nowMs
    } else if (measuring && finished >= MEASURED_REQUESTS) return finished / (nowMs - startMs) * 1000
    nowMs = report.endsAtMs
  }
}
