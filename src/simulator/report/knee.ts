/**
 * The knee of a curve that first runs flat and then rises: the point farthest below the straight line between its ends, both
 * axes scaled to 0–1 (Kneedle: Satopää, Albrecht, Irwin, Raghavan 2011). Undefined for fewer than three points or a curve without a bend.
 */
export function knee(points: readonly (readonly [number, number])[]): readonly [number, number] | undefined {
  if (points.length < 3) return undefined
  const xs = points.map(([x]) => x)
  const ys = points.map(([, y]) => y)
  const [xMin, xMax, yMin, yMax] = [Math.min(...xs), Math.max(...xs), Math.min(...ys), Math.max(...ys)]
  if (xMax === xMin || yMax === yMin) return undefined
  let best: readonly [number, number] | undefined
  let most = 0.05
  for (const point of points) {
    const below = (point[0] - xMin) / (xMax - xMin) - (point[1] - yMin) / (yMax - yMin)
    if (below > most) {
      most = below
      best = point
    }
  }
  return best
}
