import t from 'tap'
import { createRandom, createScheduler, POLICIES, type Decision, type RequestSpec, type ServiceClass } from '../../src/core/index.js'

const CHAT: ServiceClass = {
  name: 'chat', targets: {}, objective: 0.95, weight: 1, minShare: 0.95, sheddable: false, pools: [], onInfeasible: 'reject', queueLimit: 10, maxQueueMs: 60_000, batchMode: 'guarded',
}
const request = (id: string): RequestSpec => ({
  id, kind: 'generation', class: 'chat', tenant: '', model: undefined, receivedAtMs: 0, targets: {}, promptBytes: 40, promptTokens: undefined,
  maxOutputTokens: undefined, streamed: true, prefixHashes: [], prefixBlockBytes: 256, sessionKey: undefined,
})
const wakeOf = (decisions: readonly Decision[]) => decisions.find(decision => decision.type === 'wake')?.atMs

for (const policy of POLICIES) {
  // Timers of the driver may ring a fraction of a millisecond before their time; an alarm that has rung is used up all the same.
  t.test(`${policy}: an alarm that rings early is set again`, async t => {
    const scheduler = createScheduler({
      policy,
      fleet: {
        classes: [CHAT], pools: [{ name: 'main', role: 'latency', mode: 'balanced' }],
        backends: [{ id: 'a', pool: 'main', models: undefined, maxInflight: undefined, costPerHour: undefined }],
      },
      admission: { mode: 'observe', probeShare: 0, maxFalseRejectionRatio: 1 },
    }, createRandom(1), 0)
    scheduler.handle({ type: 'arrival', request: request('1') }, 0)
    const atMs = wakeOf(scheduler.handle({ type: 'retry', id: '1', verdict: 'backpressure', retryAfterMs: 30 }, 1))
    t.equal(atMs !== undefined && atMs <= 31, true, `looks again when the engine's pause ends: ${atMs}`)
    let nowMs = 1
    let next = atMs
    for (let i = 0; i < 100 && next !== undefined && nowMs < 40; i++) {
      nowMs = Math.max(nowMs + 0.01, next - 0.4)
      const decisions = scheduler.handle({ type: 'tick' }, nowMs)
      if (decisions.some(({ type }) => type === 'dispatch')) return
      next = wakeOf(decisions)
    }
    t.fail(`not dispatched by ${nowMs}, next wake ${next}`)
  })
}
