/** Cuts (never rounds up) a share to three decimals, so that no figure looks better than it is. */
export const share = (value: number): string => (Math.floor(value * 1000 + 1e-9) / 1000).toFixed(3)
/** For what is better small: rounded up. */
export const burden = (value: number): string => (Math.ceil(value * 1000 - 1e-9) / 1000).toFixed(3)
/** Cut to two decimals. */
export const load = (value: number): string => `${(Math.floor(value * 100 + 1e-9) / 100).toFixed(2)}x`
export const count = (value: number): string => value >= 1000 ? Math.floor(value).toLocaleString('en') : value.toFixed(value >= 100 ? 0 : 1)

/** Columns in line: the first to the left, all others to the right. */
export function columns(rows: readonly (readonly string[])[], indent = '  '): string {
  const widths: number[] = []
  for (const row of rows) row.forEach((cell, i) => { widths[i] = Math.max(widths[i] ?? 0, cell.length) })
  return rows.map(row => (indent + row.map((cell, i) => i === 0 ? cell.padEnd(widths[i]!) : cell.padStart(widths[i]!)).join('  ')).trimEnd()).join('\n')
}
