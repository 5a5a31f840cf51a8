/**
 * Who looks at the gateway, in a process of its own that gives way to all others: opens the dashboard's feed, reads it, and scrapes `/metrics`
 * again and again. Told by IPC where, and answers when it has begun; `stop` is answered, when nothing is asked of the gateway any more, with
 * the spans in which the gateway was at work for it.
 */
import { get } from 'node:http'
import { setPriority } from 'node:os'
import { setTimeout as pause } from 'node:timers/promises'
import { microseconds } from '../bench/relay/wire.js'
import type { Span } from './exposure.js'

export interface LookOrder {
  readonly admin: string
  readonly scrapeMs: number
}

/** Before a part of the feed arrives the gateway makes it: some 6 ms of CPU in turns between which streams go on, here with ample room. */
const MAKING_US = 30_000

setPriority(19)

let stop = new AbortController()
let looking: Promise<unknown> = Promise.resolve()
let spans: Span[] = []

/** Resolves at the end of the answer; each part of it tells `onPart` when the one before it was there. What it says is for others. */
const read = (url: string, onPart: (sinceUs: number) => void, signal?: AbortSignal): Promise<void> => new Promise((resolve) => {
  let sinceUs = microseconds()
  const request = get(url, { agent: false, ...(signal && { signal }) }, (response) => response.on('error', () => {}).on('close', resolve).on('data', () => {
    onPart(sinceUs)
    sinceUs = microseconds()
  }))
  request.on('error', () => { resolve() })
})

/** Between two parts of a scrape the gateway is at work all the time. */
const readScrape = (admin: string): Promise<void> => read(`${admin}/metrics`, (sinceUs) => { spans.push([sinceUs, microseconds()]) })

const readFeed = (admin: string, signal: AbortSignal): Promise<void> =>
  read(`${admin}/api/dashboard`, (sinceUs) => { spans.push([Math.max(sinceUs, microseconds() - MAKING_US), microseconds()]) }, signal)

async function scrape({ admin, scrapeMs }: LookOrder, signal: AbortSignal): Promise<void> {
  while (!signal.aborted) {
    const next = pause(scrapeMs, undefined, { signal }).catch(() => {})
    await readScrape(admin)
    await next
  }
}

process.on('message', (message: LookOrder | 'stop') => {
  if (message === 'stop') {
    stop.abort()
    return void looking.then(() => process.send?.(spans))
  }
  stop = new AbortController()
  spans = []
  looking = Promise.all([readFeed(message.admin, stop.signal), scrape(message, stop.signal)])
  process.send?.('begun')
})
