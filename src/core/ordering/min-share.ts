import type { ClassName, Ms, ServiceClass } from '../types.js'

/** Memory of what became of a class's requests. */
const TIME_CONSTANT_MS = 10_000
/** Fewer requests than this, decayed, say nothing. */
const MIN_REQUESTS = 5
/** A class that lacks this part of its least share is owed all that it can be, */
const ALL_OWED = 1 / 6
/** and one that has so much more than all others has all the time that it can have. */
const ALL_AHEAD = 1 / 5

/** Decayed counts of requests that left the queue: all of them, and those that met their targets or may yet. */
interface Kept {
  asked: number
  served: number
  atMs: Ms
}

/**
 * Whether each class keeps its share. In overload the guards turn away what costs others most, and that is one class more than the
 * rest, while work that has time is served whole. A class of which a smaller part meets its targets than `minShare` times that of
 * all requests is owed something.
 */
export class MinShare {
  readonly #classes = new Map<ClassName, Kept>()

  /** A request left the queue; `hopeful` = it was sent, with its targets in reach. */
  left({ name }: ServiceClass, hopeful: boolean, nowMs: Ms): void {
    let kept = this.#classes.get(name)
    if (kept === undefined) {
      kept = { asked: 0, served: 0, atMs: nowMs }
      this.#classes.set(name, kept)
    }
    decay(kept, nowMs)
    kept.asked++
    if (hopeful) kept.served++
  }

  /** What was sent at `sentAtMs` has ended: what was hoped is replaced by what became of it. */
  ended({ name }: ServiceClass, hopeful: boolean, met: boolean, sentAtMs: Ms, nowMs: Ms): void {
    const kept = this.#classes.get(name)
    if (kept === undefined || hopeful === met) return
    decay(kept, nowMs)
    kept.served = Math.max(0, kept.served + (met ? 1 : -1) * Math.exp((sentAtMs - nowMs) / TIME_CONSTANT_MS))
  }

  /** What the class is owed, 0–1: in proportion to what it lacks of its least share. 0 = it has all of it, or nothing is known. */
  owed(serviceClass: ServiceClass, nowMs: Ms): number {
    const share = this.#relativeShare(serviceClass, nowMs)
    return share === undefined ? 0 : Math.min(1, Math.max(0, 1 - share / serviceClass.minShare) / ALL_OWED)
  }

  /** How far the class is ahead of all others, 0–1. */
  ahead(serviceClass: ServiceClass, nowMs: Ms): number {
    const share = this.#relativeShare(serviceClass, nowMs)
    return share === undefined ? 0 : Math.min(1, Math.max(0, share - 1) / ALL_AHEAD)
  }

  /** Share of the class that is served over that of all; undefined = not known, or it takes no part. */
  #relativeShare({ name, minShare }: ServiceClass, nowMs: Ms): number | undefined {
    const own = this.#classes.get(name)
    if (own === undefined || minShare === 0) return undefined
    let asked = 0
    let served = 0
    for (const kept of this.#classes.values()) {
      decay(kept, nowMs)
      asked += kept.asked
      served += kept.served
    }
    return own.asked < MIN_REQUESTS || served === 0 ? undefined : own.served / own.asked / (served / asked)
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
