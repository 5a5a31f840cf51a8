import { readFileSync } from 'node:fs'
import t from 'tap'

const read = (file: string) => readFileSync(new URL(`../../${file}`, import.meta.url), 'utf8')

t.test('docs/reliability.md names tests that exist', async t => {
  const rows = [...read('docs/reliability.md').matchAll(/^\|[^|]*\|[^|]*\| (test\/\S+\.ts): (.+?) \|[^|]*\|$/gm)]
  t.ok(rows.length >= 30)
  for (const [, file, name] of rows) t.ok(read(file!).replaceAll('\\\'', '\'').includes(`t.test('${name}'`), `${file}: ${name}`)
})
