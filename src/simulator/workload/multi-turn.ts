import { exponential, logNormal, type Ms, type Random, type Tokens } from '../../core/index.js'
import { EventHeap } from '../heap.js'
import { drawLengths, type Lengths, type LengthTable } from './lengths.js'
import type { RequestSource, SourcedRequest } from './workload.js'

/** Conversations: every turn sends the application's system prompt, the whole history and a new message. */
export interface MultiTurnShape {
  readonly blockTokens: Tokens
  /** Applications; their system prompts have lengths evenly spread over `systemTokens`. */
  readonly apps: number
  readonly systemTokens: readonly [Tokens, Tokens]
  readonly meanTurns: number
  readonly maxTurns: number
  /** Messages are log-normal around this median, with a deviation of 1 of the logarithm. */
  readonly medianMessageTokens: Tokens
  /** Mean pause between an answer and the next turn; exponential, at least 1 s. */
  readonly thinkMs: Ms
}

/** Time that a client spends on reading one token of an answer: turns come in time even if answers do not (open loop). */
const READING_MS_PER_TOKEN = 40
const MESSAGE_SIGMA = 1

interface Session {
  readonly id: number
  readonly app: number
  readonly turns: number
  turn: number
  /** Tokens of the system prompt and of all turns so far. */
  tokens: Tokens
}

/** An open-loop source: sessions start as a Poisson process, so that the offered load does not depend on how they are served. */
export class MultiTurnSource implements RequestSource {
  private readonly pending = new EventHeap()
  private readonly sessions = new Map<number, Session>()
  private readonly sessionGapMs: Ms
  private readonly drawn: Lengths = { promptTokens: 0, outputTokens: 0 }
  private readonly blocks: readonly number[][]
  private nextSession = 0
  private nextSessionMs: Ms

  constructor(private readonly outputs: LengthTable, private readonly shape: MultiTurnShape, ratePerSecond: number, private readonly lengths: Random, private readonly arrivals: Random) {
    this.sessionGapMs = 1000 * expectedTurns(shape) / ratePerSecond
    // Starts in the past, so that conversations of every age are going on at time 0.
    const meanTurnMs = shape.thinkMs + 1000 + READING_MS_PER_TOKEN * 200
    this.nextSessionMs = -shape.maxTurns * meanTurnMs
    this.blocks = Array.from({ length: shape.apps }, (_, app) => Array.from({ length: Math.floor(this.systemTokens(app) / shape.blockTokens) }, (_, i) => app * 4096 + i))
  }

  next(): SourcedRequest {
    for (;;) {
      while (this.pending.size === 0 || this.nextSessionMs <= this.pending.nextTimeMs) this.startSession()
      this.pending.pop()
      const request = this.turn(this.sessions.get(this.pending.subject)!, this.pending.timeMs)
      if (request.arrivalMs >= 0) return request
    }
  }

  private startSession(): void {
    const { meanTurns, maxTurns, apps } = this.shape
    const id = this.nextSession++
    const app = Math.floor(this.lengths.next() * apps)
    const turns = Math.min(maxTurns, 1 + Math.floor(Math.log(1 - this.lengths.next()) / Math.log(1 - 1 / meanTurns)))
    this.sessions.set(id, { id, app, turns, turn: 0, tokens: this.systemTokens(app) })
    this.pending.push(this.nextSessionMs, 0, id)
    this.nextSessionMs += exponential(this.arrivals, this.sessionGapMs)
  }

  private turn(session: Session, arrivalMs: Ms): SourcedRequest {
    const { shape, lengths } = this
    const promptTokens = session.tokens + Math.max(1, Math.round(logNormal(lengths, shape.medianMessageTokens, MESSAGE_SIGMA)))
    drawLengths(this.outputs, lengths, this.drawn)
    const outputTokens = this.drawn.outputTokens
    session.tokens = promptTokens + outputTokens
    session.turn++
    if (session.turn < session.turns) {
      this.pending.push(arrivalMs + outputTokens * READING_MS_PER_TOKEN + Math.max(1000, exponential(this.arrivals, shape.thinkMs)), 0, session.id)
    } else this.sessions.delete(session.id)
    return { arrivalMs, classIndex: 0, promptTokens, outputTokens, prefixBlocks: this.blocksOf(session, promptTokens), sessionKey: `s${session.id}` }
  }

  /** The system prompt's blocks are the application's, all others the session's own, by position. */
  private blocksOf(session: Session, promptTokens: Tokens): number[] {
    const shared = this.blocks[session.app]!
    const count = Math.floor(promptTokens / this.shape.blockTokens)
    const blocks = shared.slice(0, count)
    for (let i = blocks.length; i < count; i++) blocks.push((session.id + this.shape.apps) * 4096 + i)
    return blocks
  }

  private systemTokens(app: number): Tokens {
    const [least, most] = this.shape.systemTokens
    return Math.round(least + (most - least) * (app + 0.5) / this.shape.apps)
  }
}

/** Mean of a geometric number of turns (success 1/meanTurns) that is cut at `maxTurns`. */
function expectedTurns({ meanTurns, maxTurns }: MultiTurnShape): number {
  return meanTurns * (1 - Math.pow(1 - 1 / meanTurns, maxTurns))
}
