import t from 'tap'
import { readFileSync } from 'node:fs'
import { METRICS, type MetricDefinition } from '../../src/telemetry/index.js'
import { metricsReference } from '../../src/telemetry/reference.js'

const table: readonly MetricDefinition[] = METRICS

t.test('docs/metrics.md and the table agree, both ways', (t) => {
  const page = readFileSync(new URL('../../docs/metrics.md', import.meta.url), 'utf8')
  t.equal(page, metricsReference(), 'run `npm run gen` and commit the result')
  const documented = [...page.matchAll(/^### `(\S+)`$/gm)].map(([, name]) => name)
  t.same(documented.toSorted(), table.map(({ name }) => name).toSorted())
  for (const [, name] of page.matchAll(/`(sluice_\w+)`/g)) t.ok(table.some((metric) => metric.name === name), `${name} exists`)
  t.end()
})

t.test('the table keeps the rules of Prometheus', (t) => {
  for (const { name, type, labels, buckets, help } of table) {
    t.match(name, /^sluice_[a-z_]+$/)
    t.equal(name.endsWith('_total'), type === 'counter', `${name}: counters, and they alone, end in _total`)
    t.equal(buckets !== undefined, type === 'histogram', `${name}: buckets`)
    t.same(buckets, buckets?.toSorted((a, b) => a - b), `${name}: buckets rise`)
    t.equal(labels.includes('tenant'), name.startsWith('sluice_tenant_'), `${name}: tenants multiply the series of no other metric`)
    t.ok(!labels.includes('tenant') || labels.length === 2, `${name}: nor each other's`)
    t.notMatch(help, /[\n\\]/)
  }
  t.end()
})
