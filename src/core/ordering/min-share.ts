import type { ClassName, Ms, ServiceClass } from '../types.js'

/** Memory of what became of a class's requests. */
const TIME_CONSTANT_MS = 10_000
/** Fewer requests than this, decayed, say nothing. */
const MIN_REQUESTS = 5

/** Decayed counts of requests that left the queue: all of them, and those that were sent while they could still make it. */
interface Kept {
  asked: number
  served: number
  atMs: Ms
}

/**
 * Whether each class keeps its share. In overload the guards turn away what costs others most, and that is one class more than the
 * rest. A class of which a smaller part is served in time than `minShare` times that of all requests is owed something.
 */
export class MinShare {
  readonly #classes = new Map<ClassName, Kept>()

  /** A request left the queue; `inTime` = it was sent, with its first-token target in reach. */
  left({ name }: ServiceClass, inTime: boolean, nowMs: Ms): void {
    let kept = this.#classes.get(name)
    if (kept === undefined) {
      kept = { asked: 0, served: 0, atMs: nowMs }
      this.#classes.set(name, kept)
    }
    decay(kept, nowMs)
    kept.asked++
    if (inTime) kept.served++
  }

  /** What the class lacks of its least share, 0–1; 0 = it has all of it, or nothing is known. */
  owed({ name, minShare }: ServiceClass, nowMs: Ms): number {
    const own = this.#classes.get(name)
    if (own === undefined || minShare === 0) return 0
    let asked = 0
    let served = 0
    for (const kept of this.#classes.values()) {
      decay(kept, nowMs)
      asked += kept.asked
      served += kept.served
    }
    if (own.asked < MIN_REQUESTS) return 0
    const least = minShare * served / asked
    const share = own.served / own.asked
    return share >= least ? 0 : 1 - share / least
  }

  /** Forget classes that the configuration no longer has. */
  keepOnly(names: ReadonlySet<ClassName>): void {
    for (const name of this.#classes.keys()) {
      if (!names.has(name)) this.#classes.delete(name)
    }
  }
}

function decay(kept: Kept, nowMs: Ms): void {
  if (nowMs === kept.atMs) return
  const factor = Math.exp((kept.atMs - nowMs) / TIME_CONSTANT_MS)
  kept.asked *= factor
  kept.served *= factor
  kept.atMs = nowMs
}
