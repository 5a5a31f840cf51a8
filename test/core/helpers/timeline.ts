import type { Timeline } from '../../../src/core/index.js'

/** A timeline with nothing reached, changed as the test says. */
export function timelineOf(change: Partial<Timeline>): Timeline {
  return {
    id: 'r1', receivedAtMs: 0, classifiedAtMs: undefined, queuedAtMs: undefined, dispatchedAtMs: undefined, connectedAtMs: undefined,
    firstTokenAtMs: undefined, lastTokenAtMs: undefined, endedAtMs: undefined, ending: undefined, streamed: true,
    promptTokens: undefined, cachedTokens: undefined, outputTokens: undefined, outputTokensEstimated: false, attempts: 0,
    pool: undefined, backend: undefined, maxLatenessMs: 0, ...change,
  }
}
