// The process and its limits: uncaught errors, full file descriptors, a saturated event loop, reloads under load, names that do not resolve.
import { spawn, spawnSync } from 'node:child_process'
import { existsSync, readdirSync } from 'node:fs'
import type { ServerResponse } from 'node:http'
import t, { type Test } from 'tap'
import { startGateway as startWhole } from '../../src/cli/serve/gateway.js'
import { configFrom } from '../../src/config/index.js'
import { startEmulator } from '../../src/emulator/index.js'
import { CHAT, send, STREAMED, type Answer } from '../helpers/client.js'
import { IDLE, startGateway } from '../helpers/gateway.js'
import { liveIo } from '../helpers/io.js'
import { chatEvents, goodChat, scriptedUpstream, STREAM_HEAD } from '../helpers/upstream.js'

const MODEL = 'llama-3.1-8b-instruct'
const clock = { now: () => performance.now() }
const emulators = async (t: Test, count: number, speed = 40) => {
  const servers = await Promise.all(Array.from({ length: count }, () => startEmulator({ engine: 'vllm', clock, model: MODEL, speed })))
  t.teardown(() => Promise.all(servers.map(server => server.stop())))
  return servers
}
const words = (count: number) => JSON.stringify({ model: MODEL, stream: true, ignore_eos: true, max_tokens: count, messages: [{ role: 'user', content: 'hi' }] })

/** `shell`: what comes before the program's own command line. */
const startProgram = async (t: Test, shell: string, ...args: string[]) => {
  const child = spawn('bash', ['-c', `${shell} exec "$0" "$@"`, process.execPath, ...args], { stdio: ['ignore', 'pipe', 'pipe'] })
  t.teardown(() => child.kill('SIGKILL'))
  let text = ''
  const ended = new Promise<number | null>(resolve => child.once('exit', resolve))
  await new Promise<void>((resolve, reject) => {
    const more = (chunk: unknown) => {
      text += String(chunk)
      if (/admin plane/.test(text)) resolve()
    }
    child.stdout.on('data', more)
    child.stderr.on('data', more)
    child.once('exit', code => { reject(new Error(`ended with ${code}: ${text}`)) })
  })
  return { child, ended, url: /data plane +(http:\S+)/.exec(text)![1]!, log: () => text }
}

t.test('24: an error that nobody caught drains the gateway and ends it with a code other than 0', async t => {
  const [server] = await emulators(t, 1, 4)
  const poison = 'data:text/javascript,process.on("SIGUSR2",()=>{Promise.reject(new Error("poison"))})'
  const { child, ended, url, log } = await startProgram(t, '', '--import', poison, 'dist/cli/main.js', '--backend', server!.url, '--engine', 'vllm', '--port', '0', '--admin-port', '0')
  const running = send(`${url}/v1/chat/completions`, words(150))
  await running.firstBytes
  child.kill('SIGUSR2')
  while (!/nobody caught/.test(log())) await new Promise(resolve => setTimeout(resolve, 5))
  const refused = await send(`${url}/v1/chat/completions`, words(1)).answer.catch(() => undefined)
  if (refused !== undefined) t.match([refused.status, refused.text], [503, /"code":"draining"/])
  t.match((await running.answer).text, /\[DONE\]/, 'what ran has finished')
  t.equal(await ended, 1)
})

t.test('full file descriptors are refusals, and pass', { skip: existsSync('/proc/self/fd') && spawnSync('prlimit', ['--version']).status === 0 ? false : 'needs Linux and prlimit' }, async t => {
  const upstream = await scriptedUpstream((seen, response) => {
    if (seen.method === 'POST') held.push(response)
    else void response.writeHead(200).end('{}')
  })
  const held: ServerResponse[] = []
  t.teardown(() => upstream.close())
  const { child, url } = await startProgram(t, '', 'dist/cli/main.js', '--backend', upstream.url, '--engine', 'vllm', '--port', '0', '--admin-port', '0', '--log-level', 'silent')
  spawnSync('prlimit', ['--pid', String(child.pid), `--nofile=${readdirSync(`/proc/${child.pid}/fd`).length + 60}`])
  const chat = `${url}/v1/chat/completions`
  const calls = Array.from({ length: 15 }, () => send(chat, CHAT()))
  while (held.length < 15) await new Promise(resolve => setTimeout(resolve, 10))
  for (let i = 0; i < 100; i++) calls.push(send(chat, CHAT()))
  const settled = calls.map(({ answer }) => answer.then(({ status, text }) => ({ status, text }), () => ({ status: 0, text: '' })))
  let open = -1
  while (open !== held.length) {
    open = held.length
    await new Promise(resolve => setTimeout(resolve, 300))
  }
  t.ok(open < 60, `${open} of 115 had a file for each side`)
  upstream.script = (_seen, response) => { response.writeHead(200, { 'content-type': 'application/json' }).end('{"choices":[]}') }
  for (const response of held.splice(0)) response.writeHead(200, { 'content-type': 'application/json' }).end('{"choices":[]}')
  const answers = await Promise.all(settled)
  for (const { status, text } of answers) t.ok(status === 0 || status === 200 || (status === 503 && /"code":"internal_error"/.test(text)), `${status} ${text}`)
  t.ok(answers.filter(({ status }) => status === 200).length >= open, 'who got through is served')
  let again
  do again = await send(chat, CHAT()).answer.catch(() => undefined)
  while (again === undefined)
  t.equal(again.status, 200, 'the backend was not blamed')
  t.equal(child.exitCode, null, 'and the same process serves on')
})

