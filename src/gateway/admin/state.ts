import { attainmentOf, burnRate, MEASURES, perSecond, WINDOWS_MS, type ClassName, type GoodputLedger, type Ms } from '../../core/index.js'
import type { ServiceClassConfig } from '../../config/index.js'
import type { Telemetry } from '../../telemetry/index.js'
import type { AdminPlaneOptions } from './deps.js'
import { snakeCase } from './json.js'

/** The picture of `/api/state`, as plain data. What is unknown is absent. */
export function stateView({ config, fleet, telemetry, runtime, clock, version }: AdminPlaneOptions, startedAtMs: Ms): unknown {
  const { policy, admission, classes, backends } = runtime.schedulerState()
  const nowMs = clock.now()
  const configured = config().classes
  const ledgers = new Map(backends.map((backend) => [backend.id, backend]))
  const snapshots = fleet.snapshot()
  return snakeCase({
    version,
    uptimeMs: nowMs - startedAtMs,
    draining: runtime.draining,
    policy,
    admission,
    pools: fleet.pools.map((pool) => ({ ...pool, backends: snapshots.filter((backend) => backend.pool === pool.name).map(({ id }) => id) })),
    backends: snapshots.map((snapshot) => {
      const ledger = ledgers.get(snapshot.id)
      if (ledger === undefined) return snapshot
      const { inflightRequests, inflightPrefillTokens, decodingStreams, contextTokens, concurrencyLimit, model } = ledger
      return { ...snapshot, inflightRequests, inflightPrefillTokens, decodingStreams, contextTokens, concurrencyLimit, learned: model }
    }),
    classes: Object.entries(configured).map(([name, settings]) => ({
      name,
      ...classSettings(settings),
      ...classes.find((state) => state.name === name),
      ...measures(telemetry, name, settings.objective, nowMs),
    })),
  })
}

function classSettings({ ttft, tpot, deadline, objective, weight, sheddable, pools }: ServiceClassConfig) {
  return { targets: { ttftMs: ttft, tpotMs: tpot, deadlineMs: deadline }, objective, weight, sheddable, pools }
}

function measures(telemetry: Telemetry, name: ClassName, objective: number, nowMs: Ms) {
  const { ledger } = telemetry
  return {
    windows: Object.entries(WINDOWS_MS).map(([window, windowMs]) => ({ window, ...windowView(ledger, name, objective, windowMs, nowMs) })),
    totals: ledger.totals(name),
    recent: Object.fromEntries(MEASURES.map((measure) => [`${measure}Ms`, ledger.account(name, nowMs).recent(measure, nowMs).percentiles()])),
    itlMs: telemetry.intervalsOf(name)?.percentiles(),
  }
}

function windowView(ledger: GoodputLedger, name: ClassName, objective: number, windowMs: Ms, nowMs: Ms) {
  const window = ledger.window(windowMs, nowMs, name)
  const attainment = attainmentOf(window)
  return {
    attainment,
    burnRate: burnRate(attainment, objective),
    offeredPerS: perSecond(window.offered, window),
    goodputPerS: perSecond(window.met, window),
    outputTokensPerS: perSecond(window.outputTokens, window),
    goodTokensPerS: perSecond(window.goodTokens, window),
  }
}
