// No request waits longer than its own limit, whatever else waits: it is sent, refused or given up by then.
import fc from 'fast-check'
import t from 'tap'
import { createScheduler, POLICIES, type Decision, type FleetSpec, type PolicyName, type SchedulerEvent, type ServiceClass } from '../../src/core/index.js'
import { backend, options, request, seeded, serviceClass } from './support/fleet.js'

const shape = fc.record({
  ttftMs: fc.option(fc.integer({ min: 50, max: 3000 }), { nil: undefined }),
  tpotMs: fc.option(fc.integer({ min: 5, max: 100 }), { nil: undefined }),
  deadlineMs: fc.option(fc.integer({ min: 500, max: 20_000 }), { nil: undefined }),
  weight: fc.constantFrom(0.1, 1, 10),
  minShare: fc.constantFrom(0, 0.5, 0.95, 1),
  maxQueueMs: fc.integer({ min: 100, max: 5000 }),
  batchMode: fc.constantFrom('hold', 'guarded', 'shared'),
  onInfeasible: fc.constantFrom('reject', 'best_effort'),
})
const arrivals = fc.array(fc.record({
  gapMs: fc.integer({ min: 0, max: 60 }), of: fc.nat(3), tenant: fc.nat(2), promptTokens: fc.integer({ min: 1, max: 16_000 }), outputTokens: fc.integer({ min: 1, max: 200 }), streamed: fc.boolean(),
}), { minLength: 20, maxLength: 120 })
const scene = fc.record({
  shapes: fc.array(shape, { minLength: 1, maxLength: 4 }),
  backends: fc.array(fc.record({ msPerToken: fc.constantFrom(0.02, 0.1, 1), tokenMs: fc.integer({ min: 5, max: 60 }), maxInflight: fc.option(fc.integer({ min: 1, max: 8 }), { nil: undefined }) }), { minLength: 1, maxLength: 4 }),
  mode: fc.constantFrom('off', 'observe', 'enforce'),
  arrivals,
  seed: fc.nat(),
})
type Scene = typeof scene extends fc.Arbitrary<infer S> ? S : never

