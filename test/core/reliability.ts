// Lines of docs/reliability.md that are the scheduler's, by their numbers: what must never happen, at a size where it would.
import t from 'tap'
import { createRandom, POLICIES } from '../../src/core/index.js'
import { heapMiB } from '../helpers/heap.js'
import { Drive } from './support/drive.js'
import { backend, options, serviceClass } from './support/fleet.js'

const SHARING = ['slo', 'round-robin', 'least-requests', 'least-prefill-tokens', 'power-of-two'] as const
const dispatched = (drive: Drive, from = 0) => drive.decisions.slice(from).filter(({ type }) => type === 'dispatch')

/** Sends each request's events when they are due; requests come every `everyMs`. */
function replay(drive: Drive, count: number, everyMs: number, prefillMs: number, decodeMs: number, each: (id: string) => void = () => {}) {
  const due: { atMs: number, send: () => void }[] = []
  const advance = (toMs: number) => {
    for (;;) {
      due.sort((a, b) => a.atMs - b.atMs)
      const next = due[0]
      if (next === undefined || next.atMs > toMs) break
      due.shift()
      drive.at(next.atMs)
      next.send()
      begin()
    }
    drive.at(toMs)
  }
  let seen = drive.decisions.length
  const begin = () => {
    for (; seen < drive.decisions.length; seen++) {
      const decision = drive.decisions[seen]!
      if (decision.type !== 'dispatch') continue
      const { id } = decision
      due.push({ atMs: drive.nowMs + prefillMs, send: () => drive.send({ type: 'first_token', id }) })
      due.push({ atMs: drive.nowMs + prefillMs + decodeMs, send: () => drive.send({ type: 'end', id, verdict: 'success', usage: { outputTokens: 1 } }) })
    }
  }
  const startMs = drive.nowMs
  for (let i = 0; i < count; i++) {
    advance(startMs + i * everyMs)
    drive.arrive(`n${startMs}-${i}`, { promptTokens: 2000 })
    each(`n${startMs}-${i}`)
    begin()
  }
  advance(Infinity)
}

t.test('R4: slow prefills of one token each are shared evenly by backends that are alike', async (t) => {
  for (const policy of SHARING) {
    const drive = new Drive(options(policy, { backends: [backend('a'), backend('b')] }))
    replay(drive, 1000, 60, 100, 1)
    const sent = dispatched(drive)
    t.equal(sent.length, 1000, policy)
    const toA = sent.filter(({ id }) => drive.backendOf(id) === 'a').length
    t.ok(toA >= 450 && toA <= 550, `${policy}: ${toA} of 1000`)
  }
})

t.test('R6: a backend that returns empty gets no more than its share', async (t) => {
  for (const policy of SHARING) {
    const names = ['a', 'b', 'c', 'd']
    const drive = new Drive(options(policy, { backends: names.map((id) => backend(id)) }))
    replay(drive, 200, 20, 50, 30)
    drive.send({ type: 'backend_state', backend: 'd', state: 'down' })
    // The others are busy, and stay so.
    for (let i = 0; i < 60; i++) drive.arrive(`busy${i}`, { promptTokens: 2000 })
    drive.send({ type: 'backend_restarted', backend: 'd' })
    drive.send({ type: 'backend_state', backend: 'd', state: 'degraded' })
    const from = drive.decisions.length
    for (let i = 0; i < 100; i++) {
      drive.nowMs += 10
      drive.arrive(`back${i}`, { promptTokens: 2000 })
    }
    const sent = dispatched(drive, from).filter(({ id }) => id.startsWith('back'))
    const toD = sent.filter(({ id }) => drive.backendOf(id) === 'd').length
    t.ok(toD <= Math.max(1, sent.length / 4), `${policy}: ${toD} of ${sent.length} in the second after`)
  }
})

t.test('R7: an engine whose figures are missing, late or frozen draws no herd', async (t) => {
  for (const policy of SHARING) {
    for (const report of [{}, { running: 0, waiting: 0, kvUsageRatio: 0 }]) {
      const drive = new Drive(options(policy, { backends: [backend('a'), backend('b')] }))
      // One says what it has, once; the other says nothing, or for ever that it is idle.
      drive.send({ type: 'engine_report', backend: 'a', report: { running: 4, waiting: 0, kvUsageRatio: 0.2 } })
      replay(drive, 600, 40, 60, 15, () => { drive.send({ type: 'engine_report', backend: 'b', report }) })
      const toB = dispatched(drive).filter(({ id }) => drive.backendOf(id) === 'b').length
      t.ok(toB <= 390, `${policy}, ${JSON.stringify(report)}: ${toB} of 600`)
    }
  }
})

