import { median } from './columns.js'
import type { MatrixPoint, MatrixView } from './types.js'

/**
 * The latency–throughput matrix. The lines: the middle of the TTFT targets (without any, of the points), and the middle of the
 * throughputs. Undefined until two points are measured.
 */
export function matrixOf(points: readonly MatrixPoint[], ttftTargetsMs: readonly number[]): MatrixView | undefined {
  if (points.length < 2) return undefined
  return {
    points,
    ttftLineMs: median(ttftTargetsMs) ?? median(points.map(({ ttftMs }) => ttftMs))!,
    tokensLine: median(points.map(({ tokensPerS }) => tokensPerS))!,
  }
}
