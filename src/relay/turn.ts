/** Has something to write that can wait for a moment. */
export interface Writer {
  /** Writes it. Called once for each time it asked. */
  flush(): void
}

/** Enough to share what waking costs, and few enough that a first token does not wait for a crowd of requests to be read. */
const MOST_TOGETHER = 4

let waiting: Writer[] = []
let scheduled = false

/**
 * Calls `writer.flush()` when a few have gathered, at the latest when this turn of the loop has read all that had arrived. Writes that leave
 * together wake the process at the other end once, where each of them alone would wake it, and waking costs more than writing.
 */
export function leaveTogether(writer: Writer): void {
  if (waiting.push(writer) === MOST_TOGETHER) return flush()
  if (scheduled) return
  scheduled = true
  setImmediate(endOfTurn)
}

function endOfTurn(): void {
  scheduled = false
  flush()
}

function flush(): void {
  const batch = waiting
  waiting = []
  for (const writer of batch) writer.flush()
}
