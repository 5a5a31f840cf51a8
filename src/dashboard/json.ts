import type { Work } from '../telemetry/index.js'

/** `value` as JSON; members down to `depth` are a piece each. */
export function * jsonOf(value: unknown, depth: number): Work<string> {
  if (depth === 0 || typeof value !== 'object' || value === null) {
    yield
    return JSON.stringify(value) ?? 'null'
  }
  const parts: string[] = []
  if (Array.isArray(value)) {
    for (const member of value as readonly unknown[]) parts.push(yield * jsonOf(member, depth - 1))
    return `[${parts.join(',')}]`
  }
  for (const [name, member] of Object.entries(value)) {
    if (member !== undefined) parts.push(`${JSON.stringify(name)}:${yield * jsonOf(member, depth - 1)}`)
  }
  return `{${parts.join(',')}}`
}
