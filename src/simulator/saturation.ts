import { EngineModel, type EngineProfile } from './engine/index.js'
import { profileOf, type SimulatedBackend } from './spec.js'
import { blockTokensOf, openWorkload, type Workload } from './workload/workload.js'

/** Requests that are kept waiting in front of the engine: so deep that it never lacks work. */
const BACKLOG = 64
const WARMUP_REQUESTS = 1000
const MEASURED_REQUESTS = 6000
const SEED = 1
/** First guess of requests per second and backend; it decides only how conversations interleave. */
const GUESS_PER_SECOND = 5

/**
 * Load 1.0: requests per second that the fleet completes of this workload when it never lacks work and no target counts. Each backend
 * gets its turn of the requests, as round robin would give them; prefix caches are at work. Measured on the engine model.
 */
export function saturatedRate(workload: Workload, backends: readonly SimulatedBackend[]): number {
  const bySort = new Map<string, { backend: SimulatedBackend, count: number }>()
  for (const backend of backends) {
    const sort = bySort.get(backend.preset) ?? { backend, count: 0 }
    sort.count += backend.speed
    bySort.set(backend.preset, sort)
  }
  let total = 0
  for (const { backend, count } of bySort.values()) {
    // How conversations interleave depends on the rate, and the rate on what the cache then finds.
    let rate = GUESS_PER_SECOND
    const passes = blockTokensOf(workload) === undefined ? 1 : 2
    for (let pass = 0; pass < passes; pass++) rate = oneBackend(workload, profileOf(backend), backends.length, rate * backends.length)
    total += count * rate
  }
  return total
}

function oneBackend(workload: Workload, profile: EngineProfile, backends: number, sourceRate: number): number {
  const blockTokens = blockTokensOf(workload)
  const source = openWorkload(workload, sourceRate, SEED)
  const engine = new EngineModel<undefined>({ profile: blockTokens === undefined ? profile : { ...profile, limits: { ...profile.limits, prefixBlockTokens: blockTokens } } })
  // With shared prefixes a backend sees every n-th request only; without, all requests are alike.
  const skip = blockTokens === undefined ? 1 : backends
  let nowMs = 0
  let startMs = 0
  for (let finished = 0, measuring = false; ;) {
    while (engine.gauges().waiting < BACKLOG) {
      let request = source.next()
      for (let i = 1; i < skip; i++) request = source.next()
      engine.submit({ promptTokens: request.promptTokens, outputTokens: request.outputTokens, prefixHashes: request.prefixBlocks, tag: undefined }, nowMs)
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
