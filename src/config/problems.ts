/** Where in the file, both from 1. */
export interface Position {
  readonly line: number
  readonly column: number
}

/** One thing that is wrong. The message never carries a secret or a value from the environment. */
export interface ConfigProblem {
  /** As people write it: `routes[0].match.path`; empty for the file as a whole. */
  readonly path: string
  readonly at: Position | undefined
  readonly message: string
}

/** Everything that is wrong with a configuration, at once. */
export class ConfigError extends Error {
  override readonly name = 'ConfigError'
  readonly source: string
  readonly problems: readonly ConfigProblem[]

  constructor (source: string, problems: readonly ConfigProblem[]) {
    const inOrder = [...problems].sort((a, b) => (a.at?.line ?? 0) - (b.at?.line ?? 0) || (a.at?.column ?? 0) - (b.at?.column ?? 0))
    super(`${source} is not a valid configuration (${inOrder.length} ${inOrder.length === 1 ? 'problem' : 'problems'})\n${inOrder.map(problem => `  ${source}${problemLine(problem)}`).join('\n')}`)
    this.source = source
    this.problems = inOrder
  }
}

const problemLine = ({ path, at, message }: ConfigProblem): string =>
  `${at === undefined ? '' : `:${at.line}:${at.column}`}: ${path === '' ? '' : `${path}: `}${message}`

export type Path = readonly (string | number)[]

/** `['routes', 0, 'match']` as `routes[0].match`. */
export const writePath = (path: Path): string => path
  .map(step => typeof step === 'number' ? `[${step}]` : /^[\w-]+$/.test(step) ? `.${step}` : `[${JSON.stringify(step)}]`)
  .join('').replace(/^\./, '')
