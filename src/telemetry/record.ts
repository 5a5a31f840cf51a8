import type { ClassName, Explanation, Ms, Outcome, SloTargets, TenantName, Timeline, Tokens } from '../core/index.js'

/** The whole story of one request, made once, at its end: source of metrics, log line, /api/requests, traces and the request log. */
export interface RequestRecord {
  /** Wall clock of t0, milliseconds since the epoch; for people only. */
  readonly wallTimeMs: number
  readonly timeline: Timeline
  readonly route: string
  readonly class: ClassName
  readonly tenant: TenantName
  readonly model: string | undefined
  readonly path: string
  readonly targets: SloTargets
  readonly outcome: Outcome
  /** Status sent to the client; 499 when it was gone before one could be. */
  readonly status: number
  /** `code` of the error vocabulary, where the gateway refused or failed it. */
  readonly code: string | undefined
  /** What happened, in words, where it did not go well. Never text of a prompt or a secret. */
  readonly detail: string | undefined
  readonly explanation: Explanation | undefined
  readonly estimatedPromptTokens: Tokens | undefined
  /** Time in the gateway that was neither queue nor upstream. */
  readonly gatewayOverheadMs: Ms | undefined
  readonly traceparent: string | undefined
}
