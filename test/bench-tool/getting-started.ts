// The worked path of the documents: its file is valid, its commands are understood.
import { readFileSync } from 'node:fs'
import t from 'tap'
import { readBenchOptions } from '../../src/cli/bench/options.js'
import { readOptions } from '../../src/cli/simulate/options.js'
import { loadConfig, warningsOf } from '../../src/config/index.js'

const page = readFileSync(new URL('../../docs/getting-started.md', import.meta.url), 'utf8')
const bench = readFileSync(new URL('../../docs/bench.md', import.meta.url), 'utf8')
const commands = (text: string, name: string) => [...text.matchAll(/^(?:\w+=\S+ )*sluice (\w+) (.*?)(?: +#.*)?$/gm)].filter(([, command]) => command === name).map(([, , args]) => args!.trim().split(/\s+/))

t.test('the file is valid, for both gateways', async t => {
  const plain = await loadConfig('config/two-servers.yaml', { environment: {} })
  t.same(warningsOf(plain), [])
  t.equal(plain.admission.mode, 'observe')
  const before = await loadConfig('config/two-servers.yaml', { environment: { POLICY: 'round-robin', ADMISSION: 'off' } })
  t.match(before, { scheduling: { policy: 'round-robin' }, admission: { mode: 'off' } })
})

t.test('the commands are understood', async t => {
  const ofBench = [...commands(page, 'bench'), ...commands(bench, 'bench')]
  t.ok(ofBench.length >= 9, `${ofBench.length} commands found`)
  for (const args of ofBench) await t.resolves(readBenchOptions(args, {}), args.join(' '))
  const ofSimulate = commands(page, 'simulate').filter(args => !args.some(arg => arg.startsWith('log:')))
  t.ok(ofSimulate.length > 0)
  for (const args of ofSimulate) await t.resolves(readOptions(args), args.join(' '))
})
