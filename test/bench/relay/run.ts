/**
 * `npm run bench:relay [-- --json] [--quick] [--reps N] [--only A,B] [--proxies a,b] [--node PATH] [--docs PATH]`:
 * nginx, HAProxy and Sluice side by side, interleaved, each on the same core, medians over repetitions with spread.
 * With `--profile [--before DIR]`: where Sluice's CPU goes instead, see profile.ts.
 */
import { fork, spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { writeFileSync } from 'node:fs'
import { resolve } from 'node:path'
import { parseArgs } from 'node:util'
import type { ClientOrder, ClientReport } from './client.js'
import { LOAD_CORE, ensureInstalled, freePort, startProxy, type Proxy, type ProxyName } from './proxies.js'
import { SCENARIOS, WARM_UP, type Scenario } from './scenarios.js'
import { LOADS, profiled, profileMarkdown, type Breakdown, type Profiled } from './profile.js'
import { chart, contractJson, markdown, table, type Sample } from './report.js'

const { values: flags } = parseArgs({
  options: {
    json: { type: 'boolean', default: false },
    quick: { type: 'boolean', default: false },
    reps: { type: 'string' },
    only: { type: 'string' },
    proxies: { type: 'string', default: 'nginx,haproxy,sluice,sluice-plain' },
    node: { type: 'string', default: process.execPath },
    docs: { type: 'string' },
    profile: { type: 'boolean', default: false },
    before: { type: 'string' },
  },
})

const monotonicUs = (): number => Number(process.hrtime.bigint() / 1000n)
const pin = (child: ChildProcess) => spawn('taskset', ['-acp', String(LOAD_CORE), String(child.pid)], { stdio: 'ignore' })
const here = (name: string) => new URL(name, import.meta.url).pathname

/** Runs the load; the proxy's CPU is read at both ends of the measured window. */
async function drive (client: ChildProcess, proxy: Proxy, scenario: Scenario): Promise<Profiled & { peakBytes: number }> {
  let cpuNs = 0
  let peakBytes = 0
  let fromUs = 0
  let toUs = 0
  const report = await new Promise<ClientReport>((resolve, reject) => {
    const onMessage = (message: { phase: string, report?: ClientReport }) => {
      if (message.phase === 'measuring') {
        cpuNs = proxy.cpuNs()
        fromUs = monotonicUs()
      }
      if (message.phase === 'measured') {
        toUs = monotonicUs()
        cpuNs = proxy.cpuNs() - cpuNs
        peakBytes = proxy.residentBytes()
      }
      if (message.phase !== 'done' || message.report === undefined) return
      client.off('message', onMessage)
      resolve(message.report)
    }
    client.on('message', onMessage)
    client.once('exit', code => reject(new Error(`the load client ended with ${code}`)))
    const order: ClientOrder = { ...scenario.order, port: proxy.port }
    client.send(order)
  })
  client.removeAllListeners('exit')
  await new Promise(resolve => setTimeout(resolve, 400))
  return { report, cpuNs, peakBytes, fromUs, toUs }
}

async function measure (client: ChildProcess, proxy: Proxy, scenario: Scenario, rep: number): Promise<Sample> {
  const restingBytes = proxy.residentBytes()
  const { report, cpuNs, peakBytes } = await drive(client, proxy, scenario)
  return { scenario: scenario.name, proxy: proxy.name, rep, connections: scenario.order.connections, cpuNs, heldBytes: peakBytes - restingBytes, report }
}

async function warmUp (client: ChildProcess, proxy: Proxy): Promise<void> {
  for (const scenario of WARM_UP) {
    process.stderr.write(`\r\x1b[K${proxy.name}: ${scenario.title}`)
    await drive(client, proxy, scenario)
  }
}

/** In a process that has served nothing yet: one that has grown before has room for idle streams already. */
async function measureFresh (client: ChildProcess, name: ProxyName, upstreamPort: number, scenario: Scenario, rep: number): Promise<Sample> {
  const proxy = await startProxy(name, await freePort(), upstreamPort, flags.node)
  try {
    return await measure(client, proxy, scenario, rep)
  } finally {
    await proxy.stop()
  }
}

/** The code of this checkout, and of another one where it is given, load by load. */
async function profile (client: ChildProcess, upstreamPort: number): Promise<void> {
  const roots = new Map([...(flags.before === undefined ? [] : [['before', resolve(flags.before)] as const]), ['now', resolve('.')] as const])
  const columns = new Map([...roots.keys()].map(name => [name, [] as Breakdown[]]))
  for (const load of LOADS) {
    const scenario = SCENARIOS(flags.quick).find(({ name }) => name === load.scenario)!
    for (const [name, root] of roots) {
      const port = await freePort()
      columns.get(name)!.push(await profiled(load, nodeFlags => startProxy('sluice', port, upstreamPort, flags.node, { root, nodeFlags }), async proxy => {
        await warmUp(client, proxy)
        process.stderr.write(`\r\x1b[K${load.title}, ${name}`)
        return await drive(client, proxy, scenario)
      }))
    }
  }
  process.stderr.write('\r\x1b[K')
  const page = profileMarkdown(columns, `npm run bench:relay -- ${process.argv.slice(2).join(' ')}`)
  if (flags.docs === undefined) process.stdout.write(page)
  else writeFileSync(`${flags.docs}-profile.md`, page)
}

async function main (): Promise<void> {
  ensureInstalled()
  const names = flags.proxies.split(',') as ProxyName[]
  const scenarios = SCENARIOS(flags.quick).filter(scenario => flags.only === undefined || flags.only.split(',').includes(scenario.name))
  const reps = Number(flags.reps ?? (flags.quick ? 1 : 5))
  const upstreamPort = await freePort()
  const upstream = spawn('taskset', ['-c', String(LOAD_CORE), flags.node, here('upstream.js'), String(upstreamPort)], { stdio: ['ignore', 'pipe', 'inherit'] })
  await once(upstream.stdout, 'data')
  const client = fork(here('client.js'), { execPath: flags.node })
  pin(client)
  // The upstream without a proxy is the floor that added times are counted from.
  const proxies: Proxy[] = [{ name: 'direct', port: upstreamPort, cpuNs: () => 0, residentBytes: () => 0, stop: async () => {} }]
  try {
    if (flags.profile) return await profile(client, upstreamPort)
    for (const name of names) proxies.push(await startProxy(name, await freePort(), upstreamPort, flags.node))
    for (const proxy of proxies) if (proxy.name !== 'direct') await warmUp(client, proxy)
    const samples: Sample[] = []
    const total = reps * scenarios.length * proxies.length
    for (let rep = 0; rep < reps; rep++) {
      for (const scenario of scenarios) {
        // The order turns with every repetition, so that drift of the machine hits all alike.
        for (let i = 0; i < proxies.length; i++) {
          const proxy = proxies[(i + rep) % proxies.length]!
          process.stderr.write(`\r\x1b[K${samples.length + 1}/${total} ${scenario.name} ${proxy.name}`)
          samples.push(await (scenario.order.kind === 'idle' && proxy.name !== 'direct' ? measureFresh(client, proxy.name as ProxyName, upstreamPort, scenario, rep) : measure(client, proxy, scenario, rep)))
        }
      }
    }
    process.stderr.write('\r\x1b[K')
    if (flags.json) process.stdout.write(`${JSON.stringify(contractJson(samples))}\n`)
    else process.stdout.write(table(samples))
    if (flags.docs !== undefined) {
      writeFileSync(`${flags.docs}.md`, markdown(samples, { reps, command: `npm run bench:relay -- ${process.argv.slice(2).join(' ')}` }))
      writeFileSync(`${flags.docs}.svg`, chart(samples))
      writeFileSync(`${flags.docs}.json`, `${JSON.stringify(contractJson(samples), null, 2)}\n`)
    }
  } finally {
    for (const proxy of proxies) await proxy.stop()
    client.kill()
    upstream.kill()
  }
}

await main()
