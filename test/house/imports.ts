import { readdirSync, readFileSync } from 'node:fs'
import { dirname, join, normalize, relative } from 'node:path'
import { fileURLToPath } from 'node:url'
import t from 'tap'
import ts from 'typescript'

const SRC = fileURLToPath(new URL('../../src', import.meta.url))

/** What each room may import, as docs/architecture.md says. */
const MAY_IMPORT: Readonly<Record<string, readonly string[]>> = {
  core: [],
  protocol: ['core'],
  config: ['core'],
  fleet: ['core', 'protocol', 'config'],
  relay: ['core', 'protocol'],
  telemetry: ['core', 'config'],
  runtime: ['core', 'protocol', 'config', 'fleet', 'relay', 'telemetry'],
  dashboard: ['core', 'config', 'telemetry'],
  gateway: ['core', 'protocol', 'config', 'fleet', 'relay', 'telemetry', 'runtime', 'dashboard'],
  simulator: ['core', 'config'],
  emulator: ['core', 'protocol', 'config', 'simulator'],
  bench: ['core', 'protocol', 'simulator'],
  cli: ['core', 'protocol', 'config', 'fleet', 'relay', 'telemetry', 'runtime', 'gateway', 'dashboard', 'simulator', 'emulator', 'bench'],
}

/** Packages that only some rooms may know; every other package is free for all but the pure rooms. */
const ONLY_IN: Readonly<Record<string, readonly string[]>> = {
  fastify: ['gateway', 'emulator', 'dashboard'],
  'fastify-plugin': ['gateway'],
  '@fastify/http-proxy': ['gateway'],
  undici: ['relay', 'fleet', 'bench', 'runtime', 'telemetry', 'cli'],
  'prom-client': ['telemetry'],
  pino: ['telemetry'],
  yaml: ['config', 'cli'],
  ajv: ['config'],
}
const PURE = ['core', 'simulator']

interface Import {
  readonly from: string
  /** A file of src, relative to it; or a package or `node:` module as written. */
  readonly to: string
  readonly internal: boolean
  readonly typeOnly: boolean
}

const files = readdirSync(SRC, { recursive: true, encoding: 'utf8' }).filter(name => name.endsWith('.ts')).sort()
const roomOf = (file: string) => file.split('/')[0]!

const importsOf = (file: string): Import[] => {
  const text = readFileSync(join(SRC, file), 'utf8')
  const found: Import[] = []
  const add = (specifier: string, typeOnly: boolean) => {
    const internal = specifier.startsWith('.')
    found.push({ from: file, to: internal ? normalize(join(dirname(file), specifier)).replace(/\.js$/, '.ts') : specifier, internal, typeOnly })
  }
  const visit = (node: ts.Node): void => {
    if ((ts.isImportDeclaration(node) || ts.isExportDeclaration(node)) && node.moduleSpecifier !== undefined && ts.isStringLiteral(node.moduleSpecifier)) {
      add(node.moduleSpecifier.text, ts.isImportDeclaration(node) ? node.importClause?.isTypeOnly === true : node.isTypeOnly)
    } else if (ts.isCallExpression(node) && node.expression.kind === ts.SyntaxKind.ImportKeyword && node.arguments[0] !== undefined && ts.isStringLiteral(node.arguments[0])) {
      add(node.arguments[0].text, false)
    }
    ts.forEachChild(node, visit)
  }
  visit(ts.createSourceFile(file, text, ts.ScriptTarget.Latest))
  return found
}
const imports = files.flatMap(importsOf)
const inWords = ({ from, to }: Import) => `${from} imports ${to}`

t.test('every room is in the table', async t => {
  t.same(files.filter(file => !(roomOf(file) in MAY_IMPORT)), [])
  t.ok(imports.length > 50, 'the imports were found')
})

t.test('imports only go down the table', async t => {
  t.same(imports.filter(({ from, to, internal }) => internal && roomOf(from) !== roomOf(to) && !MAY_IMPORT[roomOf(from)]?.includes(roomOf(to))).map(inWords), [])
})

t.test('the core is entered through its index', async t => {
  t.same(imports.filter(({ from, to, internal }) => internal && roomOf(to) === 'core' && roomOf(from) !== 'core' && to !== 'core/index.ts').map(inWords), [])
})

t.test('pure rooms import no package and nothing of Node', async t => {
  t.same(imports.filter(({ from, internal }) => PURE.includes(roomOf(from)) && !internal).map(inWords), [])
})

t.test('packages stay in their rooms', async t => {
  t.same(imports.filter(({ from, to }) => {
    const rooms = ONLY_IN[to.split('/').slice(0, to.startsWith('@') ? 2 : 1).join('/')]
    return rooms !== undefined && !rooms.includes(roomOf(from))
  }).map(inWords), [])
})

t.test('no cycles', async t => {
  const graph = new Map(files.map(file => [file, imports.filter(({ from, internal, typeOnly }) => from === file && internal && !typeOnly).map(({ to }) => to)]))
  const done = new Set<string>()
  const cycles: string[] = []
  const walk = (file: string, trail: string[]): void => {
    if (trail.includes(file)) cycles.push([...trail.slice(trail.indexOf(file)), file].join(' → '))
    else if (!done.has(file)) {
      for (const next of graph.get(file) ?? []) walk(next, [...trail, file])
      done.add(file)
    }
  }
  for (const file of files) walk(file, [])
  t.same(cycles, [])
})

t.test('the table of docs/architecture.md is this one', async t => {
  const page = readFileSync(join(SRC, '../docs/architecture.md'), 'utf8')
  const rows = [...page.matchAll(/^\| `src\/(\w+)` \|[^|]*\| ([^|]*) \|/gm)].map(([, room, may]) => [room!, may!.trim() === 'everything' ? MAY_IMPORT['cli']! : may!.trim() === 'nothing' ? [] : may!.split(',').map(name => name.trim())] as const)
  t.same(Object.fromEntries(rows), MAY_IMPORT)
})

t.test('clock, randomness and environment are read in one place', async t => {
  const READS = /\b(Date\.now|performance\.now|performance\.timeOrigin|process\.hrtime|process\.env|Math\.random)\b|\bnew Date\(\)/
  t.same(files.filter(file => file !== 'cli/process.ts').flatMap(file => readFileSync(join(SRC, file), 'utf8').split('\n')
    .flatMap((line, index) => READS.test(line.replace(/^\s*(\*|\/\/|\/\*).*/, '')) ? [`${relative('.', join(SRC, file))}:${index + 1}: ${line.trim()}`] : [])), [])
})
