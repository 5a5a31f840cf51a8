/**
 * Objects by id that come and go by the thousand a second. A `Map` would do, but for the collector: every so many deletions it makes itself
 * a new table, and the engine links each table it leaves behind to the next. Once one of these is old, all that the later ones held
 * outlives every short collection, dead or not: most of each request, and its copying is what streams then wait for
 * (`test/http/leaks.test.ts` prints the bytes). Here the tables that are left behind hold numbers.
 */
export class ById<T> {
  readonly #slots = new Map<string, number>()
  readonly #items: (T | undefined)[] = []
  readonly #free: number[] = []

  get size(): number {
    return this.#slots.size
  }

  has(id: string): boolean {
    return this.#slots.has(id)
  }

  get(id: string): T | undefined {
    const slot = this.#slots.get(id)
    return slot === undefined ? undefined : this.#items[slot]
  }

  set(id: string, item: T): void {
    const slot = this.#slots.get(id) ?? this.#free.pop() ?? this.#items.length
    this.#slots.set(id, slot)
    this.#items[slot] = item
  }

  /** False if there was none. */
  delete(id: string): boolean {
    const slot = this.#slots.get(id)
    if (slot === undefined) return false
    this.#slots.delete(id)
    this.#items[slot] = undefined
    this.#free.push(slot)
    return true
  }

  /** In no order that means anything. What is added meanwhile may be left out. */
  * values(): Generator<T> {
    for (const item of this.#items) if (item !== undefined) yield item
  }
}
