// undici is pinned; two of its releases made calls on a connection that had been idle wait (7.28 a millisecond and more, 8.8 half a second).
import { once } from 'node:events'
import { Agent, createServer, get } from 'node:http'
import type { AddressInfo } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import t from 'tap'
import { Upstream } from '../../src/relay/upstream.js'

const median = (times: number[]) => times.sort((a, b) => a - b)[times.length >> 1]!

t.test('a call that is passed through does not wait for its connection, busy a moment ago or idle for longer', async (t) => {
  const server = createServer((request, response) => {
    request.resume()
    response.end('ok')
  }).listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  const upstream = new Upstream({ origin: `http://127.0.0.1:${port}`, basePath: '', tls: undefined }, 2000, { now: () => performance.now() })
  const agent = new Agent({ keepAlive: true })
  t.teardown(async () => {
    agent.destroy()
    await upstream.destroy()
    server.close()
  })
  const timed = async (call: () => Promise<unknown>) => {
    const beganMs = performance.now()
    await call()
    return performance.now() - beganMs
  }
  const passed = () => timed(async () => (await upstream.pool.request({ path: '/', method: 'GET' })).body.text())
  const plain = () => timed(() => new Promise((resolve) => { get({ host: '127.0.0.1', port, agent }, (response) => { response.resume().on('end', resolve) }) }))

  const passedMs: number[] = []
  const plainMs: number[] = []
  for (let i = 0; i < 250; i++) {
    const times = [await passed(), await plain()] as const
    if (i < 50) continue
    passedMs.push(times[0])
    plainMs.push(times[1])
  }
  const [ours, nodes] = [median(passedMs), median(plainMs)]
  t.ok(ours < nodes + 0.8, `one after the other: ${ours.toFixed(2)} ms, by Node's own client ${nodes.toFixed(2)} ms`)

  const afterIdleMs: number[] = []
  for (let i = 0; i < 9; i++) {
    await sleep(20)
    afterIdleMs.push(await passed())
  }
  t.ok(median(afterIdleMs) < 50, `after an idle moment: ${median(afterIdleMs).toFixed(2)} ms`)
})
