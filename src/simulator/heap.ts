/**
 * Events of a simulation in time order, ties in the order of arrival. A binary heap over typed arrays: an event is a
 * time and two small integers, so that nothing is allocated per event.
 */
export class EventHeap {
  private times = new Float64Array(256)
  private order = new Float64Array(256)
  private kinds = new Int32Array(256)
  private subjects = new Int32Array(256)
  private count = 0
  private pushed = 0

  /** Of the event that `pop` took last. */
  timeMs = 0
  kind = 0
  subject = 0

  get size(): number {
    return this.count
  }

  /** Time of the earliest event; meaningless when there is none. */
  get nextTimeMs(): number {
    return this.times[0]!
  }

  push(timeMs: number, kind: number, subject: number): void {
    if (this.count === this.times.length) this.grow()
    const order = this.pushed++
    let i = this.count++
    while (i > 0) {
      const parent = (i - 1) >> 1
      if (this.times[parent]! <= timeMs) break // the newest event loses every tie
      this.move(parent, i)
      i = parent
    }
    this.put(i, timeMs, order, kind, subject)
  }

  /** Takes the earliest event into `timeMs`, `kind` and `subject`; false when there is none. */
  pop(): boolean {
    if (this.count === 0) return false
    this.timeMs = this.times[0]!
    this.kind = this.kinds[0]!
    this.subject = this.subjects[0]!
    const last = --this.count
    if (last === 0) return true
    const timeMs = this.times[last]!
    const order = this.order[last]!
    let i = 0
    for (;;) {
      let child = 2 * i + 1
      if (child >= last) break
      if (child + 1 < last && this.before(child + 1, child)) child++
      const childTime = this.times[child]!
      if (timeMs < childTime || (timeMs === childTime && order < this.order[child]!)) break
      this.move(child, i)
      i = child
    }
    this.put(i, timeMs, order, this.kinds[last]!, this.subjects[last]!)
    return true
  }

  private before(a: number, b: number): boolean {
    const ta = this.times[a]!
    const tb = this.times[b]!
    return ta < tb || (ta === tb && this.order[a]! < this.order[b]!)
  }

  private move(from: number, to: number): void {
    this.put(to, this.times[from]!, this.order[from]!, this.kinds[from]!, this.subjects[from]!)
  }

  private put(i: number, timeMs: number, order: number, kind: number, subject: number): void {
    this.times[i] = timeMs
    this.order[i] = order
    this.kinds[i] = kind
    this.subjects[i] = subject
  }

  private grow(): void {
    const size = this.times.length * 2
    const times = new Float64Array(size)
    times.set(this.times)
    this.times = times
    const order = new Float64Array(size)
    order.set(this.order)
    this.order = order
    const kinds = new Int32Array(size)
    kinds.set(this.kinds)
    this.kinds = kinds
    const subjects = new Int32Array(size)
    subjects.set(this.subjects)
    this.subjects = subjects
  }
}
