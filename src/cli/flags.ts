import { parseArgs, type ParseArgsConfig } from 'node:util'
import { nearest, parseDuration } from '../config/index.js'
import type { Ms } from '../core/index.js'
import { UsageError } from './command.js'

type Options = NonNullable<ParseArgsConfig['options']>
type Parsed<T extends Options> = ReturnType<typeof parseArgs<{ options: T, strict: true, allowPositionals: true }>>

/**
 * `parseArgs` of node:util, with errors that help. Every command also takes `--help`, which is answered before the command runs.
 * @param positionals how many arguments without a flag are allowed, at least and at most
 */
export const parseFlags = <const T extends Options>(args: string[], options: T, positionals: { min?: number, max?: number, what?: string } = {}): Parsed<T> => {
  const { min = 0, max = 0, what = 'argument' } = positionals
  let parsed: Parsed<T>
  try {
    parsed = parseArgs({ args, options, strict: true, allowPositionals: true })
  } catch (error) {
    throw new UsageError(explain(error as Error & { code?: string }, Object.keys(options)))
  }
  const given = parsed.positionals as readonly string[]
  if (given.length > max) throw new UsageError(max === 0 ? `unexpected argument '${given[0]}'` : `expected ${max === 1 ? `one ${what}` : `at most ${max} of ${what}`}, got ${given.length}: ${given.join(' ')}`)
  if (given.length < min) throw new UsageError(`missing ${what}`)
  return parsed
}

const explain = (error: Error & { code?: string }, known: readonly string[]): string => {
  const flag = /'(-[^' ,<]*)/.exec(error.message)?.[1]
  if (error.code === 'ERR_PARSE_ARGS_UNKNOWN_OPTION' && flag !== undefined) {
    const near = nearest(flag.replace(/^-+/, ''), known)
    return `unknown flag '${flag}'${near === undefined ? '' : `; did you mean '--${near}'?`}`
  }
  return (error.message.split('\n')[0] ?? error.message).replace(/\.$/, '').replace(/^Option/, 'flag')
}

/** A flag's value as a number within bounds. */
export const numberFlag = (flag: string, text: string, bounds: { min?: number, max?: number, integer?: boolean } = {}): number => {
  const { min = -Infinity, max = Infinity, integer = false } = bounds
  const value = text.trim() === '' ? NaN : Number(text)
  if (Number.isNaN(value) || value < min || value > max || (integer && !Number.isInteger(value))) {
    const range = max !== Infinity ? ` from ${min} to ${max}` : min !== -Infinity ? ` of at least ${min}` : ''
    throw new UsageError(`'--${flag}' takes ${integer ? 'a whole number' : 'a number'}${range}, got '${text}'`)
  }
  return value
}

/** A flag's value as one of a closed set of names. */
export const choiceFlag = <const T extends string>(flag: string, text: string, names: readonly T[]): T => {
  const found = names.find(name => name === text)
  if (found !== undefined) return found
  const near = nearest(text, names)
  throw new UsageError(`'--${flag}' takes one of ${names.join(', ')}, got '${text}'${near === undefined ? '' : `; did you mean '${near}'?`}`)
}

/** A flag's value as numbers, separated by commas. */
export const numbersFlag = (flag: string, text: string, bounds: Parameters<typeof numberFlag>[2]): number[] => text.split(',').map(part => numberFlag(flag, part, bounds))

/** A flag's value as a duration such as `90s`. */
export const durationFlag = (flag: string, text: string): Ms => {
  const ms = parseDuration(text)
  if (ms === undefined) throw new UsageError(`'--${flag}' takes a duration such as 90s or 5m, got '${text}'`)
  return ms
}

/** A flag's value as seeds: `3` = seeds 1 to 3; `11-15`; `4,7,9`. */
export const seedsFlag = (flag: string, text: string): number[] => {
  const range = /^(\d+)-(\d+)$/.exec(text)
  if (range !== null && Number(range[1]) <= Number(range[2])) return Array.from({ length: Number(range[2]) - Number(range[1]) + 1 }, (_, i) => Number(range[1]) + i)
  if (text.includes(',')) return numbersFlag(flag, text, { min: 0, integer: true })
  return Array.from({ length: numberFlag(flag, text, { min: 1, max: 1000, integer: true }) }, (_, i) => i + 1)
}
