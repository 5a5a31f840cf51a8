// One process for the pure parts of the relay.
import { readdir } from 'node:fs/promises'

const here = new URL('./relay/', import.meta.url)
for (const name of (await readdir(here)).sort()) {
  if (name.endsWith('.ts')) await import(new URL(name, here).href)
}
