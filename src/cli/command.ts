import type { Io } from './process.js'

/** What each file in `commands/` exports. */
export interface Command {
  readonly name: string
  /** One line, for the list of commands. */
  readonly summary: string
  /** The whole page that `sluice NAME --help` prints, usage line first. */
  readonly help: string
  /**
   * Does the work and resolves with the exit code: 0 done, 1 failed. Throw `UsageError` for wrong arguments (exit code 2)
   * and `Failure` for what the user can put right (exit code 1); anything else that is thrown is taken for a bug and shown with its stack.
   */
  readonly run: (args: string[], io: Io) => Promise<number>
}

/** The arguments are wrong; the message says which and what is possible. */
export class UsageError extends Error {
  override readonly name = 'UsageError'
}

/** The work could not be done, for a reason that the message explains to its user. */
export class Failure extends Error {
  override readonly name = 'Failure'
}