t.test('a saturated event loop sheds new work before streams stutter', async t => {
  const upstream = await scriptedUpstream(goodChat())
  t.teardown(() => upstream.close())
  const gateway = await startGateway(t, {
    pools: { main: { backends: [{ url: upstream.url, name: 'b1', models: ['m'] }] } },
    limits: { event_loop_lag: '60ms' },
    classes: { bulk: { sheddable: true } },
    routes: [{ match: { header: { 'x-bulk': '1' } }, class: 'bulk' }],
  })
  const chat = `${gateway.url}/v1/chat/completions`
  const saturated = async (turnMs: number, headers: Record<string, string>) => {
    let on = true
    const turn = () => {
      const until = performance.now() + turnMs
      while (performance.now() < until);
      if (on) setTimeout(turn, 1)
    }
    turn()
    await new Promise(resolve => setTimeout(resolve, 12 * turnMs))
    const answer = await send(chat, STREAMED, headers).answer
    on = false
    return answer
  }
  const all = await saturated(130, {})
  t.equal(all.status, 429)
  t.match(all.headers, { 'x-sluice-reason': 'queue_full', 'retry-after': '1', 'x-should-retry': 'true' })
  t.match(await gateway.nextRecord(), { outcome: 'rejected', code: 'queue_full' })
  const bulk = await saturated(130, { 'x-bulk': '1' })
  t.match(JSON.parse(bulk.text), { error: { code: 'shed_lower_class' } })
  await gateway.nextRecord()
  let again
  for (let i = 0; i < 100 && again?.status !== 200; i++) {
    await new Promise(resolve => setTimeout(resolve, 50))
    again = await send(chat, CHAT()).answer
    await gateway.nextRecord()
  }
  t.equal(again!.status, 200, 'until it runs freely again')
  t.same(gateway.runtime.gauges, IDLE)
})

t.test('R31, R32, 25: a reload under load drops nothing; a removed backend finishes its streams and gets no new ones', async t => {
  const servers = await emulators(t, 3, 8)
  const configOf = (count: number) => configFrom({
    listen: { port: 0 }, admin: { port: 0 }, log: { level: 'silent' }, limits: { event_loop_lag: '0s' },
    pools: { main: { backends: servers.slice(0, count).map(({ url }, i) => ({ url, name: `b${i}`, engine: 'vllm' })) } },
    classes: { default: { queue_limit: 100 + count } },
  })
  const gateway = await startWhole(configOf(3), liveIo(), '0', async () => {})
  t.teardown(() => gateway.stop())
  const chat = `${gateway.dataUrl}/v1/chat/completions`
  const calls: Answer[] = []
  let left = 60
  const one = async () => {
    while (left-- > 0) calls.push(await send(chat, words(120)).answer)
  }
  const load = Promise.all(Array.from({ length: 15 }, one))
  for (const count of [2, 3, 1]) {
    await new Promise(resolve => setTimeout(resolve, 60))
    gateway.configure(configOf(count))
  }
  await new Promise(resolve => setTimeout(resolve, 20))
  // What was sent before the last reload arrives first, also where this process stood still meanwhile.
  for (let turn = 0; turn < 20; turn++) await new Promise(setImmediate)
  const { received: before } = servers[2]!.control.state().requests
  await load
  t.equal(calls.length, 60)
  for (const { status, text, cutOff } of calls) t.ok(status === 200 && !cutOff && /\[DONE\]\n\n$/.test(text))
  const after = servers.map(({ control }) => control.state().requests)
  t.ok(after.every(({ aborted, active }) => aborted === 0 && active === 0), 'no stream of a removed backend was cut')
  t.equal(after[2]!.received, before, 'nothing new went where a backend was taken away')
})

t.test('a name that does not resolve, and one that comes to life', async t => {
  const [server] = await emulators(t, 1)
  const { port } = new URL(server!.url)
  const gateway = await startGateway(t, {
    pools: { main: { backends: [{ url: `http://nowhere.invalid:${port}`, name: 'dead' }, { url: `http://localhost:${port}`, name: 'alive' }] } },
    timeouts: { connect: '1s' },
  })
  for (let i = 0; i < 3; i++) {
    const { status, headers } = await send(`${gateway.url}/v1/chat/completions`, words(2)).answer
    t.equal(status, 200)
    t.equal(headers['x-sluice-backend'], 'alive')
    await gateway.nextRecord()
  }
  t.match(gateway.fleet.verdicts, ['dead fault', 'alive success'], 'each attempt looks the name up anew, and counts')
})

