/**
 * Who looks at the gateway, in a process of its own that gives way to all others: opens the dashboard's feed, reads it, and scrapes `/metrics`
 * again and again. Told by IPC where, and answers when it has begun; `stop` is answered when nothing is asked of the gateway any more.
 */
import { get } from 'node:http'
import { setPriority } from 'node:os'
import { setTimeout as pause } from 'node:timers/promises'

export interface LookOrder {
  readonly admin: string
  readonly scrapeMs: number
}

setPriority(19)

let stop = new AbortController()
let looking: Promise<unknown> = Promise.resolve()

/** Resolves at the end of the answer. What it says is for others. */
const read = (url: string, signal?: AbortSignal): Promise<void> => new Promise((resolve) => {
  const request = get(url, { agent: false, ...(signal && { signal }) }, (response) => response.resume().on('error', () => {}).on('close', resolve))
  request.on('error', () => { resolve() })
})

async function scrape({ admin, scrapeMs }: LookOrder, signal: AbortSignal): Promise<void> {
  while (!signal.aborted) {
    const next = pause(scrapeMs, undefined, { signal }).catch(() => {})
    await read(`${admin}/metrics`)
    await next
  }
}

process.on('message', (message: LookOrder | 'stop') => {
  if (message === 'stop') {
    stop.abort()
    return void looking.then(() => process.send?.('stopped'))
  }
  stop = new AbortController()
  looking = Promise.all([read(`${message.admin}/api/dashboard`, stop.signal), scrape(message, stop.signal)])
  process.send?.('begun')
})
