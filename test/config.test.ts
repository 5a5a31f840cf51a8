// One process for all tests of configuration and command line.
import { readdir } from 'node:fs/promises'

for (const folder of ['./config/', './cli/']) {
  const here = new URL(folder, import.meta.url)
  for (const name of (await readdir(here)).sort()) {
    if (name.endsWith('.ts')) await import(new URL(name, here).href)
  }
}
