import { readdir, stat } from 'node:fs/promises'
import { Gauge, type Registry } from 'prom-client'
import type { Ms } from '../core/index.js'

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

/** What prom-client counts by walking over every socket: some five milliseconds each with thousands of streams, in which none goes on. */
const WALKS = ['nodejs_active_handles', 'nodejs_active_handles_total', 'nodejs_active_resources', 'nodejs_active_resources_total', 'nodejs_active_requests', 'nodejs_active_requests_total']
const WALK_EVERY_MS: Ms = 60_000

/** Such counts are made once a minute, however often they are asked for. */
export function countSocketsRarely(registry: Registry, now: () => Ms): void {
  for (const name of WALKS) {
    // Not in prom-client's types, yet what every gauge is collected by.
    const gauge = registry.getSingleMetric(name) as { collect?: () => unknown } | undefined
    const { collect } = gauge ?? {}
    if (gauge === undefined || collect === undefined) continue
    let countedAtMs = -Infinity
    gauge.collect = () => {
      if (now() - countedAtMs < WALK_EVERY_MS) return undefined
      countedAtMs = now()
      return collect.call(gauge)
    }
  }
}

async function openFiles(): Promise<number> {
  const { size } = await stat(FOLDER)
  return size > 0 ? size : (await readdir(FOLDER)).length
}
