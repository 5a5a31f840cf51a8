// The whole program, in a process of its own: the demo as README starts it, signals, and a reload.
import { spawn } from 'node:child_process'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { WORKLOADS } from '../../src/simulator/index.js'

const start = async (t: Test, ...args: string[]) => {
  const child = spawn(process.execPath, ['dist/cli/main.js', ...args, '--port', '0', '--admin-port', '0'], { stdio: ['ignore', 'pipe', 'pipe'] })
  const text = { out: '', err: '' }
  const ended = new Promise<number | null>(resolve => child.once('exit', resolve))
  t.teardown(() => child.kill('SIGKILL'))
  child.stdout.on('data', chunk => { text.out += String(chunk) })
  child.stderr.on('data', chunk => { text.err += String(chunk) })
  const until = async (pattern: RegExp) => {
    while (!pattern.test(text.out + text.err)) {
      if (child.exitCode !== null) throw new Error(`ended with ${child.exitCode}: ${text.err}`)
      await Promise.race([new Promise(resolve => child.stdout.once('data', resolve)), new Promise(resolve => child.stderr.once('data', resolve)), ended])
    }
    return pattern.exec(text.out + text.err)!
  }
  const url = (await until(/data plane +(http:\S+)/))[1]!
  const admin = (await until(/admin plane +(http:[^\s]+)/))[1]!
  return { child, text, until, ended, url, admin }
}

const ask = async (url: string, body: object, headers: Record<string, string> = {}) => await fetch(`${url}/v1/chat/completions`, {
  method: 'POST', headers: { 'content-type': 'application/json', ...headers },
  body: JSON.stringify({ model: 'llama-3.1-8b-instruct', messages: [{ role: 'user', content: 'Hello' }], ...body }),
})

t.test('the demo answers, and SIGTERM lets a stream finish', async t => {
  const { child, text, until, ended, url, admin } = await start(t, '--demo')
  const answer = await ask(url, { max_tokens: 3 })
  t.equal(answer.status, 200)
  t.equal(answer.headers.get('x-sluice-class'), 'chat')
  t.match(await answer.json(), { choices: [{ message: { role: 'assistant' } }], usage: { completion_tokens: 3 } })
  t.match(text.err, /curl -N http:\S+\/v1\/chat\/completions/)

  t.match(await (await fetch(`${admin}/health/ready`)).json(), { status: 'ok' })
  t.match(await (await fetch(`${admin}/metrics`)).text(), /^sluice_offered_requests_total\{[^}]*\} 1$/m)
  for (const name of new Set(Object.values(WORKLOADS).flatMap(({ classes }) => classes.map(({ service }) => service.name)))) {
    t.equal((await ask(url, { max_tokens: 1 }, { 'x-slo-class': name })).headers.get('x-sluice-class'), name, 'the demo has the classes of the named workloads')
  }
  t.equal((await fetch(`${admin}/api/state`)).status, 200)

  const stream = await ask(url, { max_tokens: 60, stream: true })
  t.equal(stream.status, 200)
  child.kill('SIGTERM')
  await until(/draining/)
  t.match(await stream.text(), /data: \[DONE\]\n\n$/, 'to its end')
  t.equal(await ended, 0)
  t.notMatch(text.err, /unexpected error/)
})

t.test('a configuration is reloaded on SIGHUP, and a bad one is not', async t => {
  const folder = await mkdtemp(join(tmpdir(), 'sluice-serve-'))
  t.teardown(() => rm(folder, { recursive: true }))
  const file = join(folder, 'c.yaml')
  const write = (name: string) => writeFile(file, `classes: { one: {}, two: {} }\nroutes: [{ match: {}, class: ${name} }]\nlog: { level: info }\n`)
  await write('one')
  const { child, until, ended, url } = await start(t, '--demo', '--config', file)
  const classNow = async () => {
    const answer = await ask(url, { max_tokens: 1 })
    await answer.arrayBuffer()
    return answer.headers.get('x-sluice-class')
  }
  t.equal(await classNow(), 'one')
  await write('two')
  child.kill('SIGHUP')
  await until(/configuration loaded/)
  t.equal(await classNow(), 'two')
  await write('three')
  child.kill('SIGHUP')
  await until(/the configuration in force stays[^]*there is no class `three`/)
  t.equal(await classNow(), 'two')
  child.kill('SIGINT')
  t.equal(await ended, 0)
})
