// Where the build is newer than every source, tests import `dist` in place of `src`: a test file then compiles only itself and its
// helpers. Where it is not (`npx tap FILE` after an edit), sources are compiled as they are imported.
import { existsSync, readdirSync, statSync } from 'node:fs'
import { register } from 'node:module'
import { isMainThread } from 'node:worker_threads'

const SRC = new URL('../../src/', import.meta.url)
const DIST = new URL('../../dist/', import.meta.url)

const changed = url => statSync(url, { throwIfNoEntry: false })?.mtimeMs ?? 0

const fresh = () => {
  const built = changed(new URL('cli/main.js', DIST))
  return readdirSync(SRC, { recursive: true }).every(name => changed(new URL(name, SRC)) <= built)
}

if (isMainThread && fresh()) register(import.meta.url)

/** A hook of Node's module loader. */
export const resolve = (specifier, context, next) => {
  const { href } = /^\.{0,2}\/|^file:/.test(specifier) && context.parentURL !== undefined ? new URL(specifier, context.parentURL) : { href: '' }
  if (!href.startsWith(SRC.href) || !href.endsWith('.js') || !existsSync(new URL(href.replace(/\.js$/, '.ts')))) return next(specifier, context)
  return next(DIST.href + href.slice(SRC.href.length), context)
}
