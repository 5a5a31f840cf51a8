import fc from 'fast-check'
import t from 'tap'
import { explain, type AdmissionMode, type SchedulerOptions, type ServiceClass } from '../../src/core/index.js'
import { FalseRejections } from '../../src/core/admission/false-rejections.js'
import { MinShare } from '../../src/core/ordering/min-share.js'
import { Drive } from './support/drive.js'
import { backend, options, serviceClass } from './support/fleet.js'

const targets = { ttftMs: 500, tpotMs: 50 }
const chat = { class: 'chat', targets, promptTokens: 2000 }

function slo(mode: AdmissionMode = 'enforce', over: Partial<ServiceClass> = {}, backends = [backend('a')], probeShare = 0): SchedulerOptions {
  const made = options('slo', { classes: [serviceClass('chat', { targets, ...over }), serviceClass('batch', { targets: { deadlineMs: 60_000 } })], backends })
  return { ...made, admission: { ...made.admission, mode, probeShare } }
}

/** A backend whose speed is known well: 0.1 ms per prompt token unless said otherwise, 20 ms per token. */
function taught(made: SchedulerOptions, msPerToken = 0.1): Drive {
  const drive = new Drive(made)
  for (let i = 0; i < 40; i++) drive.teach(`t${i}`, { ...chat, targets: {}, promptTokens: 500 + 100 * (i % 7) }, msPerToken, 20)
  return drive
}

t.test('the next prompt waits for the first token of the last', async (t) => {
  const drive = new Drive(slo())
  drive.arrive('1', chat)
  drive.arrive('2', chat)
  t.equal(drive.backendOf('1'), 'a')
  t.equal(drive.backendOf('2'), undefined)
  drive.at(200).send({ type: 'first_token', id: '1' })
  drive.at(2000).send({ type: 'progress', id: '1', outputTokens: 150 })
  drive.send({ type: 'tick' })
  t.equal(drive.decisions.find(({ id, type }) => id === '2' && type === 'dispatch')?.why.heldBy, 'prefill_in_flight')
})

t.test('a prompt that would break a running stream is held, and goes when the stream has slack or has ended', async (t) => {
  const drive = taught(slo())
  const start = drive.nowMs
  drive.arrive('young', { ...chat, promptTokens: 500 })
  drive.at(start + 60).send({ type: 'first_token', id: 'young' })
  const [held] = drive.at(start + 70).arrive('long', { ...chat, targets: { ttftMs: 30_000, tpotMs: 80 }, promptTokens: 8000 })
  t.equal(held, undefined, 'its 800 ms would take the young stream past 50 ms a token')
  drive.at(start + 400).send({ type: 'end', id: 'young', verdict: 'success', usage: { outputTokens: 10 } })
  t.equal(drive.backendOf('long'), 'a')
})

t.test('the learned model decides: ten times slower prompts, and the same request is refused', async (t) => {
  const verdicts = [0.1, 1].map((msPerToken) => {
    const drive = taught(slo(), msPerToken)
    const [decision] = drive.arrive('asked', { ...chat, promptTokens: 1500 })
    return decision?.type
  })
  t.same(verdicts, ['dispatch', 'reject'])
})

t.test('the learned model decides where: the backend that has shown to be slow is avoided', async (t) => {
  const drive = new Drive(slo('off', {}, [backend('a'), backend('b')]))
  for (const [taught, other, msPerToken] of [['a', 'b', 0.5], ['b', 'a', 0.05]] as const) {
    drive.send({ type: 'backend_state', backend: other, state: 'down' })
    for (let i = 0; i < 40; i++) drive.teach(`${taught}${i}`, { ...chat, targets: {}, promptTokens: 500 + 100 * (i % 7) }, msPerToken, 20)
    drive.send({ type: 'backend_state', backend: other, state: 'up' })
  }
  for (let i = 0; i < 5; i++) {
    drive.nowMs += 10_000
    drive.arrive(`v${i}`, { ...chat, promptTokens: 1000 })
    t.equal(drive.backendOf(`v${i}`), 'b')
    drive.send({ type: 'cancel', id: `v${i}` })
  }
})

