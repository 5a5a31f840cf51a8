// One process for all tests of dashboard: a process costs more than a hundred tests.
import { readdir } from 'node:fs/promises'

const here = new URL('./dashboard/', import.meta.url)
for (const name of (await readdir(here)).sort()) {
  if (name.endsWith('.ts')) await import(new URL(name, here).href)
}