/** Plays the scene to its end with backends that compute one prompt after the other; throws as soon as somebody waits beyond its limit. */
function play(policy: PolicyName, { shapes, backends, mode, arrivals, seed }: Scene, onDecision: (decision: Exclude<Decision, { type: 'wake' }>) => void = () => {}): Map<string, number> {
  const classes: ServiceClass[] = shapes.map(({ ttftMs, tpotMs, deadlineMs, ...over }, i) => serviceClass(`c${i}`, {
    ...over, targets: { ...ttftMs !== undefined && { ttftMs }, ...tpotMs !== undefined && { tpotMs }, ...deadlineMs !== undefined && { deadlineMs } },
  }))
  const fleet: Partial<FleetSpec> = { classes, backends: backends.map(({ maxInflight }, i) => backend(`b${i}`, { maxInflight })) }
  const made = options(policy, fleet)
  const scheduler = createScheduler({ ...made, admission: { mode, probeShare: 0.1, maxFalseRejectionRatio: 1 } }, seeded(seed), 0)
  const due: { atMs: number, event: SchedulerEvent }[] = []
  const limits = new Map<string, number>()
  const answered = new Map<string, number>()
  const busyUntilMs = new Map<string, number>()
  const outputs = new Map<string, number>()
  const prompts = new Map<string, number>()
  let wakeAtMs = Infinity
  const at = (atMs: number, event: SchedulerEvent) => {
    const before = due.findLastIndex((other) => other.atMs <= atMs)
    due.splice(before + 1, 0, { atMs, event })
  }
  const carryOut = (decision: Decision, nowMs: number) => {
    if (decision.type === 'wake') {
      wakeAtMs = decision.atMs
      return
    }
    onDecision(decision)
    const { id } = decision
    const limitMs = limits.get(id)
    if (limitMs === undefined) throw new Error(`${decision.type} of ${id}, which does not wait`)
    if (nowMs > limitMs) throw new Error(`${decision.type} of ${id} at ${nowMs}, its limit was ${limitMs}`)
    limits.delete(id)
    answered.set(id, (answered.get(id) ?? 0) + 1)
    if (decision.type !== 'dispatch') return
    const { msPerToken, tokenMs } = backends[Number(decision.backend.slice(1))]!
    const firstAtMs = Math.max(nowMs, busyUntilMs.get(decision.backend) ?? 0) + 5 + msPerToken * prompts.get(id)!
    busyUntilMs.set(decision.backend, firstAtMs)
    const outputTokens = outputs.get(id)!
    at(firstAtMs, { type: 'first_token', id })
    at(firstAtMs + (outputTokens - 1) * tokenMs, { type: 'end', id, verdict: 'success', usage: { promptTokens: prompts.get(id)!, outputTokens } })
  }
  const tell = (event: SchedulerEvent, nowMs: number) => {
    if (wakeAtMs <= nowMs) wakeAtMs = Infinity
    for (const decision of scheduler.handle(event, nowMs)) carryOut(decision, nowMs)
  }
  const advance = (toMs: number) => {
    for (;;) {
      const next = due[0]
      if (wakeAtMs <= Math.min(toMs, next?.atMs ?? Infinity) && wakeAtMs < Infinity) {
        tell({ type: 'tick' }, wakeAtMs)
      } else if (next !== undefined && next.atMs <= toMs) {
        due.shift()
        tell(next.event, next.atMs)
      } else return
    }
  }
  let nowMs = 0
  arrivals.forEach(({ gapMs, of, tenant, promptTokens, outputTokens, streamed }, i) => {
    nowMs += gapMs
    advance(nowMs)
    const id = `r${i}`
    const service = classes[of % classes.length]!
    limits.set(id, nowMs + (service.targets.deadlineMs ?? service.maxQueueMs))
    outputs.set(id, outputTokens)
    prompts.set(id, promptTokens)
    tell({ type: 'arrival', request: request(id, { class: service.name, targets: service.targets, tenant: `t${tenant}`, receivedAtMs: nowMs, promptTokens, streamed }) }, nowMs)
  })
  advance(Infinity)
  if (limits.size > 0) throw new Error(`${[...limits.keys()].join(', ')} wait for ever`)
  return answered
}

t.test('nobody starves: by its deadline, or else by max_queue, every request is sent or told', async (t) => {
  for (const policy of POLICIES) {
    fc.assert(fc.property(scene, (given) => {
      const answered = play(policy, given)
      if (answered.size !== given.arrivals.length || [...answered.values()].some((times) => times !== 1)) throw new Error(`${answered.size} of ${given.arrivals.length} were decided, or some twice`)
    }), { seed: 3, numRuns: policy === 'slo' ? 150 : 25 })
  }
  t.pass('all policies hold')
})

t.test('aging: work that has time is sent within its limit although interactive work never stops coming', async (t) => {
  for (const weight of [0.1, 1, 10] as const) {
    const flood = Array.from({ length: 1500 }, (_, i) => ({ gapMs: 20, of: i === 500 ? 1 : 0, tenant: i % 2, promptTokens: 800, outputTokens: 10, streamed: true }))
    const sent: string[] = []
    play('slo', {
      shapes: [
        { ttftMs: 60_000, tpotMs: undefined, deadlineMs: undefined, weight, minShare: 0.95, maxQueueMs: 60_000, batchMode: 'guarded', onInfeasible: 'reject' },
        { ttftMs: undefined, tpotMs: undefined, deadlineMs: 8000, weight: 1, minShare: 0.95, maxQueueMs: 5000, batchMode: 'guarded', onInfeasible: 'reject' },
      ],
      backends: [{ msPerToken: 0.1, tokenMs: 10, maxInflight: undefined }], mode: 'enforce', arrivals: flood, seed: 1,
    }, ({ type, id }) => { if (type === 'dispatch') sent.push(id) })
    t.ok(sent.includes('r500'), `weight ${weight}`)
    t.ok(sent.indexOf('r500') > 100, 'and others before it')
  }
})
