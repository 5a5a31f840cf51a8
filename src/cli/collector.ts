import { availableParallelism } from 'node:os'
import { setFlagsFromString } from 'node:v8'

/**
 * What the garbage collector hands to helper threads. Without `parallel-marking`: the engine does not survive that one being
 * switched off while it runs.
 */
const HELPED = ['concurrent-marking', 'concurrent-sweeping', 'concurrent-array-buffer-sweeping', 'parallel-scavenge', 'parallel-compaction', 'parallel-pointer-update']

/**
 * On a single core helpers of the collector run when the event loop does not: they make nothing shorter, cost a switch each, and a stream waits
 * for their time slices. There the loop collects by itself, in small steps (`npm run bench:relay` gives each proxy one core). To be called before
 * there is much to collect.
 */
export function collectWithoutHelpersOnOneCore(cores = availableParallelism()): void {
  if (cores > 1) return
  for (const what of HELPED) setFlagsFromString(`--no-${what}`)
}
