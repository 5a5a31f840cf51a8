import { readFileSync } from 'node:fs'

/** A file of the page, as it is served. */
export interface Asset {
  readonly path: string
  readonly type: string
  readonly body: Buffer
}

const HTML = 'text/html; charset=utf-8'
const CSS = 'text/css; charset=utf-8'
const SCRIPT = 'text/javascript; charset=utf-8'

const FILES = [
  ['/', 'index.html', HTML],
  ['/dashboard/style.css', 'style.css', CSS],
  ['/dashboard/main.js', 'main.js', SCRIPT],
  ['/dashboard/feed.js', 'feed.js', SCRIPT],
  ['/dashboard/dom.js', 'dom.js', SCRIPT],
  ['/dashboard/format.js', 'format.js', SCRIPT],
  ['/dashboard/charts.js', 'charts.js', SCRIPT],
  ['/dashboard/overview.js', 'overview.js', SCRIPT],
  ['/dashboard/latency.js', 'latency.js', SCRIPT],
  ['/dashboard/fleet.js', 'fleet.js', SCRIPT],
  ['/dashboard/requests.js', 'requests.js', SCRIPT],
  ['/dashboard/tuning.js', 'tuning.js', SCRIPT],
] as const

/** The paths of the page itself. It holds no figures, so it may be shown to anybody who reaches the listener. */
export const PAGE_PATHS: ReadonlySet<string> = new Set(FILES.map(([path]) => path))

/** The page's files, read once. */
export function readAssets(): readonly Asset[] {
  return FILES.map(([path, file, type]) => ({ path, type, body: readFileSync(new URL(`page/${file}`, import.meta.url)) }))
}

/** Nothing from elsewhere, nothing inline, in nobody's frame. */
export const PAGE_HEADERS = {
  'content-security-policy': "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
  'x-content-type-options': 'nosniff',
  'referrer-policy': 'no-referrer',
  'cache-control': 'no-cache',
} as const
