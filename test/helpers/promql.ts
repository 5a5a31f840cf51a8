/** What stands before these is not a metric but a function or a keyword. */
const WORDS = new Set(['by', 'on', 'and', 'or', 'unless', 'offset', 'without', 'ignoring', 'group_left', 'group_right', 'bool'])

/** Names of the metrics that a PromQL expression reads; histograms by their family. */
export function metricsIn(expr: string): string[] {
  const plain = expr
    .replace(/"[^"]*"/g, '')
    .replace(/\{[^}]*\}/g, '')
    .replace(/\[[^\]]*\]/g, '')
    .replace(/\b(?:by|on|without|ignoring|group_left|group_right) *\([^)]*\)/g, '')
    .replace(/\boffset +\w+/g, '')
  const names = [...plain.matchAll(/[a-zA-Z_][\w:]*(?! *\(|[\w:])/g)].map(([name]) => name).filter((name) => !WORDS.has(name) && !/^e\d*$/.test(name))
  return [...new Set(names.map((name) => name.replace(/_(?:bucket|sum|count)$/, '')))]
}
