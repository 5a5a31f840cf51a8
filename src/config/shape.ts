/**
 * Walks along the schema and a value at once: before validation, what a reference to the environment can only give as text
 * becomes a number; after it, defaults are filled in and durations and sizes become numbers.
 */
import type { Path } from './problems.js'
import { parseDuration, parseSize } from './units.js'

interface Shape {
  readonly type?: string
  readonly unit?: 'ms' | 'bytes'
  readonly default?: unknown
  readonly properties?: Readonly<Record<string, Shape>>
  readonly patternProperties?: Readonly<Record<string, Shape>>
  readonly items?: Shape
  readonly anyOf?: readonly Shape[]
}

const isObject = (value: unknown): value is Record<string, unknown> => typeof value === 'object' && value !== null && !Array.isArray(value)

/** The shape that describes a member of a mapping. */
const memberOf = (shape: Shape, name: string): Shape | undefined => shape.properties !== undefined && Object.hasOwn(shape.properties, name)
  ? shape.properties[name]
  : Object.values(shape.patternProperties ?? {})[0]

/** The branch of a union that fits the value: the only one that is an object, for an object. */
const branchOf = (shape: Shape, value: unknown): Shape =>
  shape.anyOf === undefined ? shape : shape.anyOf.find(branch => isObject(value) === (branch.type === 'object')) ?? shape

/** Text from the environment as the number or boolean that the schema wants, and a size given as a number as text. */
export const coerce = (shape: Shape, value: unknown, fromEnvironment: (path: Path) => boolean, path: Path = []): unknown => {
  const own = branchOf(shape, value)
  if (Array.isArray(value)) return value.map((item, index) => own.items === undefined ? item : coerce(own.items, item, fromEnvironment, [...path, index]))
  if (isObject(value)) {
    return Object.fromEntries(Object.entries(value).map(([name, member]) => {
      const inner = memberOf(own, name)
      return [name, inner === undefined ? member : coerce(inner, member, fromEnvironment, [...path, name])]
    }))
  }
  if (own.unit === 'bytes' && typeof value === 'number') return String(value)
  if (typeof value !== 'string' || !fromEnvironment(path)) return value
  if ((own.type === 'integer' || own.type === 'number') && value.trim() !== '' && !Number.isNaN(Number(value))) return Number(value)
  if (own.type === 'boolean' && (value === 'true' || value === 'false')) return value === 'true'
  return value
}

/** Defaults filled in, durations in ms, sizes in bytes. The value has passed validation; what failed it has been cut out. */
export const resolve = (shape: Shape, value: unknown): unknown => {
  const given = value === undefined ? structuredClone(shape.default) : value
  const own = branchOf(shape, given)
  if (Array.isArray(given)) return given.map(item => own.items === undefined ? item : resolve(own.items, item))
  if (isObject(given)) {
    const names = new Set([...Object.keys(own.properties ?? {}), ...Object.keys(given)])
    return Object.fromEntries([...names].map(name => {
      const inner = memberOf(own, name)
      return [name, inner === undefined ? given[name] : resolve(inner, given[name])] as const
    }).filter(([, member]) => member !== undefined))
  }
  if (typeof given === 'string' && own.unit === 'ms') return parseDuration(given)
  if (typeof given === 'string' && own.unit === 'bytes') return parseSize(given)
  return given
}

/** The value without the members and items at these paths; a list keeps its numbering (the item becomes undefined). */
export const cut = (value: unknown, paths: readonly Path[]): unknown => {
  if (paths.some(path => path.length === 0)) return undefined
  const under = (step: string | number) => paths.filter(path => path[0] === step).map(path => path.slice(1))
  if (Array.isArray(value)) return value.map((item: unknown, index) => cut(item, under(index)))
  if (!isObject(value)) return value
  return Object.fromEntries(Object.entries(value).map(([name, member]) => [name, cut(member, under(name))] as const).filter(([, member]) => member !== undefined))
}