t.test('R8: a burst never takes a queue past its bound, and what is over it is refused at once', async (t) => {
  for (const policy of POLICIES) {
    const drive = new Drive(options(policy, { classes: [serviceClass('default', { queueLimit: 75 })], backends: [backend('a', { maxInflight: 4 })] }))
    let deepest = 0
    const tookMs: number[] = []
    for (let i = 0; i < 2000; i++) {
      const startedAtMs = performance.now()
      const [decision] = drive.arrive(`r${i}`)
      if (decision?.type === 'reject') {
        tookMs.push(performance.now() - startedAtMs)
        if (decision.reason !== 'queue_full') t.fail(decision.reason)
      }
      if (i % 50 === 0) deepest = Math.max(deepest, drive.scheduler.state(0).classes[0]!.queued)
    }
    t.equal(drive.scheduler.state(0).classes[0]!.queued, 75, policy)
    t.equal(deepest, 75)
    t.equal(tookMs.length, 2000 - 79)
    t.ok(tookMs.sort((a, b) => a - b)[tookMs.length >> 1]! < 5, `${policy}: ${tookMs[tookMs.length >> 1]!.toFixed(3)} ms`)
  }
})

t.test('R9: each place that falls free wakes one, in the order in which they came', async (t) => {
  for (const policy of POLICIES) {
    const drive = new Drive(options(policy, { backends: [backend('a', { maxInflight: 1 })] }))
    for (let i = 0; i < 200; i++) drive.arrive(`r${i}`)
    for (let i = 0; i < 200; i++) {
      drive.nowMs += 50
      drive.send({ type: 'first_token', id: `r${i}` })
      drive.nowMs += 50
      const from = drive.decisions.length
      drive.send({ type: 'end', id: `r${i}`, verdict: 'success', usage: { outputTokens: 2 } })
      const woken = dispatched(drive, from).map(({ id }) => id)
      if (i < 199 && (woken.length !== 1 || woken[0] !== `r${i + 1}`)) t.fail(`${policy}: after r${i} came ${woken.join(', ') || 'nobody'}`)
    }
    t.equal(dispatched(drive).length, 200, policy)
  }
})

t.test('R10: a grant that its waiter no longer wants goes to the next one', async (t) => {
  for (const policy of POLICIES) {
    const drive = new Drive(options(policy, { classes: [serviceClass('default', { maxQueueMs: 1000 })], backends: [backend('a', { maxInflight: 1 })] }))
    drive.arrive('holder')
    drive.arrive('expires')
    drive.at(500).arrive('leaves')
    drive.arrive('next')
    drive.at(1000).send({ type: 'cancel', id: 'leaves' })
    // The place falls free in the very tick in which the first in line has waited enough.
    drive.send({ type: 'end', id: 'holder', verdict: 'success', usage: { outputTokens: 1 } })
    t.equal(drive.backendOf('leaves'), undefined)
    const expired = drive.decisions.some(({ type, id }) => type === 'expire' && id === 'expires')
    t.equal(expired !== (drive.backendOf('expires') !== undefined), true, `${policy}: one of the two, never both or neither`)
    if (!expired) drive.send({ type: 'cancel', id: 'expires' })
    t.equal(drive.backendOf('next'), 'a', `${policy}: nobody's place is lost`)
    drive.send({ type: 'cancel', id: 'next' })
    t.match(drive.scheduler.state(1000).backends[0], { inflightRequests: 0, inflightPrefillTokens: 0, contextTokens: 0 })
  }
})

