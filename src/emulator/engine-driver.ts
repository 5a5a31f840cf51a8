import type { Clock, Ms } from '../core/index.js'
import type { EngineModel, EngineRequest, Sequence, StepReport } from '../simulator/engine/index.js'

/** What the driver calls as time passes; one per sequence. */
export interface TokenReceiver {
  /** A token was made. */
  token(sequence: EmulatedSequence): void
  /** The sequence is complete; comes after its last token. */
  finished(sequence: EmulatedSequence): void
}

export type EmulatedSequence = Sequence<TokenReceiver>

/** Most steps in one turn of the event loop, so that sockets are served while time is caught up. */
const STEPS_PER_TURN = 32

/**
 * Runs an engine model in real time: one timer, armed for the end of the step under way. Each step begins where the last one
 * ended, not when the timer fired, so lateness never adds up.
 */
export class EngineDriver {
  readonly model: EngineModel<TokenReceiver>
  readonly #clock: Clock
  readonly #observe: (report: StepReport<TokenReceiver>) => void
  #timer: NodeJS.Timeout | undefined
  #turn: NodeJS.Immediate | undefined
  #stopped = false

  constructor (model: EngineModel<TokenReceiver>, clock: Clock, observe: (report: StepReport<TokenReceiver>) => void) {
    this.model = model
    this.#clock = clock
    this.#observe = observe
  }

  /** `undefined` = the engine is full. */
  submit (request: EngineRequest<TokenReceiver>): EmulatedSequence | undefined {
    const sequence = this.model.submit(request, this.#clock.now())
    // A turn of grace, so that the answers of one request, and requests of one burst, begin in the same step.
    if (this.model.endsAtMs === Infinity && this.#turn === undefined && !this.#stopped) {
      this.#turn = setImmediate(() => {
        this.#turn = undefined
        if (this.model.endsAtMs === Infinity) this.#deliver(this.model.step(this.#clock.now()))
        this.#run()
      })
    }
    return sequence
  }

  abort (sequence: EmulatedSequence): Ms {
    const nowMs = this.#clock.now()
    this.model.abort(sequence, nowMs)
    return nowMs
  }

  stop (): void {
    this.#stopped = true
    clearTimeout(this.#timer)
    clearImmediate(this.#turn)
  }

  readonly #run = (): void => {
    if (this.#stopped) return
    const nowMs = this.#clock.now()
    let steps = 0
    while (this.model.endsAtMs <= nowMs) {
      if (++steps > STEPS_PER_TURN) {
        this.#turn ??= setImmediate(() => {
          this.#turn = undefined
          this.#run()
        })
        return
      }
      this.#deliver(this.model.step(this.model.endsAtMs))
    }
    clearTimeout(this.#timer)
    if (this.model.endsAtMs !== Infinity) this.#timer = setTimeout(this.#run, Math.ceil(this.model.endsAtMs - nowMs))
  }

  #deliver (report: StepReport<TokenReceiver>): void {
    this.#observe(report)
    const { emitted, finished } = report
    for (let i = 0; i < emitted.length; i++) {
      const sequence = emitted[i] as EmulatedSequence
      if (sequence.state !== 'aborted') sequence.tag.token(sequence)
    }
    for (let i = 0; i < finished.length; i++) {
      const sequence = finished[i] as EmulatedSequence
      sequence.tag.finished(sequence)
    }
  }
}
