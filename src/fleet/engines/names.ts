/** All names of a table `need → names over versions, newest first`. */
export function wantedNames(table: Readonly<Record<string, readonly string[]>>): ReadonlySet<string> {
  return new Set(Object.values(table).flat())
}
