// One process for all tests of telemetry: a process costs more than a hundred tests.
import { readdir } from 'node:fs/promises'

const here = new URL('./telemetry/', import.meta.url)
for (const name of (await readdir(here)).sort()) {
  if (name.endsWith('.ts')) await import(new URL(name, here).href)
}
