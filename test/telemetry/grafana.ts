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
  t.same(METRICS.map(({ name }) => name).filter((name) => !shown.has(name)), ['sluice_cost_per_million_tokens', 'sluice_cost_per_million_good_tokens', 'sluice_backend_slowdown_ratio', 'sluice_config_reloads_total', 'sluice_otlp_exports_total'], 'what not every gateway has, and what people look for when they must')
})

t.test('R30: with several replicas, what each of them counts is summed, and what all of them see is not', async (t) => {
  /** Each replica's share of one whole. */
  const own = ['sluice_queue_depth', 'sluice_queue_tokens', 'sluice_backend_inflight_requests', 'sluice_backend_inflight_prefill_tokens', 'sluice_build_info']
  const gauges = new Map<string, string>(METRICS.filter(({ type }) => type === 'gauge').map(({ name }) => [name, own.includes(name) ? 'sum' : 'max, min or avg']))
  let checked = 0
  for (const { panels } of DASHBOARDS.flatMap(({ rows }) => rows)) {
    for (const [expr] of panels.flatMap(({ queries }) => queries)) {
      for (const { index, 1: merge, 2: body } of expr.matchAll(/\b(sum|max|min|avg|count)(?: by \([^)]*\))? \((rate\(|increase\()?(?=sluice_)/g)) {
        const name = /sluice_\w+/.exec(expr.slice(index))![0]
        if (body !== undefined) t.equal(merge, 'sum', `${expr}: counters and buckets are summed`)
        else if (gauges.has(name)) t.match(gauges.get(name), merge!, `${expr}: ${name}`)
        checked++
      }
      for (const [whole] of expr.matchAll(/histogram_quantile\([^,]*, (?!sum)/g)) t.fail(`${whole}: quantiles come from summed buckets, they are never merged themselves`)
      for (const [name] of expr.matchAll(/sluice_cost_per_million\w*/g)) t.fail(`${name}: each replica divides the whole cost by its own tokens`)
      for (const [, inner] of expr.matchAll(/\bsum\((\w+)/g)) t.match(inner, /^(max|min)$/, `${expr}: one value for each backend first`)
    }
  }
  t.ok(checked > 60, `${checked} merges`)
})
