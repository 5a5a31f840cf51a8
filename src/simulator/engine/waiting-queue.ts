import type { Sequence } from './sequence.js'

/** First come, first served; a preempted sequence goes back to the front. Entries that were aborted meanwhile are skipped. */
export class WaitingQueue<Tag> {
  #items: Array<Sequence<Tag> | undefined> = []
  #head = 0
  #live = 0

  /** Sequences that still wait. */
  get size (): number {
    return this.#live
  }

  push (sequence: Sequence<Tag>): void {
    this.#items.push(sequence)
    this.#live++
  }

  pushFront (sequence: Sequence<Tag>): void {
    if (this.#head > 0) this.#items[--this.#head] = sequence
    else this.#items.unshift(sequence)
    this.#live++
  }

  /** The caller has marked a waiting sequence as aborted. */
  forget (): void {
    this.#live--
  }

  peek (): Sequence<Tag> | undefined {
    while (this.#head < this.#items.length) {
      const first = this.#items[this.#head]
      if (first?.state === 'waiting') return first
      this.#drop()
    }
    return undefined
  }

  /** Remove what `peek` returned. */
  shift (): void {
    this.#drop()
    this.#live--
  }

  #drop (): void {
    this.#items[this.#head++] = undefined
    if (this.#head === this.#items.length) {
      this.#items.length = 0
      this.#head = 0
    } else if (this.#head > 1024 && this.#head * 2 > this.#items.length) {
      this.#items = this.#items.slice(this.#head)
      this.#head = 0
    }
  }
}
