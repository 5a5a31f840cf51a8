import { costPerMillionTokens, type Ms } from '../core/index.js'
import type { CurvePoint } from './types.js'

/** Steps of concurrency: each is a half more than the one before. */
const STEP = Math.log(1.5)
const MAX_BINS = 24
/** Old seconds fade, so that the curve is that of the last minutes. */
const KEPT = 0.995
const MIN_SAMPLES = 3

interface Bin {
  weight: number
  samples: number
  streams: number
  tokenMs: number
}

/**
 * The batch–latency curve of one backend, measured while it serves: what a token took while about so many streams ran. One
 * sample a second.
 */
export class BatchCurve {
  readonly #bins: (Bin | undefined)[] = new Array<Bin | undefined>(MAX_BINS).fill(undefined)

  add(streams: number, tokenMs: Ms): void {
    if (!(streams >= 0.5) || !(tokenMs > 0)) return
    const index = binOf(streams)
    const bin = this.#bins[index] ??= { weight: 0, samples: 0, streams: 0, tokenMs: 0 }
    bin.weight = bin.weight * KEPT + 1
    bin.samples++
    bin.streams += (streams - bin.streams) / bin.weight
    bin.tokenMs += (tokenMs - bin.tokenMs) / bin.weight
  }

  /** What a token took at this concurrency, from the nearest measured one; undefined while too little was measured. */
  nearest(streams: number): { readonly streams: number, readonly tokenMs: Ms } | undefined {
    let best: Bin | undefined
    for (const bin of this.#bins) {
      if (bin === undefined || bin.samples < MIN_SAMPLES) continue
      if (best === undefined || distance(bin.streams, streams) < distance(best.streams, streams)) best = bin
    }
    return best
  }

  points(costPerHour: number | undefined, modelMs: (streams: number) => Ms): readonly CurvePoint[] {
    return this.#bins.filter((bin) => bin !== undefined && bin.samples >= MIN_SAMPLES).map((bin) => {
      const { streams, tokenMs, samples } = bin as Bin
      const tokensPerS = streams * 1000 / tokenMs
      return { streams, tokenMs, modelMs: modelMs(streams), tokensPerS, samples, costPerMillion: costPerHour === undefined ? undefined : costPerMillionTokens(costPerHour, tokensPerS) }
    })
  }

  clear(): void {
    this.#bins.fill(undefined)
  }
}

/**
 * The knee of throughput over concurrency: the point farthest above the line between the curve's ends ("kneedle"), both axes
 * scaled to their range. Undefined for fewer than four points, and where no point stands out: the curve is still straight.
 */
export function kneeOf(points: readonly Pick<CurvePoint, 'streams' | 'tokensPerS'>[]): number | undefined {
  const first = points[0], last = points.at(-1)
  if (first === undefined || last === undefined || points.length < 4) return undefined
  const width = last.streams - first.streams
  const most = Math.max(...points.map(({ tokensPerS }) => tokensPerS)), least = Math.min(...points.map(({ tokensPerS }) => tokensPerS))
  if (width <= 0 || most <= least) return undefined
  let knee: number | undefined
  let farthest = 0.1
  for (const { streams, tokensPerS } of points) {
    const above = (tokensPerS - least) / (most - least) - (streams - first.streams) / width
    if (above > farthest) {
      farthest = above
      knee = streams
    }
  }
  return knee
}

function binOf(streams: number): number {
  return Math.min(MAX_BINS - 1, Math.max(0, Math.round(Math.log(streams) / STEP)))
}

function distance(a: number, b: number): number {
  return Math.abs(Math.log(a / b))
}
