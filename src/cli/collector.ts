import { availableParallelism } from 'node:os'
import { PerformanceObserver } from 'node:perf_hooks'
import { getHeapSpaceStatistics, setFlagsFromString } from 'node:v8'

/**
 * What the garbage collector hands to helper threads. Without `parallel-marking`: the engine does not survive that one being
 * switched off while it runs.
 */
const HELPED = ['concurrent-marking', 'concurrent-sweeping', 'concurrent-array-buffer-sweeping', 'parallel-scavenge', 'parallel-compaction', 'parallel-pointer-update']

/**
 * Bytes of new objects between two short rounds of the collector. A round copies what lives of them, and all streams wait meanwhile: with the engine's own
 * 16 to 32 MiB that is each stream of the last seconds. With less than this what lives on is old before its stream ends, and long rounds become frequent.
 */
const MOST_YOUNG_BYTES = 8 * 1024 * 1024

/**
 * How the garbage collector works in a gateway's process. To be called before there is much to collect.
 *
 * Where objects have mostly survived a few short rounds, as those of streams do, the engine makes later ones old from the start. All requests pass
 * through the same code, so it did that to those that are gone in a millisecond too: they wait among the old for a long round, and what they refer to is
 * copied as if it lived. `--trace-gc-nvp` shows it in what each short round promotes, `--trace-pretenuring-statistics` when the engine decides so.
 *
 * How long a short round takes is a matter of objects, hardly of their bytes, and a property that holds a fraction is an object by itself. So what lives as
 * long as a stream keeps its times in one array (`TrackedRequest`, `Lease`, `Figures`, `RunTimeline`, `Attempt`), and nothing that its answer does not need.
 *
 * On a single core helpers of the collector run when the event loop does not: they make nothing shorter, cost a switch each, and a stream waits
 * for their time slices. There the loop collects by itself, in small steps (`npm run bench:relay` gives each proxy one core).
 */
export function setUpCollector(cores = availableParallelism()): void {
  setFlagsFromString('--no-allocation-site-pretenuring')
  boundYoung()
  if (cores > 1) return
  for (const what of HELPED) setFlagsFromString(`--no-${what}`)
}

/** The engine takes its own bound from the command line alone; by how much the space grows at a time it asks whenever it lets it grow. */
function boundYoung(): void {
  const growOrStay = () => {
    const young = getHeapSpaceStatistics().find(space => space.space_name === 'new_space')!
    const bytes = young.space_used_size + young.space_available_size
    setFlagsFromString(`--semi-space-growth-factor=${2 * bytes <= MOST_YOUNG_BYTES ? 2 : 1}`)
  }
  growOrStay()
  // An idle gateway's shrinks, and has to grow again.
  new PerformanceObserver(growOrStay).observe({ entryTypes: ['gc'] })
}
