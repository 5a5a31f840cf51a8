// One process for all tests of the wire formats.
import { readdir } from 'node:fs/promises'

const here = new URL('./protocol/', import.meta.url)
for (const name of (await readdir(here)).sort()) {
  if (name.endsWith('.ts')) await import(new URL(name, here).href)
}