t.test('no infeasible verdict without a fresh measured model', async (t) => {
  fc.assert(fc.property(
    fc.integer({ min: 0, max: 19 }), fc.integer({ min: 100, max: 200_000 }), fc.integer({ min: 1, max: 400 }), fc.boolean(),
    (samples, promptTokens, ttftMs, stale) => {
      const drive = new Drive(slo())
      const lessons = stale ? 40 : samples
      for (let i = 0; i < lessons; i++) drive.teach(`t${i}`, { ...chat, targets: {}, promptTokens: 500 }, 1, 20)
      if (stale) drive.nowMs += 120_000
      for (const { type, why } of drive.arrive('asked', { ...chat, targets: { ttftMs, tpotMs: 50 }, promptTokens })) {
        if (type !== 'dispatch' || why.verdict === 'infeasible' || why.wouldReject === true) throw new Error(`${type}, ${why.verdict} after ${lessons} samples`)
      }
    },
  ), { seed: 7, numRuns: 60 })
  t.pass('never refused on a guess')
})

t.test('observe refuses nothing, and says what it would have refused', async (t) => {
  const drive = taught(slo('observe'), 1)
  const decisions = [...drive.arrive('asked', { ...chat, promptTokens: 3000 }), ...drive.send({ type: 'tick' })]
  t.equal(decisions[0]?.type, 'dispatch')
  t.equal(decisions[0]?.why.wouldReject, true)
})

t.test('off neither judges nor refuses', async (t) => {
  const [decision] = taught(slo('off'), 1).arrive('asked', { ...chat, promptTokens: 3000 })
  t.equal(decision?.type, 'dispatch')
  t.equal(decision?.why.wouldReject, undefined)
})

t.test('best effort is served in place of a refusal', async (t) => {
  const drive = taught(slo('enforce', { onInfeasible: 'best_effort' }), 1)
  drive.arrive('asked', { ...chat, promptTokens: 3000 })
  drive.send({ type: 'tick' })
  t.equal(drive.backendOf('asked'), 'a')
})

t.test('wrong rejections switch enforcement off, and it comes back', async (t) => {
  const measured = new FalseRejections(0.2)
  for (let i = 0; i < 19; i++) measured.measured(true, i)
  t.notOk(measured.tripped(20), 'too few to say')
  measured.measured(true, 20)
  t.ok(measured.tripped(21))
  t.same([measured.probed, measured.wouldHaveMet], [20, 20])
  t.notOk(measured.tripped(60_000))
  const right = new FalseRejections(0.2)
  for (let i = 0; i < 200; i++) right.measured(i % 10 === 0, i)
  t.notOk(right.tripped(200), 'one in ten is within the limit')
})

t.test('a probe is sent although infeasible, and counted by what became of it', async (t) => {
  const drive = taught(slo('enforce', {}, [backend('a')], 1), 1)
  drive.arrive('probe', { ...chat, promptTokens: 3000 })
  drive.send({ type: 'tick' })
  t.equal(drive.backendOf('probe'), 'a')
  drive.nowMs += 20
  drive.send({ type: 'first_token', id: 'probe' })
  drive.send({ type: 'end', id: 'probe', verdict: 'success', usage: { outputTokens: 1 } })
  t.match(drive.scheduler.state(drive.nowMs).admission, { probed: 1, wouldHaveMet: 1 })
})

t.test('batch work is served within its own limit however busy the interactive classes are', async (t) => {
  const drive = new Drive(slo('off', { queueLimit: 100_000 }))
  drive.arrive('patient', { class: 'batch', targets: { deadlineMs: 60_000 }, promptTokens: 500 })
  drive.send({ type: 'cancel', id: 'patient' })
  drive.arrive('first', chat)
  drive.arrive('waiting', { class: 'batch', targets: { deadlineMs: 60_000 }, promptTokens: 500 })
  let running = 'first'
  for (let i = 0; drive.backendOf('waiting') === undefined && drive.nowMs < 60_000; i++) {
    drive.arrive(`c${i}a`, chat)
    drive.arrive(`c${i}b`, chat)
    drive.nowMs += 210
    const sent = drive.send({ type: 'first_token', id: running })
    const next = [...sent, ...drive.send({ type: 'end', id: running, verdict: 'success', usage: { outputTokens: 1 } })].find(({ type }) => type === 'dispatch')
    if (next !== undefined) running = next.id
  }
  t.ok(drive.nowMs < 60_000, `served after ${drive.nowMs} ms`)
})

