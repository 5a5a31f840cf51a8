import { mkdtemp, mkdir, rename, rm, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { ConfigError, watchConfig, type Config, type ConfigWatch } from '../../src/config/index.js'

const port = (n: number) => `listen: { port: ${n} }\n`

/** A watch that looks only when it is told to, in a folder of its own. */
const watched = async (t: Test, prepare: (folder: string) => Promise<string>) => {
  const folder = await mkdtemp(join(tmpdir(), 'sluice-watch-'))
  const seen: (number | string)[] = []
  const watch = await watchConfig(await prepare(folder), {
    everyMs: 3_600_000,
    onChange: (config: Config) => seen.push(config.listen.port),
    onError: error => seen.push(error instanceof ConfigError ? 'bad' : String(error)),
  })
  t.teardown(async () => {
    watch.close()
    await rm(folder, { recursive: true })
  })
  return { folder, watch, seen }
}

const settle = async (watch: ConfigWatch) => {
  await watch.look()
  await watch.look()
  await watch.look()
}

t.test('a change is loaded once it has settled, a bad one leaves the old', async t => {
  const { folder, watch, seen } = await watched(t, async folder => {
    await writeFile(join(folder, 'c.yaml'), port(1))
    return join(folder, 'c.yaml')
  })
  const file = join(folder, 'c.yaml')
  t.equal(watch.config.listen.port, 1)
  await settle(watch)
  t.same(seen, [], 'nothing has changed')

  await writeFile(file, 'listen: { po')
  await watch.look()
  t.same(seen, [], 'half a file, seen once, is left alone')
  await writeFile(file, port(20))
  await settle(watch)
  t.same(seen, [20])

  await writeFile(file, 'listen: { prot: 3 }')
  await settle(watch)
  await settle(watch)
  t.same(seen, [20, 'bad'], 'told once')
  await rm(file)
  await settle(watch)
  t.same(seen, [20, 'bad', 'bad'], 'gone is bad too')

  await writeFile(`${file}.new`, port(300))
  await rename(`${file}.new`, file)
  await settle(watch)
  t.same(seen, [20, 'bad', 'bad', 300], 'an editor that renames')
})

t.test('a link to a folder is swapped, as for a ConfigMap', async t => {
  const { folder, watch, seen } = await watched(t, async folder => {
    for (const [name, n] of [['v1', 1], ['v2', 2]] as const) {
      await mkdir(join(folder, name))
      await writeFile(join(folder, name, 'c.yaml'), port(n))
    }
    await symlink('v1', join(folder, '..data'))
    await symlink('..data/c.yaml', join(folder, 'c.yaml'))
    return join(folder, 'c.yaml')
  })
  await symlink('v2', join(folder, '..tmp'))
  await rename(join(folder, '..tmp'), join(folder, '..data'))
  await settle(watch)
  t.same(seen, [2])
})

t.test('files that the configuration names are followed, and a reload can be asked for', async t => {
  const { folder, watch, seen } = await watched(t, async folder => {
    await writeFile(join(folder, 'secret'), 'one\n')
    await writeFile(join(folder, 'c.yaml'), 'listen: { port: 5 }\nauth: { keys: [{ name: a, file: secret }] }')
    return join(folder, 'c.yaml')
  })
  await writeFile(join(folder, 'secret'), 'another\n')
  await settle(watch)
  t.same(seen, [5])
  t.equal(await watch.reload(), true)
  t.same(seen, [5, 5])
  await rm(join(folder, 'secret'))
  t.equal(await watch.reload(), false)
  t.same(seen, [5, 5, 'bad'])
})

t.test('a file that is bad to begin with is refused', async t => {
  await t.rejects(watchConfig('/nowhere/c.yaml', { onChange: () => {}, onError: () => {} }), { message: /no such file/ })
})