t.test('a backend that becomes far slower than usual is set back, seen everywhere, and comes back by slow start', async t => {
  const gapMs = [4, 4, 4]
  const calls = [0, 0, 0]
  const upstreams = await Promise.all(gapMs.map((_, i) => scriptedUpstream(async (seen, response) => {
    if (seen.method === 'GET') return void response.writeHead(200, { 'content-type': 'application/json' }).end('{"object":"list","data":[]}')
    calls[i]!++
    response.writeHead(200, STREAM_HEAD)
    for (const event of chatEvents(['a', 'b', 'c', 'd', 'e', 'f', 'g', 'h', 'i'])) {
      await new Promise(resolve => setTimeout(resolve, gapMs[i]!))
      response.write(event)
    }
    response.end()
  })))
  t.teardown(() => Promise.all(upstreams.map(upstream => upstream.close())))
  const gateway = await startWhole(configFrom({
    listen: { port: 0 }, admin: { port: 0 }, log: { level: 'silent' }, limits: { event_loop_lag: '0s' }, admission: { mode: 'off' }, scheduling: { policy: 'round-robin' },
    pools: { main: { backends: upstreams.map(({ url }, i) => ({ url, name: `b${i}`, models: ['m'] })) } },
  }), liveIo(), '0', async () => {})
  t.teardown(() => gateway.stop())
  const chat = `${gateway.dataUrl}/v1/chat/completions`
  interface State { id: string, state: string, why: string }
  const states = async () => (JSON.parse((await send(`${gateway.adminUrl}/api/state`, undefined, {}, 'GET').answer).text) as { backends: State[] }).backends
  /** Six at a time, until the first backend stands so. */
  const until = async (test: (first: State) => boolean) => {
    for (let i = 0; i < 200; i++) {
      const all = await states()
      if (test(all[0]!)) return all
      for (const answer of await Promise.all(Array.from({ length: 6 }, () => send(chat, STREAMED).answer))) if (answer.status !== 200) t.fail(answer.text)
    }
    return states()
  }
  await until(() => calls.every(count => count >= 60))
  t.same((await states()).map(({ state }) => state), ['up', 'up', 'up'])
  gapMs[0] = 120
  const set = await until(({ state }) => state === 'degraded')
  t.same(set.map(({ state }) => state), ['degraded', 'up', 'up'])
  t.match(set[0]!.why, /answers \d+\.\d times slower than usual/)
  t.match((await send(`${gateway.adminUrl}/metrics`, undefined, {}, 'GET').answer).text, /sluice_backend_degraded\{backend="b0",pool="main"\} 1\n/)
  const [before] = calls
  await Promise.all(Array.from({ length: 12 }, () => send(chat, STREAMED).answer))
  t.ok(calls[0]! - before! <= 3, `one at a time: ${calls[0]! - before!} of 12`)
  gapMs[0] = 4
  const back = await until(({ state, why }) => state === 'up' || /slow start/.test(why))
  t.match(back[0]!.why, /slow start|healthy/)
  for (let i = 0; i < 100 && (await states())[0]!.state !== 'up'; i++) await new Promise(resolve => setTimeout(resolve, 100))
  t.equal((await states())[0]!.state, 'up')
})

t.test('R31: a key or certificate of a backend that a reload renews takes nothing out of service', async t => {
  const [server] = await emulators(t, 1)
  const configOf = (api_key: string) => configFrom({
    listen: { port: 0 }, admin: { port: 0 }, log: { level: 'silent' }, limits: { event_loop_lag: '0s' },
    pools: { main: { backends: [{ url: server!.url, name: 'b0', engine: 'vllm', api_key }] } },
  })
  const gateway = await startWhole(configOf('one'), liveIo(), '0', async () => {})
  t.teardown(() => gateway.stop())
  const chat = `${gateway.dataUrl}/v1/chat/completions`
  const running = send(chat, words(200))
  await running.firstBytes
  for (const key of ['two', 'three']) {
    gateway.configure(configOf(key))
    t.equal((await send(chat, words(2)).answer).status, 200, 'the only backend, at once')
  }
  t.match((await running.answer).text, /\[DONE\]\n\n$/)
})

t.test('26: a standard output that takes nothing holds no request up, nor the end', async t => {
  const upstream = await scriptedUpstream((seen, response) => {
    if (seen.method === 'POST') void goodChat()(seen, response)
    else response.writeHead(200).end('{}')
  })
  t.teardown(() => upstream.close())
  const { child, ended, url } = await startProgram(t, '', 'dist/cli/main.js', '--backend', upstream.url, '--engine', 'vllm', '--port', '0', '--admin-port', '0')
  child.stdout.pause()
  const id = 'x'.repeat(100)
  // Several times what a pipe and its reader hold.
  for (let round = 0; round < 12; round++) {
    const answers = await Promise.all(Array.from({ length: 50 }, (_, i) => send(`${url}/v1/chat/completions`, CHAT(), { 'x-request-id': `${id}${round}-${i}` }).answer))
    if (answers.some(({ status }) => status !== 200)) t.fail(`round ${round}: ${answers.map(({ status }) => status).join()}`)
  }
  child.kill('SIGTERM')
  t.equal(await ended, 0)
})
