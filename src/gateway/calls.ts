/** Calls that run past the runtime: how many, and who waits for them to end. */
export class Calls {
  #running = 0
  readonly #waiting: (() => void)[] = []

  begin(): void {
    this.#running++
  }

  end(): void {
    if (--this.#running === 0) for (const resolve of this.#waiting.splice(0)) resolve()
  }

  /** Resolves when none runs. */
  none(): Promise<void> {
    return this.#running === 0 ? Promise.resolve() : new Promise(resolve => { this.#waiting.push(resolve) })
  }
}