t.test('tenants take turns by tokens, and idling earns nothing', async (t) => {
  const drive = new Drive(slo('off', { queueLimit: 1000, maxQueueMs: 1e9 }))
  const free = { ...chat, targets: { ttftMs: 1e6, tpotMs: 1e3 } }
  drive.arrive('running', { ...free, tenant: 'greedy' })
  for (let i = 0; i < 20; i++) drive.arrive(`g${i}`, { ...free, tenant: 'greedy' })
  for (let i = 0; i < 3; i++) drive.arrive(`m${i}`, { ...free, tenant: 'modest' })
  let running = 'running'
  const order: string[] = []
  for (let i = 0; i < 8; i++) {
    drive.nowMs += 200
    drive.send({ type: 'first_token', id: running })
    drive.send({ type: 'end', id: running, verdict: 'success', usage: { outputTokens: 10 } })
    drive.send({ type: 'tick' })
    const last = drive.decisions.findLast(({ type }) => type === 'dispatch')!
    if (last.id === running) break
    running = last.id
    order.push(running[0]!)
  }
  t.match(order.slice(0, 6).filter((who) => who === 'm').length, 3, `order ${order.join('')}: turn and turn about, though the greedy one came first`)
})

t.test('a backend that refuses is given less, and recovers', async (t) => {
  const drive = new Drive(options('least-requests', { backends: [backend('a')] }))
  for (let i = 0; i < 10; i++) drive.arrive(`${i}`)
  drive.send({ type: 'retry', id: '9', verdict: 'backpressure', retryAfterMs: 500 })
  t.equal(drive.scheduler.state(0).backends[0]?.concurrencyLimit, 7)
  drive.at(400).send({ type: 'tick' })
  for (let i = 0; i < 5; i++) drive.send({ type: 'end', id: `${i}`, verdict: 'success' })
  t.equal(drive.decisions.filter(({ id }) => id === '9').length, 1, 'not while it asked for a pause')
  drive.at(600).send({ type: 'tick' })
  t.equal(drive.decisions.filter(({ id }) => id === '9').length, 2)
  t.equal(drive.scheduler.state(60_000).backends[0]?.concurrencyLimit, undefined)
})

for (const slowTimes of [1, 3]) {
  t.test(`a server whose first ${slowTimes} prompts took long is tried again`, async (t) => {
    const drive = new Drive(slo('enforce', {}, [backend('a'), backend('b')]))
    const used = new Map<string, number>()
    for (let i = 0; i < 60; i++) {
      drive.arrive(`r${i}`, { ...chat, promptTokens: 600 })
      const id = drive.backendOf(`r${i}`)!
      const times = (used.get(id) ?? 0) + 1
      used.set(id, times)
      drive.nowMs += id === 'a' && times <= slowTimes ? 2000 : 60
      drive.send({ type: 'first_token', id: `r${i}` })
      drive.nowMs += 400
      drive.send({ type: 'end', id: `r${i}`, verdict: 'success', usage: { outputTokens: 20 } })
    }
    t.ok(used.get('a')! > 2 * slowTimes, `of 60 it got ${used.get('a')}`)
  })
}