t.test('R11: however fast places are refilled, no cap is passed', async (t) => {
  const random = createRandom(11)
  for (const policy of POLICIES) {
    const caps: Record<string, number> = { a: 3, b: 5 }
    const drive = new Drive(options(policy, { backends: Object.entries(caps).map(([id, maxInflight]) => backend(id, { maxInflight })) }))
    const running = new Map<string, string>()
    let seen = 0
    for (let i = 0; i < 3000; i++) {
      drive.nowMs += random.next()
      const ids = [...running.keys()]
      if (ids.length > 0 && random.next() < 0.6) {
        const id = ids[Math.floor(random.next() * ids.length)]!
        running.delete(id)
        drive.send(random.next() < 0.5 ? { type: 'cancel', id } : { type: 'end', id, verdict: 'success', usage: { outputTokens: 3 } })
      } else drive.arrive(`r${i}`)
      for (; seen < drive.decisions.length; seen++) {
        const decision = drive.decisions[seen]!
        if (decision.type === 'dispatch') running.set(decision.id, decision.backend)
      }
      for (const [id, cap] of Object.entries(caps)) {
        const count = [...running.values()].filter((one) => one === id).length
        if (count > cap) return void t.fail(`${policy}: ${count} on ${id}`)
      }
    }
    t.ok(seen > 500, policy)
  }
})

t.test('R12: what cannot be met is refused at once and says why; what is let in is met or counted', async (t) => {
  const targets = { ttftMs: 300 }
  const made = options('slo', { classes: [serviceClass('default', { targets })], backends: [backend('a')] })
  const drive = new Drive({ ...made, admission: { mode: 'enforce', probeShare: 0, maxFalseRejectionRatio: 0.2 } })
  for (let i = 0; i < 40; i++) drive.teach(`t${i}`, { targets: {}, promptTokens: 500 + 100 * (i % 7) }, 0.1, 20)
  const [refusal] = drive.arrive('long', { targets, promptTokens: 20_000 })
  t.match(refusal, { type: 'reject', reason: 'deadline_infeasible', retryCanMeet: false, why: { verdict: 'infeasible' } }, 'not even by coming again')
  t.equal(drive.scheduler.state(drive.nowMs).classes[0]!.queued, 0, 'it never waited')
  t.equal(drive.arrive('short', { targets, promptTokens: 500 })[0]?.type, 'dispatch')
  drive.send({ type: 'cancel', id: 'short' })
  const [late] = drive.arrive('late', { targets, promptTokens: 500, receivedAtMs: drive.nowMs - 280 })
  t.match(late, { type: 'reject', reason: 'deadline_infeasible', retryCanMeet: true }, 'what had only waited too long may come again')
  // A burst of which a part can be met: each request of it is dispatched in time or refused, none is kept beyond its target.
  const startMs = drive.nowMs
  const from = drive.decisions.length
  for (let i = 0; i < 20; i++) drive.arrive(`b${i}`, { targets, promptTokens: 1000 })
  while (drive.nowMs < startMs + 2000) {
    drive.nowMs += 5
    drive.send({ type: 'tick' })
    for (const { id } of dispatched(drive, from)) if (drive.backendOf(id) !== undefined && !ended.has(id) && drive.nowMs - startMs >= 110 * (ended.size + 1)) {
      ended.add(id)
      drive.send({ type: 'first_token', id })
      drive.send({ type: 'end', id, verdict: 'success', usage: { outputTokens: 1 } })
      break
    }
  }
  const told = drive.decisions.slice(from).filter(({ id }) => id.startsWith('b'))
  t.equal(new Set(told.map(({ id }) => id)).size, 20, 'each was told')
  const refused = told.filter(({ type }) => type !== 'dispatch')
  t.ok(refused.length > 5 && refused.length < 20, `${refused.length} of 20 were refused`)
  for (const { type, id } of refused) t.match([type, id], [/reject|expire/, /^b/])
  t.same(drive.scheduler.state(drive.nowMs).classes[0]!.queued, 0, 'none was kept beyond its target')
})
const ended = new Set<string>()

t.test('R13: a limit at its floor recovers, and one request is always admissible', async (t) => {
  const drive = new Drive(options('slo', { backends: [backend('a')] }))
  for (let i = 0; i < 50; i++) {
    drive.nowMs += 200
    drive.arrive(`r${i}`, { promptTokens: 100_000 })
    drive.send({ type: 'end', id: `r${i}`, verdict: 'backpressure' })
  }
  t.equal(drive.scheduler.state(drive.nowMs).backends[0]!.concurrencyLimit, 1)
  drive.nowMs += 100
  t.equal(drive.arrive('largest', { promptTokens: 1_000_000, promptBytes: 4_000_000 })[0]?.type, 'dispatch')
  drive.send({ type: 'end', id: 'largest', verdict: 'success', usage: { outputTokens: 1 } })
  drive.nowMs += 30_000
  t.equal(drive.scheduler.state(drive.nowMs).backends[0]!.concurrencyLimit, undefined)
})

