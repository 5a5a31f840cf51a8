import t from 'tap'
import { readBenchOptions } from '../../src/cli/bench/options.js'

const URL = 'http://127.0.0.1:1'
const read = async (...args: string[]) => await readBenchOptions([URL, ...args], { OPENAI_API_KEY: 'k' })

t.test('defaults, targets, sweeps', async t => {
  const plain = await read()
  t.match(plain, { rate: 1, sweep: [], find: false, seeds: [1], measureMs: 60_000, style: { api: 'chat', trueLengths: 'emulate', headers: { authorization: 'Bearer k' } } })
  t.same([...(await read('--goodput', 'ttft:500,tpot:50')).targets], [['*', { ttftMs: 500, tpotMs: 50 }]])
  t.same([...(await read('--workload', 'mix', '--goodput', 'chat=ttft:400', '--goodput', 'batch=e2el:9000')).targets], [['chat', { ttftMs: 400 }], ['batch', { deadlineMs: 9000 }]])
  const asVllm = await read('--goodput', 'ttft:500', 'tpot:50', 'e2el:9000', '--rate', '2')
  t.same([...asVllm.targets], [['*', { ttftMs: 500, tpotMs: 50, deadlineMs: 9000 }]])
  t.match(asVllm, { rate: 2, servers: { length: 1 } })
  const sweep = await read('--sweep', '--rate', '8')
  t.same(sweep.sweep.map(load => load.kind === 'open' ? load.ratePerSecond : `x${load.concurrency}`), [2, 4, 6, 8, 10, 12, 'x1', 'x4', 'x16', 'x32', 'x64'])
  t.same((await read('--concurrency', '4,1')).sweep, [{ kind: 'closed', concurrency: 1 }, { kind: 'closed', concurrency: 4 }])
  t.match((await read('--header', 'X-A: b c', '--class-header', 'X-Slo-Class')).style, { headers: { 'x-a': 'b c' }, classHeader: 'x-slo-class' })
})

t.test('wrong arguments say what is possible', async t => {
  const wrong: [RegExp, ...string[]][] = [
    [/took|takes targets in milliseconds/, '--goodput', 'ttft=500'],
    [/no class 'code'/, '--goodput', 'code=ttft:5'],
    [/add '--compare'/, 'http://other'],
    [/two or more/, '--compare'],
    [/one at a time/, '--sweep', '--find-goodput'],
    [/did you mean 'chat'/, '--workload', 'chats'],
    [/NAME: VALUE/, '--header', 'nothing'],
  ]
  for (const [message, ...args] of wrong) await t.rejects(read(...args), message, args.join(' '))
})
