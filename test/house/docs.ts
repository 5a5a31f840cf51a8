import { readFileSync } from 'node:fs'
import { Ajv } from 'ajv'
import t from 'tap'
import { parse } from 'yaml'
import { COMMANDS } from '../../src/cli/commands/index.js'
import { loadConfig } from '../../src/config/index.js'
import { configurationReference, editorSchema } from '../../src/config/reference.js'

const read = (file: string) => readFileSync(new URL(`../../${file}`, import.meta.url), 'utf8')
const keysOf = (schema: { properties?: object }) => Object.keys(schema.properties ?? {})

t.test('docs/configuration.md and the editors\' schema are as generated', async t => {
  t.equal(read('docs/configuration.md'), configurationReference(), 'run `npm run gen`')
  t.equal(read('config/sluice.schema.json'), editorSchema(), 'run `npm run gen`')
})

t.test('the files in config/ load, and satisfy the editors\' schema', async t => {
  const check = new Ajv({ strict: false }).compile(JSON.parse(editorSchema()) as object)
  for (const file of ['config/example.yaml', 'config/dev.yaml']) {
    await t.resolves(loadConfig(file), file)
    t.ok(check(parse(read(file))), file, { errors: check.errors })
  }
  t.notOk(check({ listn: {} }), 'an unknown key is seen by an editor as well')
  t.notOk(check({ timeouts: { total: 5 } }), 'so is a number for a duration')
  t.ok(check({ listen: { port: '${PORT}' }, timeouts: { total: '${TOTAL:-5s}' } }), 'a reference may stand for a number')
})

t.test('the reference has every key of the schema, and no other', async t => {
  const schema = JSON.parse(editorSchema()) as { properties: Record<string, { properties?: object }> }
  const documented = new Set([...configurationReference().matchAll(/^\| `([\w.[\]]+)` \|/gm)].map(([, key]) => key!))
  for (const [name, inner] of Object.entries(schema.properties)) {
    for (const key of keysOf(inner)) t.ok(documented.has(`${name}.${key}`), `${name}.${key} is documented`)
  }
  t.same([...documented].filter(key => !(key.split(/[.[]/)[0]! in schema.properties)), [])
})

t.test('README names every command', async t => {
  const readme = read('README.md')
  t.same(Object.keys(COMMANDS).filter(name => name !== 'serve' && !readme.includes(`sluice ${name}`)), [])
  t.same([...readme.matchAll(/\| `sluice ([a-z]+)/g)].map(([, name]) => name!).filter(name => !(name in COMMANDS)), [])
})
