/** Has something to write that can wait for a moment. */
export interface Writer {
  /** Writes it. Called once for each time it asked. */
  flush(): void
}

/** A request that has been read and wants to be decided upon. */
export interface Entrant {
  enter(): void
}

/** A request that has ended and is to be written into the books. */
export interface Closed {
  book(): void
}

/** Enough to share what waking costs, and few enough that a first token does not wait for a crowd of requests to be read. */
const MOST_WRITERS = 8
/** Decided upon one after the other, so that the code for it is fetched once; few enough that the first does not wait for a crowd to be read. */
const MOST_ENTRANTS = 16

/** Work of one kind that has gathered in this turn of the loop. Its array stays: streams would need a new one every few events. */
class Gathering<T> {
  readonly #most: number
  readonly #act: (item: T) => void
  readonly #items: (T | undefined)[] = []
  #count = 0
  #running = false

  constructor(most: number, act: (item: T) => void) {
    this.#most = most
    this.#act = act
  }

  add(item: T): void {
    this.#items[this.#count++] = item
    if (this.#count === this.#most && !this.#running) this.run()
    else schedule()
  }

  run(): void {
    if (this.#running || this.#count === 0) return
    this.#running = true
    // What comes meanwhile waits for the next turn.
    const count = this.#count
    let done = 0
    try {
      while (done < count) {
        const item = this.#items[done]!
        this.#items[done++] = undefined
        this.#act(item)
      }
    } finally {
      this.#running = false
      // One that fails must not take those behind it along.
      const left = this.#count - done
      for (let at = 0; at < left; at++) {
        this.#items[at] = this.#items[done + at]
        this.#items[done + at] = undefined
      }
      this.#count = left
      if (left > 0) schedule()
    }
  }
}

// At the end of a turn in this order: what is decided upon then still leaves in the same turn, and books wait for what leaves.
const entrants = new Gathering<Entrant>(MOST_ENTRANTS, entrant => { entrant.enter() })
const writers = new Gathering<Writer>(MOST_WRITERS, writer => { writer.flush() })
const books = new Gathering<Closed>(Infinity, closed => { closed.book() })

let scheduled = false

function schedule(): void {
  if (scheduled) return
  scheduled = true
  setImmediate(settleTurn)
}

/** Does at once what waits for the end of the turn. */
export function settleTurn(): void {
  scheduled = false
  try {
    entrants.run()
  } finally {
    try {
      writers.run()
    } finally {
      books.run()
    }
  }
}

/**
 * Calls `writer.flush()` when a few have gathered, at the latest when this turn of the loop has read all that had arrived. Writes that leave
 * together wake the process at the other end once, where each of them alone would wake it, and waking costs more than writing.
 */
export function leaveTogether(writer: Writer): void {
  writers.add(writer)
}

/** Calls `entrant.enter()` when some have gathered, at the latest at the end of this turn. */
export function enterTogether(entrant: Entrant): void {
  entrants.add(entrant)
}

/** Calls `closed.book()` when all that leaves in this turn has left: nobody waits for the books. */
export function bookLater(closed: Closed): void {
  books.add(closed)
}
