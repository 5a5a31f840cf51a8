import type { Bytes, Ms } from '../core/index.js'

const MS = { ms: 1, s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000 } as const
const BYTES = { B: 1, KB: 1e3, MB: 1e6, GB: 1e9, KiB: 2 ** 10, MiB: 2 ** 20, GiB: 2 ** 30 } as const

/** As in JSON Schema's `pattern`; what they match, the parsers below read. */
export const DURATION_PATTERN = '^([0-9]+(\\.[0-9]+)?(ms|s|m|h|d))+$'
export const SIZE_PATTERN = '^[0-9]+(\\.[0-9]+)? ?(B|KB|MB|GB|KiB|MiB|GiB)?$'

/** `500ms`, `2s`, `1m30s`, `1.5h`; undefined for anything else. */
export const parseDuration = (text: string): Ms | undefined => {
  if (!new RegExp(DURATION_PATTERN).test(text)) return undefined
  let sum = 0
  for (const [, amount, unit] of text.matchAll(/([0-9.]+)(ms|s|m|h|d)/g)) sum += Number(amount) * MS[unit as keyof typeof MS]
  return sum
}

/** `64KiB`, `32MiB`, `1.5GB`, `4096`; undefined for anything else. Rounded to whole bytes. */
export const parseSize = (text: string): Bytes | undefined => {
  if (!new RegExp(SIZE_PATTERN).test(text)) return undefined
  const [, amount, unit] = /^([0-9.]+) ?(\w*)$/.exec(text) ?? []
  return Math.round(Number(amount) * BYTES[(unit || 'B') as keyof typeof BYTES])
}

const inLargestWhole = (value: number, units: Readonly<Record<string, number>>, smallest: string): string => {
  const [unit, factor] = Object.entries(units).filter(([, size]) => value >= size && value % size === 0).sort(([, a], [, b]) => b - a)[0] ?? [smallest, 1]
  return `${value / factor}${unit}`
}

/** The inverse of `parseDuration`, in the largest unit that needs no fraction. */
export const formatDuration = (ms: Ms): string => inLargestWhole(ms, MS, 'ms')

/** The inverse of `parseSize`. */
export const formatSize = (bytes: Bytes): string => inLargestWhole(bytes, { GiB: BYTES.GiB, MiB: BYTES.MiB, KiB: BYTES.KiB }, 'B')
