import fp from 'fastify-plugin'
import { Dashboard, PAGE_HEADERS, readAssets } from '../../dashboard/index.js'
import type { AdminPlaneOptions } from './deps.js'

/** A reader that is this far behind reads no more: it is let go, and comes again by itself. */
const MAX_BEHIND_BYTES = 8 * 1024 * 1024
/** Pages open at once; each costs a picture a second. */
const MAX_READERS = 50

/** The page at `/`, its files, and the figures that it shows as server-sent events. */
export const dashboard = fp<AdminPlaneOptions>(async (app, { telemetry, fleet, runtime, clock, version, config }) => {
  const figures = new Dashboard({
    telemetry, clock, version, config,
    scheduler: () => runtime.schedulerState(),
    backends: () => fleet.snapshot(),
    pools: () => fleet.pools,
    draining: () => runtime.draining,
  })
  const ends = new Set<() => void>()
  app.addHook('onReady', async () => { figures.start() })
  app.addHook('preClose', async () => {
    figures.stop()
    for (const end of ends) end()
  })

  for (const { path, type, body } of readAssets()) {
    app.get(path, (_request, reply) => reply.headers({ ...PAGE_HEADERS, 'content-type': type }).send(body))
  }

  app.get<{ Querystring: { persona?: string | string[] } }>('/api/dashboard', (request, reply) => {
    if (ends.size >= MAX_READERS) {
      const [oldest] = ends
      oldest!()
    }
    const { persona = 'all:all' } = request.query
    const { raw } = reply.hijack()
    raw.writeHead(200, { 'content-type': 'text/event-stream; charset=utf-8', 'cache-control': 'no-cache, no-transform', 'x-accel-buffering': 'no', 'x-content-type-options': 'nosniff' })
    const end = () => {
      unsubscribe()
      ends.delete(end)
      raw.destroy()
    }
    ends.add(end)
    const unsubscribe = figures.subscribe(String(persona).slice(0, 200), (json) => {
      if (raw.writableLength > MAX_BEHIND_BYTES) return end()
      raw.write(`data: ${json}\n\n`)
    })
    raw.on('close', end)
  })
}, { name: 'admin-dashboard' })