t.test('a class that falls behind the others is owed something, in proportion; none is while all fare alike', async (t) => {
  const shares = new MinShare()
  const [even, behind, free] = [serviceClass('even', { minShare: 0.9 }), serviceClass('behind', { minShare: 0.9 }), serviceClass('free', { minShare: 0 })]
  t.equal(shares.owed(behind, 0), 0, 'nothing is known')
  for (let i = 0; i < 300; i++) {
    shares.left(even, true, i)
    shares.left(behind, i % 5 < 2, i)
    shares.left(free, false, i)
  }
  const share = 0.4 / ((1 + 0.4) / 3)
  t.equal(shares.owed(even, 300), 0)
  t.ok(Math.abs(shares.owed(behind, 300) - 6 * (1 - share / 0.9)) < 0.06, `owed ${shares.owed(behind, 300)}`)
  t.equal(shares.ahead(even, 300), 1, 'it has twice what all have')
  t.equal(shares.ahead(behind, 300), 0)
  t.equal(shares.owed(free, 300), 0, 'it was configured to have no share')
  t.equal(shares.owed(behind, 100_000), 0, 'what was long ago is forgotten')
  const overload = new MinShare()
  for (let i = 0; i < 300; i++) for (const each of [even, behind]) overload.left(each, i % 4 === 0, i)
  t.same([overload.owed(even, 300), overload.owed(behind, 300)], [0, 0], 'where all lose alike nobody is owed anything')
})

t.test('what was hoped counts until it has ended, then what became of it', async (t) => {
  const [kept, broken] = [serviceClass('kept'), serviceClass('broken')]
  const shares = new MinShare()
  for (const each of [kept, broken]) for (let i = 0; i < 100; i++) shares.left(each, true, 0)
  t.same([shares.owed(broken, 0), shares.ahead(kept, 0)], [0, 0])
  for (let i = 0; i < 100; i++) shares.ended(broken, true, i % 2 === 0, 0, 5000)
  t.ok(Math.abs(shares.owed(broken, 5000) - 1) < 1e-9 && shares.ahead(kept, 5000) === 1, 'half of what was hoped came true')
  for (let i = 0; i < 50; i++) shares.ended(broken, false, true, 0, 5000)
  t.ok(shares.owed(broken, 5000) < 1e-9, 'what made it against all hope counts as well')
})

t.test('work whose time for a long answer is gone lets go first what can still make it', async (t) => {
  const drive = taught(slo())
  drive.arrive('running', chat)
  drive.arrive('late', { class: 'batch', targets: { deadlineMs: 60_000 }, receivedAtMs: drive.nowMs - 59_500, promptTokens: 500 })
  drive.nowMs += 10
  drive.arrive('early', { class: 'batch', targets: { deadlineMs: 60_000 }, receivedAtMs: drive.nowMs - 40_000, promptTokens: 500 })
  drive.nowMs += 200
  drive.send({ type: 'first_token', id: 'running' })
  drive.send({ type: 'end', id: 'running', verdict: 'success', usage: { outputTokens: 1 } })
  t.same([drive.backendOf('early'), drive.backendOf('late')], ['a', undefined], 'the later deadline first')
})

t.test('after a restart speeds are a guess again, which refuses nothing, and the cache is empty', async (t) => {
  const drive = taught(slo(), 1)
  const prompt = { ...chat, promptTokens: 2000, promptBytes: 8000, prefixBlockBytes: 800, prefixHashes: [1, 2, 3, 4, 5, 6, 7, 8, 9, 10] }
  const patient = { ...prompt, targets: { ttftMs: 60_000, tpotMs: 50 } }
  const uncached = (id: string): number | undefined => drive.arrive(id, patient)[0]?.why.uncachedTokens
  t.equal(drive.arrive('slow', { ...prompt, prefixHashes: [] })[0]?.type, 'reject')
  drive.teach('first', patient, 1, 20)
  t.equal(uncached('again'), 1, 'all of it is cached')
  drive.send({ type: 'cancel', id: 'again' })
  const before = drive.scheduler.state(drive.nowMs).backends[0]!.model
  drive.send({ type: 'backend_restarted', backend: 'a' })
  const after = drive.scheduler.state(drive.nowMs).backends[0]!.model
  t.same([after.prefillSamples, after.decodeSamples, after.ageMs], [0, 0, undefined])
  t.equal(after.prefillMsPerToken, before.prefillMsPerToken, 'still the best guess')
  const [decision] = drive.arrive('now', prompt)
  t.match(decision, { type: 'dispatch', why: { verdict: 'unknown', uncachedTokens: 2000 } })
})

