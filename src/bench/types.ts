import type { Ms, Outcome, ServiceClass, SloTargets, Tokens } from '../core/index.js'
import type { Dialect } from '../protocol/index.js'

/** Interfaces that the load tool speaks. */
export const APIS = ['chat', 'completions', 'tgi'] as const
export type Api = typeof APIS[number]

/**
 * How a server is made to give answers of the workload's lengths. `emulate`: a body member that the emulated servers obey, beside a cap that
 * is not the truth. `ignore-eos`: the true length as the cap, and no end before it (vLLM, SGLang); the cap tells the length. `max-tokens`:
 * the true length as the cap, answers may end sooner.
 */
export const TRUE_LENGTHS = ['emulate', 'ignore-eos', 'max-tokens'] as const
export type TrueLengths = typeof TRUE_LENGTHS[number]

/** A server or gateway under load. */
export interface Target {
  /** As the user wrote it. */
  readonly label: string
  readonly host: string
  readonly port: number
  readonly tls: boolean
  /** In front of every path, without a slash at its end. */
  readonly basePath: string
}

/** What every request carries besides its prompt. */
export interface RequestStyle {
  readonly api: Api
  readonly model: string | undefined
  readonly trueLengths: TrueLengths
  /** Lower-case names. */
  readonly headers: Readonly<Record<string, string>>
  /** Header that tells the request's class; undefined = not told. */
  readonly classHeader: string | undefined
}

/** A request as the workload orders it. */
export interface PlannedRequest {
  readonly index: number
  readonly class: ServiceClass
  readonly targets: SloTargets
  readonly promptTokens: Tokens
  readonly outputTokens: Tokens
  readonly prefixBlocks: readonly number[]
}

/** One request that has ended, as measured at the client; plain data. Times are milliseconds from the run's start. */
export interface RequestRow {
  readonly id: string
  readonly class: string
  /** t0 of every measure: when it was to be sent, whenever it was. */
  readonly scheduled_ms: Ms
  readonly sent_ms: Ms | null
  readonly first_token_ms: Ms | null
  readonly last_token_ms: Ms | null
  readonly ended_ms: Ms
  readonly ending: 'completed' | 'failed' | 'cancelled' | 'rejected' | 'expired'
  /** A stream that ended without its sign of the end. */
  readonly truncated: boolean
  /** HTTP status; null = no answer. */
  readonly status: number | null
  /** Why it was refused or failed. */
  readonly reason: string | null
  readonly backend: string | null
  readonly prompt_tokens: Tokens
  /** What the workload ordered. */
  readonly ordered_output_tokens: Tokens
  readonly output_tokens: Tokens
  /** Counted events in place of the engine's usage. */
  readonly output_estimated: boolean
  readonly ttft_ms: Ms | null
  readonly tpot_ms: Ms | null
  readonly max_itl_ms: Ms | null
  readonly e2e_ms: Ms
  readonly max_lateness_ms: Ms
  readonly ttft_target_ms: Ms | null
  readonly tpot_target_ms: Ms | null
  readonly deadline_ms: Ms | null
  readonly outcome: Outcome
  /** In the denominator of attainment. */
  readonly counted: boolean
}

export const dialectOf = (api: Api): Dialect => api === 'chat' ? 'openai-chat' : api === 'completions' ? 'openai-completions' : 'tgi-generate'

