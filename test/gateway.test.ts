// One process for the gateway's pure parts: a process costs more than a hundred tests.
import { readdir } from 'node:fs/promises'

const here = new URL('./gateway/', import.meta.url)
for (const name of (await readdir(here)).sort()) {
  if (name.endsWith('.ts')) await import(new URL(name, here).href)
}
