import { setImmediate as nextTurn } from 'node:timers/promises'
import type { Registry } from 'prom-client'
import { CounterFamily, GaugeFamily, HistogramFamily } from './family.js'
import { TextBuffer } from './lines.js'

/** Bytes rendered before the event loop gets a turn: a tenth of a millisecond's work. */
const TURN_BYTES = 16 * 1024
/** Room for a text that is a little longer than the one before. */
const MARGIN_BYTES = 16 * 1024

/** All metrics in the Prometheus text format, as UTF-8. Streams go on between its parts. */
export class Exposition {
  readonly #registry: Registry
  #bytes = 0

  constructor(registry: Registry) {
    this.#registry = registry
  }

  async render(): Promise<Buffer> {
    const text = new TextBuffer(this.#bytes + MARGIN_BYTES)
    let rendered = 0
    for (const metric of this.#registry.getMetricsAsArray() as readonly unknown[]) {
      if (metric instanceof CounterFamily || metric instanceof GaugeFamily || metric instanceof HistogramFamily) {
        metric.render(text)
        if (text.length - rendered < TURN_BYTES) continue
      } else {
        // Of prom-client's own some ask the process for each of its sockets.
        text.write(`${await this.#registry.getSingleMetricAsString((metric as { name: string }).name)}\n`)
      }
      rendered = text.length
      await nextTurn()
    }
    this.#bytes = text.length
    return text.bytes()
  }
}
