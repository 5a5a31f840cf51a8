// How much a process grows, told from the ups and downs of its memory.
import type { Memory } from './program.js'

export interface Sample extends Memory {
  readonly atMs: number
}

export interface Growth {
  /** Theil-Sen slopes over the run without its first third, in which caches and indices fill. */
  readonly residentMiBPerMinute: number
  readonly heapMiBPerMinute: number
  /** Means of the middle and the last third. */
  readonly residentMiB: readonly [middle: number, last: number]
  readonly heapMiB: readonly [middle: number, last: number]
}

const MIB = 2 ** 20

export function growthOf(samples: readonly Sample[]): Growth {
  const third = Math.floor(samples.length / 3)
  const settled = samples.slice(third)
  const slope = (of: (sample: Sample) => number) => median(settled.flatMap((a, i) => settled.slice(i + 1).map(b => (of(b) - of(a)) / MIB / ((b.atMs - a.atMs) / 60_000))))
  const means = (of: (sample: Sample) => number) => [samples.slice(third, 2 * third), samples.slice(2 * third)].map(part => mean(part.map(of)) / MIB) as [number, number]
  const resident = ({ rss }: Sample) => rss
  // What lies outside of the heap, buffers above all, leaks as well.
  const heap = ({ heapUsed, external }: Sample) => heapUsed + external
  return { residentMiBPerMinute: slope(resident), heapMiBPerMinute: slope(heap), residentMiB: means(resident), heapMiB: means(heap) }
}

const median = (list: readonly number[]): number => [...list].sort((a, b) => a - b)[list.length >> 1] ?? 0
const mean = (list: readonly number[]): number => list.reduce((sum, value) => sum + value, 0) / Math.max(1, list.length)
