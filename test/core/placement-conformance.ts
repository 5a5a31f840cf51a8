import fc from 'fast-check'
import t from 'tap'
import { createScheduler, POLICIES, type Decision, type PolicyName, type SchedulerEvent } from '../../src/core/index.js'
import { backend, options, request, seeded, serviceClass } from './support/fleet.js'

const classes = [
  serviceClass('default', { queueLimit: 5, maxQueueMs: 2000 }),
  serviceClass('chat', { targets: { ttftMs: 500, tpotMs: 50 }, queueLimit: 8, pools: ['fast', 'slow'] }),
  serviceClass('batch', { targets: { deadlineMs: 20_000 }, queueLimit: 0, sheddable: true }),
]
const fleet = {
  classes,
  pools: [{ name: 'fast', role: 'latency', mode: 'balanced' }, { name: 'slow', role: 'throughput', mode: 'balanced' }] as const,
  backends: [
    backend('a', { pool: 'fast', maxInflight: 3 }), backend('b', { pool: 'fast', maxInflight: 2 }),
    backend('c', { pool: 'slow', models: ['m1'], maxInflight: 4 }),
  ],
}

/** Drives a scheduler with a random script and checks, after every event, what must hold whatever the policy. */
class Script {
  readonly queued = new Map<string, string>()
  readonly running = new Map<string, { backend: string, tokens: number }>()
  readonly ended = new Set<string>()
  readonly scheduler
  nowMs = 0
  wakeAtMs = Infinity
  arrived = 0

  constructor(policy: PolicyName, seed: number) {
    this.scheduler = createScheduler(options(policy, fleet), seeded(seed), 0)
  }

  send(event: SchedulerEvent): void {
    if (event.type === 'retry') {
      this.running.delete(event.id)
      this.queued.set(event.id, '')
    }
    if (event.type === 'end' || event.type === 'cancel') this.finish(event.id)
    const decisions = this.scheduler.handle(event, this.nowMs)
    for (const decision of decisions) this.carryOut(decision)
    this.check(event)
  }

  carryOut(decision: Decision): void {
    if (decision.type === 'wake') {
      this.wakeAtMs = decision.atMs
      return
    }
    if (!this.queued.delete(decision.id)) throw new Error(`${decision.type} of ${decision.id}, which does not wait`)
    if (decision.type === 'dispatch') this.running.set(decision.id, { backend: decision.backend, tokens: 0 })
    else this.ended.add(decision.id)
  }

  check(event: SchedulerEvent): void {
    const state = this.scheduler.state(this.nowMs)
    const queued = state.classes.reduce((sum, c) => sum + c.queued, 0)
    if (queued !== this.queued.size) throw new Error(`${queued} queued, expected ${this.queued.size} after ${event.type}`)
    for (const c of state.classes) {
      const limit = classes.find(({ name }) => name === c.name)?.queueLimit ?? 0
      if (event.type === 'arrival' && event.request.class === c.name && c.queued > limit && this.retried === 0) throw new Error(`${c.name} has ${c.queued} queued, limit ${limit}`)
    }
    for (const b of state.backends) {
      const here = [...this.running.values()].filter(({ backend: id }) => id === b.id).length
      if (b.inflightRequests !== here) throw new Error(`${b.id}: ${b.inflightRequests} in flight, expected ${here}`)
      if (b.inflightPrefillTokens < 0 || b.contextTokens < 0 || b.decodingStreams < 0) throw new Error(`${b.id}: negative ledger`)
      const cap = fleet.backends.find(({ id }) => id === b.id)?.maxInflight ?? Infinity
      if (here > cap) throw new Error(`${b.id}: ${here} in flight, cap ${cap}`)
    }
  }

  retried = 0

  finish(id: string): void {
    this.queued.delete(id)
    this.running.delete(id)
    this.ended.add(id)
  }

