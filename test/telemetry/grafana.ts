import { readdirSync, readFileSync } from 'node:fs'
import t from 'tap'
import { dashboardJson } from '../../src/telemetry/grafana/dashboard.js'
import { DASHBOARDS } from '../../src/telemetry/grafana/dashboards.js'
import { METRICS } from '../../src/telemetry/index.js'
import { metricsIn } from '../helpers/promql.js'

const folder = new URL('../../deploy/grafana/', import.meta.url)

t.test('deploy/grafana is as generated', async (t) => {
  t.same(readdirSync(folder).sort(), DASHBOARDS.map(({ name }) => `${name}.json`).sort())
  for (const dashboard of DASHBOARDS) t.equal(readFileSync(new URL(`${dashboard.name}.json`, folder), 'utf8'), dashboardJson(dashboard), `${dashboard.name}: run \`npm run gen\``)
})

t.test('panels lie side by side, each with a query and words', async (t) => {
  for (const dashboard of DASHBOARDS) {
    const { panels } = JSON.parse(dashboardJson(dashboard)) as { panels: { id: number, title: string, type: string, description?: string, targets?: unknown[], gridPos: { x: number, y: number, w: number, h: number } }[] }
    t.equal(new Set(panels.map(({ id }) => id)).size, panels.length)
    const taken = new Set<string>()
    for (const { title, type, description, targets, gridPos: { x, y, w, h } } of panels) {
      t.ok(x + w <= 24, title)
      for (let column = x; column < x + w; column++) for (let line = y; line < y + h; line++) {
        const cell = `${column} ${line}`
        if (taken.has(cell)) t.fail(`${dashboard.name}: ${title} lies on another panel`)
        taken.add(cell)
      }
      if (type !== 'row') t.ok((targets?.length ?? 0) > 0 && (description?.length ?? 0) > 10, title)
    }
  }
})

t.test('every metric but a few is on some dashboard', async (t) => {
  const shown = new Set(DASHBOARDS.flatMap(({ rows }) => rows.flatMap(({ panels }) => panels.flatMap(({ queries }) => queries.flatMap(([expr]) => metricsIn(expr))))))
  t.same(METRICS.map(({ name }) => name).filter((name) => !shown.has(name)), ['sluice_tenant_requests_total', 'sluice_tenant_tokens_total', 'sluice_config_reloads_total', 'sluice_otlp_exports_total'], 'what not every gateway has, and what people look for when they must')
})
