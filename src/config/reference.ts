/** What is generated from the schema for people and for editors; `npm run gen` writes it, `npm run gen -- --check` fails when it is stale. */
import { DURATION_PATTERN, SIZE_PATTERN } from './units.js'
import { WRITTEN_SCHEMA, type WrittenSchema } from './written.js'

/** JSON Schema (draft 7) for editors. Wherever a value is not free text, a reference to the environment may stand in its place. */
export const editorSchema = (): string => `${JSON.stringify({
  $schema: 'http://json-schema.org/draft-07/schema#',
  title: 'Sluice configuration',
  ...forEditors(WRITTEN_SCHEMA),
  definitions: { reference: { type: 'string', pattern: '\\$\\{[A-Za-z_][A-Za-z0-9_]*(:-[^}]*)?\\}', description: 'A reference to the environment: ${NAME} or ${NAME:-default}.' } },
}, null, 2)}\n`

const forEditors = (schema: WrittenSchema): Record<string, unknown> => {
  const { unit, zero, writeOnly, ...rest } = schema
  const each = (members: Readonly<Record<string, WrittenSchema>>) => Object.fromEntries(Object.entries(members).map(([name, member]) => [name, forEditors(member)]))
  const plain: Record<string, unknown> = {
    ...rest,
    ...(unit === 'ms' && { pattern: DURATION_PATTERN }),
    ...(unit === 'bytes' && { type: ['string', 'integer'], pattern: SIZE_PATTERN }),
    ...(schema.properties !== undefined && { properties: each(schema.properties) }),
    ...(schema.patternProperties !== undefined && { patternProperties: each(schema.patternProperties) }),
    ...(schema.items !== undefined && { items: forEditors(schema.items) }),
    ...(schema.anyOf !== undefined && { anyOf: schema.anyOf.map(forEditors) }),
  }
  const scalar = ['string', 'integer', 'number', 'boolean'].includes(String(schema['type']))
  const free = schema['type'] === 'string' && plain['pattern'] === undefined && schema['enum'] === undefined && schema['const'] === undefined
  if (!scalar || free || schema['const'] !== undefined) return plain
  const { description, default: standard, ...constraint } = plain
  return { description, ...(standard !== undefined && { default: standard }), anyOf: [constraint, { $ref: '#/definitions/reference' }] }
}

interface Row {
  readonly key: string
  readonly type: string
  readonly standard: string
  readonly meaning: string
}

/** docs/configuration.md */
export const configurationReference = (): string => `<!-- Generated from src/config/schema.ts by \`npm run gen\`. Edit there. -->
# Configuration

One YAML 1.2 file, given with \`sluice --config FILE\`. Every field has a default, so a gateway in front of one server needs no file:
\`sluice --backend http://localhost:8000\`. [config/example.yaml](../config/example.yaml) shows every part with comments;
[config/sluice.schema.json](../config/sluice.schema.json) lets an editor complete and check as you type.

- **Check first.** \`sluice check FILE\` lists all problems at once, with line, path and what was expected, and explains what a valid file does.
- **Environment.** \`\${NAME}\` in a value is replaced by the variable, \`\${NAME:-default}\` by the default where it is unset or empty, \`$\${\` stands
  for a plain \`\${\`. A variable that is not set and has no default is an error. Inside \`{ }\` and \`[ ]\` YAML wants quotes around a reference.
- **Durations** are \`500ms\`, \`2s\`, \`10m\`, \`1h\`, \`1m30s\`. **Sizes** are \`64KiB\`, \`32MiB\`, \`1GB\` or a number of bytes.
- **Names** of pools, classes, routes, backends and keys are letters, digits and \`. _ : -\`, 63 at most. \`other\` is reserved.
- **Files** named in a configuration are relative to the folder that it lies in.
- **Secrets** never appear in messages, in the output of \`sluice check\`, or in the state that the admin plane shows. API keys are kept as their SHA-256.
- **Reload** on SIGHUP and when the file, or a file that it names, has changed: whole or not at all. A file that is not valid is reported and the
  configuration in force stays. Running streams are not touched. A new address or port of a listener takes effect at the next start.

${Object.entries(WRITTEN_SCHEMA.properties ?? {}).map(([name, schema]) => section(name, schema)).join('\n')}`

const section = (name: string, schema: WrittenSchema): string => {
  const rows = rowsOf(name, schema, schema.required ?? [])
  const [first, ...inner] = rows
  const listed = inner.length === 0 ? [first!] : inner
  return `## \`${name}\`

${String(schema['description'])}

| key | value | default | meaning |
|---|---|---|---|
${listed.map(({ key, type, standard, meaning }) => `| \`${key}\` | ${type} | ${standard} | ${meaning} |`).join('\n')}
`
}

/** A row for the value itself, then rows for what is inside it. `NAME` stands for any name, `[]` for any item. */
const rowsOf = (key: string, schema: WrittenSchema, required: readonly string[]): Row[] => {
  const name = key.split('.').at(-1)!
  const own: Row = { key, type: typeInWords(schema), standard: standardInWords(schema, required.includes(name)), meaning: String(schema['description'] ?? '') }
  const object = schema.anyOf?.find(branch => branch['type'] === 'object') ?? schema
  const inside = [
    ...Object.entries(object.properties ?? {}).flatMap(([member, inner]) => rowsOf(`${key}.${member}`, inner, object.required ?? [])),
    ...Object.values(object.patternProperties ?? {}).flatMap(inner => within(`${key}.NAME`, inner)),
    ...(object.items === undefined ? [] : within(`${key}[]`, object.items)),
  ]
  return [own, ...inside]
}

/** What is inside each item or each named member; a plain one needs no row of its own. */
const within = (key: string, schema: WrittenSchema): Row[] => rowsOf(key, schema, []).slice(1)

const typeInWords = (schema: WrittenSchema): string => {
  if (schema['unit'] === 'ms') return 'duration'
  if (schema['unit'] === 'bytes') return 'size'
  if (Array.isArray(schema['enum'])) return schema['enum'].map(value => `\`${String(value)}\``).join(', ')
  if (schema.anyOf !== undefined) return schema.anyOf.map(branch => branch['const'] === undefined ? 'a mapping' : `\`${String(branch['const'])}\``).join(', ')
  if (schema.items !== undefined) return `list${schema.items.properties === undefined ? ` of ${typeInWords(schema.items)}` : ''}`
  if (schema.patternProperties !== undefined) return 'by name'
  const least = schema['minimum'] ?? (schema['exclusiveMinimum'] === undefined ? undefined : `over ${String(schema['exclusiveMinimum'])}`)
  const bounds = schema['maximum'] !== undefined ? `, ${String(least)} to ${String(schema['maximum'])}` : least === undefined ? '' : typeof least === 'string' ? `, ${least}` : `, at least ${String(least)}`
  return `${{ string: 'text', integer: 'whole number', number: 'number', boolean: 'true or false', object: 'a mapping' }[String(schema['type'])] ?? ''}${bounds}`
}

const standardInWords = (schema: WrittenSchema, required: boolean): string => {
  const standard = schema['default']
  if (required) return 'required'
  if (standard === undefined || (typeof standard === 'object' && standard !== null && Object.keys(standard).length === 0)) return ''
  return Array.isArray(standard) ? standard.map(value => `\`${String(value)}\``).join(' ') : `\`${String(standard as string)}\``
}
