import { ConfigSchema } from './schema.js'

export interface WrittenSchema {
  readonly [keyword: string]: unknown
  readonly required?: readonly string[]
  readonly properties?: Readonly<Record<string, WrittenSchema>>
  readonly patternProperties?: Readonly<Record<string, WrittenSchema>>
  readonly items?: WrittenSchema
  readonly anyOf?: readonly WrittenSchema[]
}

/** The schema as a file has to meet it: what has a default need not be written. */
const relax = (schema: WrittenSchema): WrittenSchema => {
  const each = (members: Readonly<Record<string, WrittenSchema>>) => Object.fromEntries(Object.entries(members).map(([name, member]) => [name, relax(member)]))
  const { required, ...rest } = schema
  const still = (required ?? []).filter(name => schema.properties?.[name]?.['default'] === undefined)
  return {
    ...rest,
    ...(still.length > 0 && { required: still }),
    ...(schema.properties !== undefined && { properties: each(schema.properties) }),
    ...(schema.patternProperties !== undefined && { patternProperties: each(schema.patternProperties) }),
    ...(schema.items !== undefined && { items: relax(schema.items) }),
    ...(schema.anyOf !== undefined && { anyOf: schema.anyOf.map(relax) }),
  }
}

export const WRITTEN_SCHEMA: WrittenSchema = relax(JSON.parse(JSON.stringify(ConfigSchema)) as WrittenSchema)
