import type { Ms, PoolMode } from '../../types.js'

/** How a pool's mode trades time to first token and pace against throughput. */
export interface Tuning {
  /** Prefill that may be outstanding on a backend before it is given more. */
  readonly windowMs: Ms
  /** Expected number of streams that one dispatch may push over their target. */
  readonly maxLoss: number
  /** Share of a TPOT target up to which a backend is filled. */
  readonly pace: number
}

export const TUNING: Record<PoolMode, Tuning> = {
  'lowest-ttft': { windowMs: 40, maxLoss: 0.08, pace: 0.9 },
  'balanced': { windowMs: 80, maxLoss: 0.15, pace: 1 },
  'highest-throughput': { windowMs: 250, maxLoss: 0.5, pace: 1.25 },
}
