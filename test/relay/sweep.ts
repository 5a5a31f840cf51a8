import { once } from 'node:events'
import { connect, createServer, type AddressInfo, type Socket } from 'node:net'
import t from 'tap'
import { Sweep } from '../../src/relay/index.js'
import { UNSWEPT } from '../../src/relay/sweep.js'

t.test('after a standstill, what has arrived is read before anybody is called late', async t => {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const client = connect((server.address() as AddressInfo).port, '127.0.0.1')
  const [peer] = await once(server, 'connection') as [Socket]
  t.teardown(() => {
    client.destroy()
    peer.destroy()
    server.close()
  })
  let arrived = false
  client.on('data', () => { arrived = true })
  const sweep = new Sweep({ now: () => performance.now() }, 20)
  const seen = await new Promise<boolean>(resolve => {
    const item = {
      sweepAt: UNSWEPT,
      sweep() {
        sweep.remove(item)
        resolve(arrived)
      },
    }
    sweep.add(item)
    setImmediate(() => {
      peer.write('x')
      const until = performance.now() + 60
      while (performance.now() < until);
    })
  })
  t.ok(seen)
})

t.test('a standstill is held against nobody, for a bounded time', async t => {
  let nowMs = 0
  const sweep = new Sweep({ now: () => nowMs }, 5)
  const until = (rounds: number) => new Promise<number>(resolve => {
    let ticks = 0
    const ticker = setInterval(() => { nowMs += 5; ticks++ }, 5)
    let looks = 0
    const item = {
      sweepAt: UNSWEPT,
      sweep() {
        if (++looks < rounds) return
        clearInterval(ticker)
        sweep.remove(item)
        resolve(ticks)
      },
    }
    sweep.add(item)
    if (rounds > 1) nowMs += 100_000
  })
  t.ok(await until(1) < 10, 'at once')
  t.ok(await until(2) >= 40, 'as many rounds later as it may be excused')
})

t.test('who leaves in the middle of a round keeps nobody else from being looked at', async t => {
  const sweep = new Sweep({ now: () => performance.now() }, 5)
  const looks = new Map<number, number>()
  const items = Array.from({ length: 5 }, (_, index) => ({
    sweepAt: UNSWEPT,
    sweep() {
      looks.set(index, (looks.get(index) ?? 0) + 1)
      // The one in the middle takes its neighbours along.
      if (index === 2) for (const other of [1, 2, 3]) sweep.remove(items[other]!)
    },
  }))
  for (const item of items) sweep.add(item)
  while ((looks.get(0) ?? 0) < 2) await new Promise(resolve => setTimeout(resolve, 1))
  t.ok(looks.get(4)! >= 2)
  t.equal(looks.get(2), 1, 'once, and then no more')
  t.ok((looks.get(1) ?? 0) <= 1 && (looks.get(3) ?? 0) <= 1)
  t.equal(sweep.size, 2)
  sweep.remove(items[1]!)
  t.equal(sweep.size, 2, 'leaving twice is leaving once')
  for (const item of items) sweep.remove(item)
  t.equal(sweep.size, 0)
})

t.test('many are looked at in parts, between which the loop turns, each of them once a round', async t => {
  const sweep = new Sweep({ now: () => performance.now() }, 5)
  const looks = new Map<number, number>()
  const counts: number[] = []
  const items = Array.from({ length: 100 }, (_, index) => ({
    sweepAt: UNSWEPT,
    sweep() {
      if (looks.size === 0) setImmediate(() => { counts.push(looks.size) })
      looks.set(index, (looks.get(index) ?? 0) + 1)
      // The round takes several intervals: none of them may begin it anew.
      const until = performance.now() + 0.5
      while (performance.now() < until);
      // As the last of the round: the next one must not begin.
      if (looks.size === items.length) for (const item of items) sweep.remove(item)
    },
  }))
  for (const item of items) sweep.add(item)
  while (sweep.size > 0) await new Promise(resolve => setTimeout(resolve, 1))
  t.ok(counts[0]! < 100 && counts[0]! > 0, `${counts[0]} before anybody else had a turn`)
  t.ok([...looks.values()].every(count => count === 1))
})