t.test('R18: the only backend, full, is asked again as soon as it said, and takes all when it has room', async (t) => {
  for (const policy of POLICIES) {
    const drive = new Drive(options(policy, { backends: [backend('a')] }))
    drive.arrive('1')
    drive.at(10).send({ type: 'retry', id: '1', verdict: 'backpressure', retryAfterMs: 2000 })
    drive.at(1500).arrive('2')
    t.equal(dispatched(drive).length, 1, `${policy}: nothing before its time`)
    const wake = drive.scheduler.handle({ type: 'tick' }, 1999).find(({ type }) => type === 'wake')
    t.ok(wake?.type === 'wake' && wake.atMs <= 2011, `${policy}: looks again at ${wake?.type === 'wake' ? wake.atMs : 'no time'}`)
    drive.at(2011).send({ type: 'tick' })
    t.ok(dispatched(drive).length >= 2, `${policy}: somebody is sent to see`)
    for (const id of ['1', '2']) if (dispatched(drive).filter((sent) => sent.id === id).length > (id === '1' ? 1 : 0)) drive.at(2100).send({ type: 'end', id, verdict: 'success', usage: { outputTokens: 1 } })
    drive.at(2121).send({ type: 'tick' })
    t.equal(dispatched(drive).length, 3, `${policy}: and then the rest`)
  }
})

t.test('R20: streams that a backend had before its breaker opened do not keep it from being probed, nor count as probes', async (t) => {
  for (const others of [[], ['b']]) {
    const drive = new Drive(options('least-requests', { backends: ['a', ...others].map((id) => backend(id)) }))
    for (const id of others) drive.send({ type: 'backend_state', backend: id, state: 'down' })
    for (const id of ['old', 'older', 'oldest']) drive.arrive(id)
    const halfOpen = () => {
      drive.send({ type: 'backend_state', backend: 'a', state: 'down' })
      for (const id of others) {
        drive.send({ type: 'backend_state', backend: id, state: 'up' })
        for (let i = 0; i < 20; i++) drive.arrive(`${id}${drive.nowMs}-${i}`)
      }
      drive.send({ type: 'backend_state', backend: 'a', state: 'degraded', inflightLimit: 1 })
    }
    const probes = () => dispatched(drive).filter(({ id }) => id.startsWith('probe') && drive.backendOf(id) === 'a').length
    halfOpen()
    for (let i = 0; i < 3; i++) drive.arrive(`probe${i}`)
    t.equal(probes(), 1, 'one at a time')
    drive.at(10).send({ type: 'end', id: 'old', verdict: 'success' })
    drive.arrive('probe3')
    t.equal(probes(), 1, 'the end of an old stream makes no room for another')
    halfOpen()
    drive.arrive('probe4')
    t.equal(probes(), 2, 'the next time one more is sent, whatever became of the first')
  }
})

t.test('R34: names of models and sessions, and prompts that nobody has sent before, leave nothing behind', async (t) => {
  const drive = new Drive(options('slo', { backends: [backend('a'), backend('b')] }))
  const random = createRandom(34)
  const run = (from: number, to: number) => {
    for (let i = from; i < to; i++) {
      const id = `r${i}`
      drive.nowMs += 20
      drive.arrive(id, {
        tenant: `tenant${i % 100}`, model: `model${i}`, sessionKey: `session${i}`, promptBytes: 4000, promptTokens: undefined,
        prefixHashes: Array.from({ length: 16 }, () => Math.floor(random.next() * 2 ** 50)), prefixBlockBytes: 256,
      })
      drive.nowMs += 5
      drive.send({ type: 'first_token', id })
      drive.send({ type: 'end', id, verdict: 'success', usage: { promptTokens: 1000, cachedTokens: 0, outputTokens: 20 } })
      drive.decisions.length = 0
    }
  }
  run(0, 10_000)
  const before = heapMiB()
  run(10_000, 40_000)
  // A hundred bytes for each name would be nine.
  const grownMiB = heapMiB() - before
  t.ok(grownMiB < 2, `${grownMiB.toFixed(1)} MiB`)
})
