import { Ajv, type AnySchemaObject, type ErrorObject } from 'ajv'
import { nearest } from './nearest.js'
import type { Path } from './problems.js'
import { parseDuration, parseSize } from './units.js'
import { WRITTEN_SCHEMA } from './written.js'

/** A violation of the schema, in words. */
export interface Violation {
  readonly path: Path
  readonly message: string
  /** About a member that is not there, not about the value at `path`. */
  readonly missing: boolean
}

const ajv = new Ajv({ allErrors: true, verbose: true, strict: true })
ajv.addVocabulary(['zero'])
ajv.addKeyword({
  keyword: 'unit',
  type: 'string',
  schemaType: 'string',
  validate: (unit: string, text: string, schema?: AnySchemaObject) => {
    const amount = unit === 'ms' ? parseDuration(text) : parseSize(text)
    return amount !== undefined && (amount > 0 || schema?.['zero'] === true)
  },
})
const check = ajv.compile(WRITTEN_SCHEMA)

interface SchemaFacts {
  readonly type?: string
  readonly unit?: string
  readonly zero?: true
  readonly writeOnly?: true
  readonly enum?: readonly string[]
  readonly pattern?: string
  readonly properties?: Readonly<Record<string, unknown>>
  readonly anyOf?: ReadonlyArray<SchemaFacts & { readonly const?: unknown }>
}

/**
 * All violations of the schema by a configuration as written (durations still text).
 * @param hidden tells whether the value at a path must not be shown
 */
export const validate = (value: unknown, hidden: (path: Path) => boolean): Violation[] => {
  if (check(value)) return []
  const errors = check.errors ?? []
  const unions = errors.filter(error => error.keyword === 'anyOf')
  return errors.filter(error => isToldOnce(error, unions)).map(error => {
    const path = pathOf(error, value)
    return { path, message: describe(error, hidden(path)), missing: error.keyword === 'required' }
  })
}

/** Of a union's many complaints keep those about the branch that was meant: the object, when an object was given; else the union's own. */
const isToldOnce = (error: ErrorObject, unions: readonly ErrorObject[]): boolean => {
  const union = unions.find(one => error === one || error.schemaPath.startsWith(`${one.schemaPath}/`))
  if (union === undefined) return true
  const branches = (union.parentSchema as SchemaFacts).anyOf ?? []
  const meant = branches.findIndex(branch => branch.type === 'object' && typeof union.data === 'object' && union.data !== null && !Array.isArray(union.data))
  return meant === -1 ? error === union : error.schemaPath.startsWith(`${union.schemaPath}/${meant}/`)
}

/** The JSON pointer of an error as a path; for an unknown or missing key, that key's. */
const pathOf = (error: ErrorObject, root: unknown): Path => {
  const path: (string | number)[] = []
  let inside = root
  for (const part of error.instancePath.split('/').slice(1)) {
    const name = part.replaceAll('~1', '/').replaceAll('~0', '~')
    const step = Array.isArray(inside) ? Number(name) : name
    path.push(step)
    inside = (inside as Record<string | number, unknown> | undefined)?.[step]
  }
  if (error.keyword === 'additionalProperties') path.push((error.params as { additionalProperty: string }).additionalProperty)
  return path
}

const describe = (error: ErrorObject, hidden: boolean): string => {
  const facts = error.parentSchema as SchemaFacts
  const params = error.params as Record<string, unknown>
  const got = facts.writeOnly === true || hidden ? '' : `; got ${show(error.data)}`
  switch (error.keyword) {
    case 'additionalProperties': return unknownKey(String(params['additionalProperty']), facts)
    case 'required': return `\`${String(params['missingProperty'])}\` is missing`
    case 'type': return `expected ${expectation(facts)}${got}${typeHint(facts, error.data, got !== '')}`
    case 'unit': return facts.zero !== true && /^[0.]+[a-zA-Z]*$/.test(String(error.data))
      ? `must be more than zero${got}`
      : `expected ${expectation(facts)}${got}`
    case 'enum': return `expected ${expectation(facts)}${got}${suggestion(got === '' ? undefined : nearest(String(error.data), facts.enum ?? []))}`
    case 'anyOf': return `expected ${(facts.anyOf ?? []).map(branch => branch.const !== undefined ? `\`${String(branch.const)}\`` : `a mapping with ${Object.keys(branch.properties ?? {}).map(name => `\`${name}\``).join(', ')}`).join(', or ')}${got}`
    case 'minimum': return `must be at least ${String(params['limit'])}${got}`
    case 'maximum': return `must be at most ${String(params['limit'])}${got}`
    case 'exclusiveMinimum': return `must be more than ${String(params['limit'])}${got}`
    case 'minItems': return 'must not be empty'
    case 'minLength': return 'must not be empty'
    case 'pattern': return `${patternHint(facts)}${got}`
    default: return `${error.message ?? 'is not valid'}${got}`
  }
}

const suggestion = (near: string | undefined): string => near === undefined ? '' : `; did you mean \`${near}\`?`

const unknownKey = (name: string, facts: SchemaFacts): string => {
  if (facts.properties === undefined) return 'is not a possible name: use letters, digits and . _ : -, beginning with a letter or digit, 63 characters at most'
  const known = Object.keys(facts.properties)
  const near = nearest(name, known)
  return `unknown key${near === undefined ? `; known here: ${known.join(', ')}` : suggestion(near)}`
}

const expectation = (facts: SchemaFacts): string => {
  if (facts.unit === 'ms') return 'a duration such as 500ms, 2s or 10m'
  if (facts.unit === 'bytes') return 'a size such as 64KiB, 32MiB or a number of bytes'
  if (facts.enum !== undefined) return `one of ${facts.enum.join(', ')}`
  return { object: 'a mapping', array: 'a list', string: 'text', integer: 'a whole number', number: 'a number', boolean: 'true or false' }[facts.type ?? ''] ?? 'something else'
}

const typeHint = (facts: SchemaFacts, data: unknown, shown: boolean): string => {
  if (!shown || (typeof data !== 'number' && typeof data !== 'boolean')) return ''
  if (facts.unit === 'ms') return `; for milliseconds write ${String(data)}ms`
  return facts.type === 'string' && facts.enum === undefined ? `; put quotes around it: "${String(data)}"` : ''
}

const patternHint = (facts: SchemaFacts): string => facts.pattern?.includes('{64}') === true
  ? 'expected the 64 lower-case hexadecimal digits of a SHA-256'
  : 'expected a name: letters, digits and . _ : -, beginning with a letter or digit, 63 characters at most'

const show = (data: unknown): string => {
  if (data === null || data === undefined) return 'nothing'
  if (Array.isArray(data)) return 'a list'
  if (typeof data === 'object') return 'a mapping'
  if (typeof data === 'string') return data.length > 60 ? `${JSON.stringify(data.slice(0, 57))}…` : JSON.stringify(data)
  return String(data as number | boolean)
}
