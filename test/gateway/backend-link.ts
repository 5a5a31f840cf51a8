// The bound on what runs on one backend at once, beside the scheduler's judgement.
import t from 'tap'
import type { FleetBackend } from '../../src/fleet/index.js'
import { BackendLink } from '../../src/runtime/backends.js'
import { Lease } from '../../src/runtime/lease.js'

const backend = { id: 'b', origin: 'http://127.0.0.1:1', basePath: '', tls: undefined } as FleetBackend

function setUp(most: number | undefined) {
  const link = new BackendLink(backend, 1000, most, { now: () => 0 })
  const started: number[] = []
  const leases: Lease[] = []
  const ask = (count: number) => {
    for (let i = 0; i < count; i++) {
      const n = leases.push(new Lease('b'))
      link.run(leases[n - 1]!, () => { started.push(n) })
    }
  }
  return { link, started, leases, ask }
}

t.test('what there is room for starts at once, the rest in its order when places are free', async t => {
  const { link, started, leases, ask } = setUp(2)
  ask(4)
  t.same(started, [1, 2])
  leases[1]!.release()
  t.same(started, [1, 2], 'not from inside the release')
  await null
  t.same(started, [1, 2, 3])
  t.equal(link.running, 2)
  t.equal(leases[1]!.release(), false)
  await null
  t.same(started, [1, 2, 3], 'a second release frees nothing')
})

t.test('without a bound all start at once', async t => {
  const { started, ask } = setUp(undefined)
  ask(100)
  t.equal(started.length, 100)
})

t.test('a lease that is released while it waits takes no place', async t => {
  const { link, started, leases, ask } = setUp(1)
  ask(3)
  leases[1]!.release()
  leases[0]!.release()
  await null
  t.same(started, [1, 3])
  t.equal(link.running, 1)
})

t.test('a bound that a reload changes holds at once', async t => {
  const { link, started, leases, ask } = setUp(1)
  ask(5)
  link.configure(1000, 3)
  t.same(started, [1, 2, 3])
  link.configure(1000, 2)
  leases[0]!.release()
  await null
  t.same(started, [1, 2, 3])
  leases[1]!.release()
  await null
  t.same(started, [1, 2, 3, 4])
})

t.test('who retires waits for what runs, and for nothing where nothing does', async t => {
  const idle = setUp(1)
  await idle.link.retire()
  const { link, leases, ask } = setUp(1)
  ask(3)
  let retired = false
  const retiring = link.retire().then(() => { retired = true })
  for (const lease of [leases[0]!, leases[2]!]) {
    lease.release()
    await new Promise(setImmediate)
    t.equal(retired, false)
  }
  leases[1]!.release()
  await retiring
})
