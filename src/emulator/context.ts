import type { IncomingMessage, ServerResponse } from 'node:http'
import type { Clock } from '../core/index.js'
import type { AnswerPlan } from './answer-plan.js'
import type { EngineDriver } from './engine-driver.js'
import type { ChosenFaults } from './faults.js'
import type { Generation, GenerationOptions } from './generation.js'
import type { Language } from './language.js'
import type { MetricNames } from './metrics/exposition.js'
import type { ServerStatistics } from './metrics/statistics.js'

/** Settings of one emulated server that its routes read. */
export interface ServerSettings {
  readonly model: string
  readonly maxModelTokens: number
  readonly metricNames: MetricNames
  /** `usage.prompt_tokens_details.cached_tokens` is filled in. */
  readonly promptTokensDetails: boolean
  /** Name of the member that carries reasoning. */
  readonly reasoningMember: 'reasoning' | 'reasoning_content'
}

/** What the routes of an engine stand on. */
export interface ServerContext {
  readonly settings: ServerSettings
  readonly driver: EngineDriver
  readonly language: Language
  readonly clock: Clock
  readonly statistics: ServerStatistics
  readonly ledger: RequestLedger
}

/** One request as a route gets it. */
export interface Call {
  readonly req: IncomingMessage
  readonly res: ServerResponse
  readonly body: Buffer
  readonly faults: ChosenFaults
}

export interface Route {
  readonly generation: boolean
  readonly handle: (call: Call) => void
}

/** By method and path, `POST /v1/completions`. */
export type RouteTable = ReadonlyMap<string, Route>

/** An engine's face: routes, and the shape of its refusals. */
export interface EngineFace {
  readonly routes: RouteTable
  sendError(res: ServerResponse, status: number, type: string, message: string, headers?: Readonly<Record<string, string>>): void
}

export interface AbortRecord {
  readonly id: string
  readonly atMs: number
  /** Tokens that were made for it. */
  readonly tokens: number
}

const KEPT_ABORTS = 100
const KEPT_IDS = 100_000

/** What became of the requests, for tests to check invariants against. */
export class RequestLedger {
  received = 0
  completed = 0
  aborted = 0
  /** Ended by a scripted fault. */
  cut = 0
  refused = 0
  /** Completed more than once under one request id. */
  repeated = 0
  active = 0
  readonly lastAborts: AbortRecord[] = []
  readonly #completedIds = new Set<string>()

  get completedIds (): number {
    return this.#completedIds.size
  }

  ended (id: string, how: 'completed' | 'aborted' | 'cut', tokens: number, atMs: number): void {
    this.active--
    this[how]++
    if (how === 'completed') {
      if (this.#completedIds.has(id)) this.repeated++
      else if (this.#completedIds.size < KEPT_IDS) this.#completedIds.add(id)
    }
    if (how === 'aborted') {
      this.lastAborts.push({ id, atMs, tokens })
      if (this.lastAborts.length > KEPT_ABORTS) this.lastAborts.shift()
    }
  }
}

/** The client's request id, or one of our own. */
export function requestId (req: IncomingMessage, ledger: RequestLedger): string {
  const given = req.headers['x-request-id']
  return typeof given === 'string' && given !== '' ? given : `emu-${ledger.received.toString(16).padStart(8, '0')}`
}

/** The options that every generation has in common; books its end. */
export function generationOptions (context: ServerContext, call: Call, id: string, plans: readonly AnswerPlan[]): Omit<GenerationOptions, 'stream' | 'interval' | 'keepText' | 'keepIds'> {
  const { driver, language, ledger, statistics, clock } = context
  return {
    res: call.res,
    driver,
    language,
    plans,
    faults: call.faults,
    onEnd: (generation: Generation, how) => {
      ledger.ended(id, how, generation.completionTokens, clock.now())
      for (const { sequence, plan } of generation.choices) {
        if (sequence?.state === 'finished') statistics.sequenceFinished(sequence, plan.finish)
        else statistics.finished[how === 'cut' ? 'error' : 'abort']++
      }
    }
  }
}

