// The load tool without sockets, one process.
import { readdir } from 'node:fs/promises'

const here = new URL('./bench-tool/', import.meta.url)
for (const name of (await readdir(here)).sort()) {
  if (name.endsWith('.ts')) await import(new URL(name, here).href)
}
