/** Has something to write that can wait until all that has arrived is read. */
export interface Writer {
  /** Writes it. Called once for each time it asked. */
  flush(): void
}

let waiting: Writer[] = []
let spare: Writer[] = []

/**
 * Calls `writer.flush()` when this turn of the loop has read all that had arrived. Writes that leave together wake the process at the other end
 * once, where each of them alone would wake it, and waking costs more than writing: a third of a request's CPU
 * (`npm run bench:relay -- --only requests`). What waits does so for no longer than the reading takes.
 */
export function atEndOfTurn(writer: Writer): void {
  if (waiting.push(writer) === 1) setImmediate(flush)
}

function flush(): void {
  const batch = waiting
  waiting = spare
  for (const writer of batch) writer.flush()
  batch.length = 0
  spare = batch
}
