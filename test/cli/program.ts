import t from 'tap'
import { program } from '../../src/cli/program.js'
import { fakeIo } from '../helpers/io.js'

const run = async (args: string[], env: Record<string, string> = {}) => {
  const { io, written } = fakeIo(env)
  const code = await program(args, io)
  return { code, ...written }
}

t.test('help and version', async t => {
  for (const args of [['--help'], ['-h'], ['help']]) t.match(await run(args), { code: 0, out: /^Sluice:[^]*check +validate[^]*--demo/, err: '' })
  t.match(await run(['--version']), { code: 0, out: /^sluice \d+\.\d+\.\d+\n$/ })
  for (const args of [['check', '--help'], ['help', 'check'], ['check', 'x', '-h']]) t.match(await run(args), { code: 0, out: /^Usage: sluice check FILE/ })
})

t.test('wrong arguments are answered with what was meant', async t => {
  t.match(await run(['chekc']), { code: 2, out: '', err: /unknown command 'chekc'; did you mean 'check'\?/ })
  t.match(await run(['xyzzy']), { code: 2, err: /unknown command 'xyzzy'; commands are .*check/ })
  t.match(await run(['help', 'chek']), { code: 2, err: /did you mean 'check'/ })
  t.match(await run(['check', 'f', '--jsn']), { code: 2, err: /unknown flag '--jsn'; did you mean '--json'\?/ })
  t.match(await run(['check', 'f', '--json=1']), { code: 2, err: /'--json' does not take an argument/ })
  t.match(await run(['check']), { code: 2, err: /missing FILE/ })
  t.match(await run(['check', 'a', 'b']), { code: 2, err: /expected one FILE, got 2: a b/ })
  t.match(await run(['constructor']), { code: 2, err: /unknown command/ })
})

t.test('serve says what it needs before it opens anything', async t => {
  t.match(await run([]), { code: 2, err: /nothing to stand in front of; give --config FILE, --backend URL/ })
  t.match(await run(['--backend', 'localhost:8000']), { code: 2, err: /'--backend' takes an address such as http/ })
  t.match(await run(['--backend', 'http://a', '--config', 'f']), { code: 2, err: /--backend goes without --config/ })
  t.match(await run(['--demo', '--port', '99999']), { code: 2, err: /'--port' takes a whole number from 0 to 65535/ })
  t.match(await run(['-b', 'http://a', '--engine', 'vlm']), { code: 2, err: /did you mean 'vllm'/ })
  t.match(await run(['-b', 'http://a', '--host', '0.0.0.0']), { code: 1, err: /listen\.host: 0\.0\.0\.0 can be reached/ })
  t.match(await run(['--config', 'test/fixtures/nowhere.yaml']), { code: 1, err: /no such file/ })
  t.match(await run(['--config', 'config/dev.yaml']), { code: 1, err: /dev\.yaml has no pools/ })
})

t.test('check explains a valid file', async t => {
  const { code, out, err } = await run(['check', 'config/example.yaml'])
  t.equal(err, '')
  t.equal(code, 0)
  t.match(out, /is valid\.[^]*Pools[^]*interactive +latency, balanced[^]*Classes[^]*chat +ttft 500ms, tpot 50ms for 95 %[^]*Routes[^]*header x-workload: ide +→ code[^]*whatever is left +→ default/)
  const json = JSON.parse((await run(['check', 'config/example.yaml', '--json'], { IDE_KEY: 's3cr3t', SLUICE_ADMIN_TOKEN: 's3cr3t' })).out)
  t.match(json, { valid: true, warnings: [], config: { admin: { token: '(set)' }, classes: { chat: { ttft: 500 } } } })
  t.notMatch(JSON.stringify(json), /s3cr3t|sha256/)
})

t.test('check tells what is doubtful and what is wrong', async t => {
  t.match(await run(['check', 'config/dev.yaml']), { code: 0, out: /warning: pools: no backends/ })
  t.match(await run(['check', 'test/fixtures/doubtful.yaml']), {
    code: 0,
    out: new RegExp(['auth: anybody', 'classes.lost: no route', 'classes.lost: has no targets', 'classes.slow.deadline: is longer', 'routes\\[1\\]: is never reached'].map(text => `(?=[^]*warning: ${text})`).join('')),
  })
  t.match(await run(['check', 'test/fixtures/nowhere.yaml']), { code: 1, out: '', err: /nowhere.yaml: no such file/ })
  const { code, out } = await run(['check', 'test/fixtures/bad.yaml', '--json'])
  t.equal(code, 1)
  t.match(JSON.parse(out), { valid: false, problems: [{ path: 'listn', line: 1, column: 1, message: /did you mean `listen`/ }] })
})
