import type { BackendId, BackendLedgerState, ClassName, Ms } from '../core/index.js'
import type { Pace as PaceSums, RequestRecord } from '../telemetry/index.js'
import { Columns } from './columns.js'
import { kneeOf } from './curve.js'
import { HISTORY_ROWS } from './personas.js'
import { SpeedWatch, type PaceSample } from './speed.js'
import type { BackendView, DashboardBackend, SpeedFault } from './types.js'

export const BACKEND_COLUMNS = ['tokenMs', 'tokensPerS', 'streams', 'kv', 'gpu'] as const

/** All that is kept of one backend between two looks. */
export class BackendWatch {
  readonly id: BackendId
  readonly speed = new SpeedWatch()
  readonly history = new Columns(BACKEND_COLUMNS, HISTORY_ROWS)
  readonly #sums = new Map<ClassName, PaceSums>()
  /** Since the fault began. */
  readonly #since = new Map<ClassName, { missed: number, ended: number, tokenMs: Ms | undefined }>()
  #restarts: number | undefined

  constructor(id: BackendId) {
    this.id = id
  }

  /** The sums of telemetry as they are now; what has come since the last time is this second's. */
  observe(backend: DashboardBackend, ledger: BackendLedgerState | undefined, sums: readonly PaceSums[], elapsedMs: Ms): void {
    if (this.#restarts !== undefined && this.#restarts !== backend.restarts) this.speed.forget()
    this.#restarts = backend.restarts
    const classes = new Map<ClassName, PaceSample>()
    for (const sum of sums) {
      const before = this.#sums.get(sum.class)
      classes.set(sum.class, {
        gaps: sum.gaps - (before?.gaps ?? 0), gapMs: sum.gapMs - (before?.gapMs ?? 0),
        firstTokens: sum.firstTokens - (before?.firstTokens ?? 0), prefillMs: sum.prefillMs - (before?.prefillMs ?? 0),
        prefillTokens: sum.prefillTokens - (before?.prefillTokens ?? 0),
        measuredMs: sum.measuredMs - (before?.measuredMs ?? 0), predictedMs: sum.predictedMs - (before?.predictedMs ?? 0),
      })
      this.#sums.set(sum.class, { ...sum })
    }
    this.speed.add({ elapsedMs, classes, ledger })
    const now = this.speed.now()
    this.history.push({ tokenMs: now.tokenMs, tokensPerS: now.tokensPerS, streams: now.streams, kv: backend.report.kvUsageRatio, gpu: backend.gpuUtilizationRatio })
  }

  /** After all backends were observed. */
  judge(peers: readonly BackendWatch[], nowMs: Ms): void {
    this.speed.judge(peers.map(({ speed }) => speed), nowMs)
    if (this.speed.fault === undefined) return this.#since.clear()
    for (const className of this.#sums.keys()) {
      const tokenMs = this.speed.tokenMsOf(className)
      if (tokenMs !== undefined) this.#paying(className).tokenMs = Math.max(tokenMs, this.#paying(className).tokenMs ?? 0)
    }
  }

  /** A request of this backend has ended. */
  finished({ class: className, outcome }: RequestRecord): void {
    if (this.speed.fault === undefined || outcome === 'untargeted' || outcome === 'cancelled') return
    const counts = this.#paying(className)
    counts.ended++
    if (outcome !== 'met') counts.missed++
  }

  /** The fault found here, and the classes that it costs. */
  fault(pool: string, tpotTarget: (className: ClassName) => Ms | undefined, nowMs: Ms): SpeedFault | undefined {
    const { fault } = this.speed
    if (fault === undefined) return undefined
    const pays = [...this.#since].flatMap(([className, { missed, ended, tokenMs }]) => {
      const tpotTargetMs = tpotTarget(className)
      const isLate = tokenMs !== undefined && tpotTargetMs !== undefined && tokenMs > tpotTargetMs
      return missed > 0 || isLate ? [{ class: className, missed, ended, tokenMs, tpotTargetMs }] : []
    })
    return { backend: this.id, pool, ...fault, ageMs: nowMs - fault.sinceMs, pays }
  }

  #paying(className: ClassName): { missed: number, ended: number, tokenMs: Ms | undefined } {
    let counts = this.#since.get(className)
    if (counts === undefined) this.#since.set(className, counts = { missed: 0, ended: 0, tokenMs: undefined })
    return counts
  }

  view(backend: DashboardBackend, ledger: BackendLedgerState | undefined): BackendView {
    const now = this.speed.now()
    const curve = this.speed.curve.points(backend.costPerHour, (streams) => this.speed.stepMs(streams))
    const { id, pool, engine, state, why, stateAgeMs, operatorDrain, breaker, restarts, reportAgeMs, reportError, reportFrozen, report, gpuUtilizationRatio, costPerHour } = backend
    return {
      id, pool, engine, state, why, stateAgeMs, operatorDrain, breaker, restarts, reportAgeMs, reportError, reportFrozen, report, gpuUtilizationRatio, costPerHour,
      models: backend.models?.map((model) => model.id),
      inflight: ledger?.inflightRequests, prefillTokens: ledger?.inflightPrefillTokens, streams: ledger?.decodingStreams, limit: ledger?.concurrencyLimit,
      learned: ledger?.model,
      now: {
        tokensPerS: now.tokensPerS, tokenMs: now.tokenMs,
        predictedTokenMs: now.tokenMs === undefined || ledger === undefined ? undefined : this.speed.stepMs(now.streams),
        prefillMs: now.prefillMs, predictedPrefillMs: now.predictedPrefillMs,
        prefillShare: now.prefillShare, decodeShare: now.decodeShare,
      },
      curve,
      kneeStreams: kneeOf(curve),
    }
  }
}
