import type { BackendId } from '../core/index.js'
import type { FleetBackend } from '../fleet/index.js'
import type { Dialect } from '../protocol/index.js'

/** What every engine serves. */
const COMMON: readonly Dialect[] = ['openai-chat', 'openai-completions']

/**
 * The backends that surely do not speak the dialect, where others may; undefined = none. Where all are such, none is left out: the
 * engine is not the gateway's to second-guess then, and its own answer goes to the client.
 */
export function unfitFor(dialect: Dialect, backends: () => readonly FleetBackend[]): readonly BackendId[] | undefined {
  if (COMMON.includes(dialect)) return undefined
  const all = backends()
  const unfit = all.filter(({ adapter }) => adapter.lacks?.includes(dialect))
  return unfit.length === 0 || unfit.length === all.length ? undefined : unfit.map(({ id }) => id)
}
