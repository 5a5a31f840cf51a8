import { availableParallelism } from 'node:os'
import { setFlagsFromString } from 'node:v8'

/**
 * What the garbage collector hands to helper threads. Without `parallel-marking`: the engine does not survive that one being
 * switched off while it runs.
 */
const HELPED = ['concurrent-marking', 'concurrent-sweeping', 'concurrent-array-buffer-sweeping', 'parallel-scavenge', 'parallel-compaction', 'parallel-pointer-update']

/**
 * How the garbage collector works in a gateway's process. To be called before there is much to collect.
 *
 * Where objects have mostly survived a few short rounds, as those of streams do, the engine makes later ones old from the start. All requests pass
 * through the same code, so it did that to those that are gone in a millisecond too: they wait among the old for a long round, and what they refer to is
 * copied as if it lived. `--trace-gc-nvp` shows it in what each short round promotes, `--trace-pretenuring-statistics` when the engine decides so.
 *
 * On a single core helpers of the collector run when the event loop does not: they make nothing shorter, cost a switch each, and a stream waits
 * for their time slices. There the loop collects by itself, in small steps (`npm run bench:relay` gives each proxy one core).
 */
export function setUpCollector(cores = availableParallelism()): void {
  setFlagsFromString('--no-allocation-site-pretenuring')
  if (cores > 1) return
  for (const what of HELPED) setFlagsFromString(`--no-${what}`)
}
