import { readdir, stat } from 'node:fs/promises'
import { Gauge, type Registry } from 'prom-client'

const NAME = 'process_open_fds'
const FOLDER = '/proc/self/fd'

/**
 * prom-client counts open files by listing them while everything waits, which takes milliseconds with thousands of streams. Linux
 * tells their number as the folder's size (since 6.2); where it does not, they are listed beside the event loop.
 */
export function countOpenFilesCheaply(registry: Registry): void {
  const counted = registry.getSingleMetric(NAME)
  if (counted === undefined) return
  registry.removeSingleMetric(NAME)
  new Gauge({
    name: NAME, help: 'Number of open file descriptors.', registers: [registry],
    async collect() {
      const count = await openFiles().catch(() => undefined)
      if (count !== undefined) this.set(count)
    },
  })
}

async function openFiles(): Promise<number> {
  const { size } = await stat(FOLDER)
  return size > 0 ? size : (await readdir(FOLDER)).length
}
