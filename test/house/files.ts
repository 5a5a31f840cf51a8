import { execFileSync } from 'node:child_process'
import { existsSync, readFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import t from 'tap'

const ROOT = fileURLToPath(new URL('../..', import.meta.url))
/** What git knows of, or would: a checkout without git has nothing to say here. */
const tracked = existsSync(join(ROOT, '.git'))
  ? execFileSync('git', ['ls-files', '--cached', '--others', '--exclude-standard'], { cwd: ROOT, encoding: 'utf8' }).split('\n').filter(name => name !== '' && existsSync(join(ROOT, name)))
  : []
const read = (file: string) => readFileSync(join(ROOT, file), 'utf8')

t.test('no file knows the machine that it was written on, or where packages come from', { skip: tracked.length === 0 && 'not a git checkout' }, async t => {
  // Put together here, so that this file does not find itself.
  const traces = [
    ['/', 'work', '/'], ['/', 'root', '/'], ['/', 'home', '/'], ['/', 'Users', '/'], ['registry', '.', 'npmjs'], ['registry', '.', 'yarnpkg'], ['"', 'resolved', '": "http'],
  ].map(parts => parts.join(''))
  t.same(tracked.filter(file => !/\.(png|gz|bin|woff2)$/.test(file)).flatMap(file => {
    const text = read(file)
    return traces.filter(trace => text.includes(trace)).map(trace => `${file}: ${trace}`)
  }), [])
})

t.test('dependencies are pinned exactly', async t => {
  const { dependencies, devDependencies } = JSON.parse(read('package.json')) as Record<string, Record<string, string>>
  t.same(Object.entries({ ...dependencies, ...devDependencies }).filter(([, version]) => !/^\d+\.\d+\.\d+$/.test(version)), [])
})

t.test('each dependency has its reason in docs/dependencies.md, and no other is there', async t => {
  const { dependencies, devDependencies } = JSON.parse(read('package.json')) as Record<string, Record<string, string>>
  const documented = [...read('docs/dependencies.md').matchAll(/^\| `([^`]+)` \|/gm)].map(([, name]) => name!)
  t.same(documented.sort(), Object.keys({ ...dependencies, ...devDependencies }).sort())
})

t.test('links between files lead somewhere', async t => {
  const pages = ['README.md', 'CHANGELOG.md', ...tracked.filter(file => /^docs\/.*\.md$/.test(file))]
  t.same(pages.flatMap(page => [...read(page).replace(/```[^]*?```/g, '').matchAll(/\]\(([^)#\s]+)(#[^)]*)?\)/g)]
    .map(([, target]) => target!).filter(target => !/^[a-z]+:/.test(target) && !existsSync(join(ROOT, dirname(page), target)))
    .map(target => `${page}: ${target}`)), [])
})

t.test('README leads to every page of docs/', { skip: tracked.length === 0 && 'not a git checkout' }, async t => {
  t.same(tracked.filter(file => /^docs\/[^/]*\.md$/.test(file) && !read('README.md').includes(`](${file})`)), [])
})

t.test('scripts that package.json names exist', async t => {
  const { scripts } = JSON.parse(read('package.json')) as { scripts: Record<string, string> }
  const named = Object.entries(scripts).flatMap(([name, line]) => [...line.matchAll(/\b(scripts\/[\w./-]+|config\/[\w./-]+)/g)].map(([file]) => [name, file] as const))
  t.same(named.filter(([, file]) => !existsSync(join(ROOT, file))), [])
})
