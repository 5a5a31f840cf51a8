// What a reader can check about the house as a whole, checked. One process.
import { readdir } from 'node:fs/promises'

const here = new URL('./house/', import.meta.url)
for (const name of (await readdir(here)).sort()) {
  if (name.endsWith('.ts')) await import(new URL(name, here).href)
}
