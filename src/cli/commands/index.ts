import type { Command } from '../command.js'

/** Commands by name, each loaded when it is asked for: `sluice check` pays nothing for the gateway. */
export const COMMANDS: Readonly<Record<string, () => Promise<Command>>> = {
  bench: () => import('./bench.js'),
  check: () => import('./check.js'),
  emulate: () => import('./emulate.js'),
  serve: () => import('./serve.js'),
  simulate: () => import('./simulate.js'),
}

/** What `sluice` does when no command is named. */
export const DEFAULT_COMMAND = 'serve'