  step(kind: number, pick: number, gapMs: number): void {
    this.nowMs += gapMs
    if (this.wakeAtMs <= this.nowMs) {
      this.wakeAtMs = Infinity
      this.send({ type: 'tick' })
    }
    const running = [...this.running.keys()]
    const id = running[pick % Math.max(1, running.length)]
    if (kind < 40 || id === undefined) {
      const serviceClass = classes[pick % 3]!
      const next = `r${this.arrived++}`
      this.queued.set(next, serviceClass.name)
      this.send({ type: 'arrival', request: request(next, {
        class: serviceClass.name, targets: serviceClass.targets, receivedAtMs: this.nowMs, streamed: pick % 5 !== 0,
        model: pick % 4 === 0 ? 'm1' : undefined, promptTokens: 1 + pick * 7, tenant: `t${pick % 3}`,
        prefixHashes: pick % 2 === 0 ? [pick % 7, pick % 7 + 100] : [], sessionKey: pick % 2 === 0 ? `s${pick % 5}` : undefined,
      }) })
      return
    }
    const lease = this.running.get(id)!
    if (kind < 60) this.send({ type: 'first_token', id })
    else if (kind < 70) this.send({ type: 'progress', id, outputTokens: lease.tokens += pick })
    else if (kind < 75) {
      this.retried++
      this.send({ type: 'retry', id, verdict: kind % 2 === 0 ? 'backpressure' : 'fault' })
    } else if (kind < 90) this.send({ type: 'end', id, verdict: 'success', usage: { outputTokens: lease.tokens + 1 } })
    else if (kind < 94) this.send({ type: 'cancel', id: [...this.queued.keys(), ...running][pick % (this.queued.size + running.length)]! })
    else if (kind < 97) this.send({ type: 'backend_state', backend: 'abc'[pick % 3]!, state: (['up', 'up', 'degraded', 'draining', 'down'] as const)[pick % 5]! })
    else if (kind < 98) this.send({ type: 'engine_report', backend: 'abc'[pick % 3]!, report: pick % 2 === 0 ? {} : { running: pick, waiting: 0 } })
    else if (kind < 99) this.send({ type: 'configure', fleet })
    else this.send({ type: 'tick' })
  }

  /** Lets everything finish and expire. */
  drain(): void {
    for (const id of ['a', 'b', 'c']) this.send({ type: 'backend_state', backend: id, state: 'up' })
    for (let i = 0; i < 10_000 && this.running.size + this.queued.size > 0; i++) {
      const id = [...this.running.keys()][0]
      if (id !== undefined) this.send({ type: 'end', id, verdict: 'success' })
      else {
        if (this.wakeAtMs === Infinity) throw new Error(`${this.queued.size} wait and no wake is set`)
        this.nowMs = Math.max(this.nowMs, this.wakeAtMs)
        this.wakeAtMs = Infinity
        this.send({ type: 'tick' })
      }
    }
  }
}

t.test('every policy: nothing lost, nothing twice, bounds and ledgers exact', async (t) => {
  for (const policy of POLICIES) {
    fc.assert(fc.property(
      fc.integer({ min: 0, max: 1e6 }),
      fc.array(fc.tuple(fc.integer({ min: 0, max: 99 }), fc.integer({ min: 0, max: 97 }), fc.integer({ min: 0, max: 120 })), { minLength: 20, maxLength: 150 }),
      (seed, steps) => {
        const script = new Script(policy, seed)
        for (const step of steps) script.step(...step)
        script.drain()
        if (script.ended.size !== script.arrived) throw new Error(`${script.arrived} arrived, ${script.ended.size} ended`)
        const state = script.scheduler.state(script.nowMs)
        for (const b of state.backends) {
          if (b.inflightRequests + b.inflightPrefillTokens + b.contextTokens + b.decodingStreams !== 0) throw new Error(`${b.id} is not empty: ${JSON.stringify(b)}`)
        }
      },
    ), { seed: 42, numRuns: 40 })
  }
  t.pass('all policies hold')
})
