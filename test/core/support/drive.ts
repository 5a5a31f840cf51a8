import { createScheduler, type Decision, type RequestSpec, type Scheduler, type SchedulerEvent, type SchedulerOptions } from '../../../src/core/index.js'
import { request, seeded } from './fleet.js'

/** A scheduler with a clock that tests move, and backends that answer as told. */
export class Drive {
  readonly scheduler: Scheduler
  nowMs = 0
  /** All decisions but wakes, in order. */
  readonly decisions: Exclude<Decision, { type: 'wake' }>[] = []

  constructor(options: SchedulerOptions, seed = 1) {
    this.scheduler = createScheduler(options, seeded(seed), 0)
  }

  /** Sends an event and answers with the decisions that it led to. */
  send(event: SchedulerEvent): Exclude<Decision, { type: 'wake' }>[] {
    const made = this.scheduler.handle(event, this.nowMs).filter((decision) => decision.type !== 'wake')
    this.decisions.push(...made)
    return made
  }

  arrive(id: string, over: Partial<RequestSpec> = {}): Exclude<Decision, { type: 'wake' }>[] {
    return this.send({ type: 'arrival', request: request(id, { receivedAtMs: this.nowMs, ...over }) })
  }

  at(nowMs: number): this {
    this.nowMs = nowMs
    return this
  }

  /** Where a request was last sent. */
  backendOf(id: string): string | undefined {
    const sent = this.decisions.findLast((decision) => decision.type === 'dispatch' && decision.id === id)
    return sent?.type === 'dispatch' ? sent.backend : undefined
  }

  /** One request, alone, whose prompt takes `msPerToken` and each of whose tokens takes `tokenMs`. */
  teach(id: string, spec: Partial<RequestSpec>, msPerToken: number, tokenMs: number): void {
    this.arrive(id, spec)
    if (this.backendOf(id) === undefined) return
    this.nowMs += 10 + msPerToken * (spec.promptTokens ?? 100)
    this.send({ type: 'first_token', id })
    this.nowMs += 20 * tokenMs
    this.send({ type: 'progress', id, outputTokens: 21 })
    this.send({ type: 'end', id, verdict: 'success', usage: { outputTokens: 21 } })
  }
}
