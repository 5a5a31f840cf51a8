import { e2eMs, queueMs, tpotMs, ttftMs, type Ms } from '../core/index.js'
import type { RequestRecord } from './record.js'

/** Text of a client's in a log line is cut to this. */
const MAX_TEXT = 200

/**
 * A request's log line, in the form of the logger's others. Made by the engine's own JSON writer, which does less per member, since there
 * are no secrets to look for (`npm run bench:relay -- --profile`: log writer).
 */
export function requestLine(record: RequestRecord, level: 'info' | 'warn', wallNowMs: Ms): string {
  return `{"level":"${level}","time":"${new Date(wallNowMs).toISOString()}",${JSON.stringify(requestMembers(record)).slice(1, -1)},"message":"request"}\n`
}

/** The whole story of a request, flat; members that do not apply are undefined, and so absent from its JSON. */
export function requestMembers(record: RequestRecord): Record<string, string | number | boolean | undefined> {
  const { timeline, explanation } = record
  return {
    request_id: timeline.id,
    outcome: record.outcome,
    status: record.status,
    code: record.code,
    detail: clip(record.detail),
    route: record.route,
    class: record.class,
    tenant: record.tenant,
    model: clip(record.model),
    path: clip(record.path),
    pool: timeline.pool,
    backend: timeline.backend,
    attempts: timeline.attempts,
    streamed: timeline.streamed,
    queue_ms: rounded(queueMs(timeline)),
    ttft_ms: rounded(ttftMs(timeline)),
    tpot_ms: rounded(tpotMs(timeline)),
    duration_ms: rounded(e2eMs(timeline)),
    overhead_ms: rounded(record.gatewayOverheadMs),
    prompt_tokens: timeline.promptTokens ?? record.estimatedPromptTokens,
    prompt_tokens_estimated: timeline.promptTokens === undefined && record.estimatedPromptTokens !== undefined ? true : undefined,
    cached_tokens: timeline.cachedTokens,
    output_tokens: timeline.outputTokens,
    output_tokens_estimated: timeline.outputTokensEstimated ? true : undefined,
    target_ttft_ms: record.targets.ttftMs,
    target_tpot_ms: record.targets.tpotMs,
    target_deadline_ms: record.targets.deadlineMs,
    policy: explanation?.policy,
    verdict: explanation?.verdict,
    would_reject: explanation?.wouldReject,
    probe: explanation?.probe,
    predicted_ttft_ms: rounded(explanation?.predictedTtftMs),
    predicted_tpot_ms: rounded(explanation?.predictedTpotMs),
    slack_ms: rounded(explanation?.slackMs),
    held_by: explanation?.heldBy,
    traceparent: record.traceparent,
  }
}

function clip(text: string | undefined): string | undefined {
  return text !== undefined && text.length > MAX_TEXT ? `${text.slice(0, MAX_TEXT)}…` : text
}

/** Microseconds are enough for anybody who reads. */
function rounded(ms: Ms | undefined): Ms | undefined {
  return ms === undefined ? undefined : Math.round(ms * 1000) / 1000
}
