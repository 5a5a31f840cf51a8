import { setImmediate as nextTurn } from 'node:timers/promises'
import type { Registry } from 'prom-client'
import { CounterFamily, GaugeFamily, HistogramFamily } from './family.js'

/** Text rendered before the event loop gets a turn: well below a millisecond's work. */
const TURN_CHARS = 32 * 1024

/** All metrics in the Prometheus text format. Streams go on between its parts. */
export async function renderMetrics(registry: Registry): Promise<string> {
  const parts: string[] = []
  let chars = 0
  // Gauges have just been read, which takes a millisecond or so of its own.
  await nextTurn()
  for (const metric of registry.getMetricsAsArray() as readonly unknown[]) {
    const part = metric instanceof CounterFamily || metric instanceof GaugeFamily || metric instanceof HistogramFamily
      ? metric.render()
      : `${await registry.getSingleMetricAsString((metric as { name: string }).name)}\n`
    parts.push(part)
    chars += part.length
    if (chars < TURN_CHARS) continue
    chars = 0
    await nextTurn()
  }
  return parts.join('')
}
