import { noteLateness, type Explanation, type Ms, type PoolName, type Tokens } from '../core/index.js'
import type { ErrorCode } from '../protocol/index.js'
import type { AttemptOwner, AttemptResult, ClientOwner, Closed, Continuation, Entrant, GapRecorder } from '../relay/index.js'
import { headerSafe } from './answers.js'
import type { Lease } from './lease.js'
import type { AttemptRecord } from '../telemetry/index.js'
import { RunTimeline } from './timeline.js'
import type { Job } from './types.js'

/** What a run tells its runtime. */
export interface RunListener {
  onEnter(run: Run): void
  onBook(run: Run): void
  onFirstToken(run: Run): void
  onProgress(run: Run, tokens: Tokens): void
  onAttemptEnded(run: Run, result: AttemptResult): void
  onClientGone(run: Run): void
}

const NO_ATTEMPTS: readonly AttemptRecord[] = []
const NO_GAPS: GapRecorder = { record: () => {} }

/** One request on its way through the runtime: its timeline, its lease while it has one, and what its attempts report. */
export class Run implements AttemptOwner, ClientOwner, Entrant, Closed {
  readonly job: Job
  readonly timeline: RunTimeline
  readonly #listener: RunListener
  lease: Lease | undefined
  /** Keeps a broken answer going, where the route wants it and the request allows it. */
  continuation: Continuation | undefined
  explanation: Explanation | undefined
  /** How the latest attempt failed, while the request waits for another one. */
  failed: AttemptResult | undefined
  /** Those that have ended, where somebody is told of them one by one. */
  attempts = NO_ATTEMPTS
  admitted = false
  ended = false
  /** What the client got in the end. */
  end: { readonly status: number, readonly code: ErrorCode | undefined, readonly detail: string | undefined } | undefined
  gaps: GapRecorder = NO_GAPS

  constructor(job: Job, id: string, listener: RunListener) {
    this.job = job
    this.#listener = listener
    this.timeline = new RunTimeline(id, job.spec)
  }

  dispatched(lease: Lease, pool: PoolName, nowMs: Ms): void {
    this.lease = lease
    this.timeline.dispatchedAtMs = nowMs
    this.timeline.connectedAtMs = undefined
    this.timeline.attempts++
    this.timeline.pool = pool
    this.timeline.backend = lease.backend
  }

  enter(): void {
    this.#listener.onEnter(this)
  }

  book(): void {
    this.#listener.onBook(this)
  }

  /** Output tokens of earlier attempts that the client has. */
  get carriedTokens(): Tokens {
    return this.continuation === undefined ? 0 : this.continuation.carriedTokens
  }

  connected(nowMs: Ms): void {
    this.timeline.connectedAtMs = nowMs
  }

  firstToken(nowMs: Ms): void {
    const { timeline } = this
    if (timeline.firstTokenAtMs === undefined) timeline.firstTokenAtMs = nowMs
    // The gap that a continuation had to bridge.
    else if (timeline.lastTokenAtMs !== undefined) this.gaps.record(nowMs - timeline.lastTokenAtMs)
    this.#listener.onFirstToken(this)
  }

  tokens(total: Tokens, added: Tokens, nowMs: Ms): Ms {
    return noteLateness(this.timeline, this.job.spec.targets, this.carriedTokens + total - added + 1, nowMs)
  }

  progress(tokens: Tokens): void {
    this.#listener.onProgress(this, tokens)
  }

  attemptEnded(result: AttemptResult): void {
    this.#listener.onAttemptEnded(this, result)
  }

  clientGone(): void {
    this.#listener.onClientGone(this)
  }

  writeStalled(): void {
    // Closing the connection is what makes the client gone; the one way of leaving does the rest.
    this.job.client.cut()
  }

  /** Adds the gateway's own headers, as far as they are known by now. */
  headers(out: string[]): string[] {
    const { timeline, job } = this
    out.push('x-request-id', job.requestId, 'x-sluice-class', headerSafe(job.spec.class))
    if (timeline.pool !== undefined) out.push('x-sluice-pool', headerSafe(timeline.pool))
    if (timeline.backend !== undefined) out.push('x-sluice-backend', headerSafe(timeline.backend))
    if (timeline.dispatchedAtMs !== undefined) {
      const queueMs = (timeline.dispatchedAtMs - timeline.receivedAtMs).toFixed(1)
      out.push('x-sluice-queue-ms', queueMs, 'server-timing', `queue;dur=${queueMs}`)
    }
    out.push('x-sluice-attempts', String(timeline.attempts), ...job.limitHeaders)
    return out
  }
}
