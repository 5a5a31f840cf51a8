import type { BackendState, Ms } from '../core/index.js'
import type { BreakerState } from './breaker.js'
import type { HealthStatus } from './health.js'

/** A backend that has just come back is empty and looks best of all; for this long it is `degraded`, so that no herd falls on it. */
export const SLOW_START_MS: Ms = 2_000

export interface StateSigns {
  readonly health: HealthStatus
  /** Why the last check failed, in words. */
  readonly healthError: string | undefined
  readonly operatorDrain: boolean
  readonly breaker: BreakerState
  readonly stalled: boolean
  /** How many times slower than usual it has become; undefined = it is not set back for that. */
  readonly slowdown: number | undefined
  readonly recoveredAtMs: Ms | undefined
}

export interface StateVerdict {
  readonly state: BackendState
  readonly why: string
}

/** The one state out of all signs; the worst that applies wins. */
export function stateOf(signs: StateSigns, nowMs: Ms): StateVerdict {
  if (signs.health === 'unchecked') return { state: 'down', why: 'not checked yet' }
  if (signs.health === 'down') return { state: 'down', why: `health check failed: ${signs.healthError ?? 'no good answer'}` }
  if (signs.operatorDrain) return { state: 'draining', why: 'drained by an operator' }
  if (signs.breaker === 'open') return { state: 'down', why: 'circuit breaker open after repeated faults' }
  if (signs.breaker === 'half_open') return { state: 'degraded', why: 'circuit breaker half open: a few requests probe it' }
  if (signs.stalled) return { state: 'degraded', why: 'requests run, but no token has come out of it for a long time' }
  if (signs.slowdown !== undefined) return { state: 'degraded', why: `answers ${signs.slowdown.toFixed(1)} times slower than usual, and its pool does not` }
  if (signs.recoveredAtMs !== undefined && nowMs - signs.recoveredAtMs < SLOW_START_MS) return { state: 'degraded', why: 'just back: slow start' }
  return { state: 'up', why: 'healthy' }
}
