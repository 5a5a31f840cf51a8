// npm run test:streams [-- --count N]: streams that are open at once, none refused and none cut, and what each costs the gateway's process.
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { connect, type Socket } from 'node:net'
import { parseArgs } from 'node:util'
import { freePort } from './backend.js'
import { Gateway } from './gateway.js'

const { values } = parseArgs({ options: { count: { type: 'string', default: '4000' } } })
const count = Number(values.count)
/** Each stream sends an event at once and then one every 20 s. */
const BODY = '{"model":"bench","stream":true,"bench":{"rate":0.05,"events":0},"messages":[{"role":"user","content":"Tell me about the sea."}]}'
const REQUEST = `POST /v1/chat/completions HTTP/1.1\r\nhost: gateway\r\ncontent-type: application/json\r\ncontent-length: ${BODY.length}\r\n\r\n${BODY}`
const HELD_MS = 5000
const after = (ms: number) => new Promise(resolve => setTimeout(resolve, ms))

const port = await freePort()
const upstream = spawn(process.execPath, [new URL('../bench/relay/upstream.js', import.meta.url).pathname, String(port)], { stdio: ['ignore', 'pipe', 'inherit'] })
process.once('exit', () => upstream.kill())
await once(upstream.stdout, 'data')
// The default limits, but for the one that reads how busy the machine is.
const gateway = await Gateway.start({ pools: { main: { backends: [{ url: `http://127.0.0.1:${port}`, name: 'b', engine: 'vllm' }] } }, limits: { event_loop_lag: '0s' } })
const gatewayPort = Number(new URL(gateway.dataUrl).port)

let begun = 0
let broken = 0
const reasons = new Set<string>()
const open = (): Socket => {
  let first = true
  const socket = connect(gatewayPort, '127.0.0.1', () => { socket.write(REQUEST) })
  socket.on('data', (bytes: Buffer) => {
    if (!first) return
    first = false
    if (bytes.includes('HTTP/1.1 200')) begun++
    else {
      broken++
      reasons.add(String(bytes).slice(0, 600))
    }
  })
  socket.on('error', error => {
    broken++
    reasons.add(error.message)
  })
  socket.on('end', () => { broken++ })
  return socket
}

/** Opens so many, holds them, looks, and leaves. */
const wave = async (streams: number) => {
  begun = broken = 0
  const before = await gateway.memory()
  const sockets: Socket[] = []
  for (let i = 0; i < streams; i++) {
    sockets.push(open())
    if (i % 50 === 49) await after(20)
  }
  for (let tries = 0; tries < 600 && begun + broken < streams; tries++) await after(100)
  await after(HELD_MS)
  const inflight = await gateway.sum('sluice_backend_inflight_requests')
  const during = await gateway.memory()
  for (const socket of sockets) socket.destroy()
  const held = await gateway.held()
  return { begun, broken, inflight, held, before, during, after: await gateway.memory() }
}

const kib = (bytes: number) => `${(bytes / 1024).toFixed(1)} KiB`
const mib = (bytes: number) => `${(bytes / 2 ** 20).toFixed(0)} MiB`
// Code that runs for the first time, and tables that grow once, are no cost of a stream.
await wave(100)
const first = await wave(count)
const second = await wave(count)
await gateway.stop()
const checks: readonly (readonly [string, boolean, string])[] = [first, second].flatMap(({ begun, broken, inflight, held }) => [
  [`${count} streams are open at once`, begun === count && inflight === count, `${begun} begun, ${inflight} in flight`],
  ['none is refused or cut', broken === 0, `${broken}`],
  ['nothing is held afterwards', held === 0, `${held}`],
] as const)
console.log(`${count} idle streams at once, twice`)
for (const { before, during, after } of [first, second]) {
  console.log(`  resident: ${mib(before.rss)} before, ${mib(during.rssBefore)} with all open (${mib(during.rss)} after a collection), ${mib(after.rss)} when all had left`)
  console.log(`  per stream: ${kib((during.rssBefore - before.rss) / count)} resident, ${kib((during.rss - before.rss) / count)} after a collection, of which ${kib((during.heapUsed + during.external - before.heapUsed - before.external) / count)} heap and buffers; ${((during.sockets - before.sockets) / count).toFixed(2)} sockets`)
}
for (const [what, holds, figure] of checks) console.log(`  ${holds ? 'holds ' : 'BROKEN'}  ${what}: ${figure}`)
for (const reason of [...reasons].slice(0, 3)) console.log(`          ${reason}`)
process.exit(checks.every(([, holds]) => holds) ? 0 : 1)