t.test('no more is thought to be cached than the engine has room for', async (t) => {
  const drive = new Drive(slo('off'))
  const prompt = (first: number) => ({ ...chat, promptTokens: 1000, promptBytes: 4000, prefixBlockBytes: 400, prefixHashes: Array.from({ length: 10 }, (_, i) => first + i) })
  const uncached = (id: string, first: number): number | undefined => {
    const [decision] = drive.arrive(id, prompt(first))
    drive.send({ type: 'cancel', id })
    return decision?.why.uncachedTokens
  }
  uncached('1', 100)
  uncached('2', 200)
  t.equal(uncached('3', 100), 1)
  drive.send({ type: 'engine_report', backend: 'a', report: { kvCapacityTokens: 1500 } })
  t.equal(uncached('4', 200), 500, 'fifteen blocks: the end of the older prompt is gone')
})

t.test('a decision is explained by its own figures', async (t) => {
  const drive = new Drive(slo('enforce', {}, [backend('a'), backend('b')]))
  for (const [id, other] of [['a', 'b'], ['b', 'a']] as const) {
    drive.send({ type: 'backend_state', backend: other, state: 'down' })
    for (let i = 0; i < 40; i++) drive.teach(`${id}${i}`, { ...chat, targets: {}, promptTokens: 500 + 100 * (i % 7) }, 0.2, 20)
    drive.send({ type: 'backend_state', backend: other, state: 'up' })
  }
  const [sent] = drive.arrive('sent', { ...chat, promptTokens: 1000 })
  t.match(sent, { type: 'dispatch', why: { verdict: 'feasible', promptTokens: 1000, uncachedTokens: 1000 } })
  t.same(new Set([sent!.why.chosen, sent!.why.runnerUp]), new Set(['a', 'b']))
  t.ok(sent!.why.predictedTtftMs! > 180 && sent!.why.predictedTtftMs! < 240 && sent!.why.predictedTtftErrorMs! < 40, JSON.stringify(sent!.why))
  t.ok(Math.abs(sent!.why.slackMs! - (500 - sent!.why.predictedTtftMs!)) < 1e-6)
  t.match(explain(sent!.why), /before [ab] .*1000 tokens.*before its target\. A token/)

  const [refused] = drive.arrive('refused', { ...chat, promptTokens: 5000 })
  t.match(refused, { type: 'reject', why: { verdict: 'infeasible', promptTokens: 5000, wouldReject: true } })
  for (const name of ['chosen', 'score', 'runnerUp', 'runnerUpScore', 'uncachedTokens', 'predictedTpotMs'] as const) t.equal(refused!.why[name], undefined, `${name} would be another request's`)
  t.ok(Math.abs(refused!.why.predictedTtftMs! - 1010) < 60 && refused!.why.slackMs! < -400, JSON.stringify(refused!.why))
  t.match(explain(refused!.why), /^Policy slo chose no backend\. .*5000 tokens.*too late for its target\. Its targets were judged out of reach\.$/)

  const beyond = drive.arrive('held', { ...chat, promptTokens: 900 })
  t.equal(beyond[0]?.type, 'dispatch', 'the other backend is free')
  drive.arrive('waits', { ...chat, promptTokens: 900 })
  drive.nowMs += 200
  for (const id of ['sent', 'held']) drive.send({ type: 'end', id, verdict: 'success', usage: { outputTokens: 1 } })
  const waited = drive.decisions.findLast(({ type, id }) => type === 'dispatch' && id === 'waits')
  t.match(waited?.why, { heldBy: 'prefill_in_flight', waitedMs: 200, promptTokens: 900 })
  t.ok(waited!.why.predictedTtftMs! > 370, 'the wait is part of it')
  t.match(explain(waited!.why), /It waited 200 ms: a prompt ahead/)
})
