export type Environment = Readonly<Record<string, string | undefined>>

export interface Interpolated {
  readonly text: string
  /** Something of the environment, or a default written for it, is in `text`: it must not be shown. */
  readonly fromEnvironment: boolean
  readonly problems: readonly string[]
}

/**
 * `${NAME}` is replaced by the variable, which must be set; `${NAME:-default}` by the default where it is unset or empty;
 * `$${` stands for a plain `${`.
 */
export const interpolate = (text: string, environment: Environment): Interpolated => {
  const problems: string[] = []
  let fromEnvironment = false
  const replaced = text.replace(/\$\$\{|\$\{([^}]*)(\}?)/g, (whole, inner: string | undefined, end: string) => {
    if (inner === undefined) return '${'
    const [, name, fallback] = /^([A-Za-z_][A-Za-z0-9_]*)(?::-(.*))?$/s.exec(inner) ?? []
    if (name === undefined || end === '') {
      problems.push('a reference to the environment is `${NAME}` or `${NAME:-default}` (`$${` for a plain `${`)')
      return whole
    }
    fromEnvironment = true
    const value = environment[name]
    if (fallback !== undefined) return value === undefined || value === '' ? fallback : value
    if (value === undefined) problems.push(`environment variable ${name} is not set; set it, or write \${${name}:-default}`)
    return value ?? whole
  })
  return { text: replaced, fromEnvironment, problems }
}
