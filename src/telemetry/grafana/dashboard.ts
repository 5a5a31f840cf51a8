/** Dashboards as plain descriptions, and the JSON that Grafana imports. */

export type Unit = 's' | 'percentunit' | 'reqps' | 'short' | 'bytes' | 'bool'

export interface Panel {
  readonly title: string
  /** What it shows, and what to make of it. */
  readonly description: string
  readonly kind?: 'timeseries' | 'stat' | 'heatmap'
  readonly unit: Unit
  /** Expression and legend, in turn for each line. */
  readonly queries: readonly (readonly [expr: string, legend: string])[]
  /** Of 24 columns. */
  readonly width?: 4 | 6 | 8 | 12 | 24
  /** Lines are stacked upon each other. */
  readonly stacked?: boolean
}

export interface Row {
  readonly title: string
  readonly panels: readonly Panel[]
}

export interface Dashboard {
  /** Names the file and the address. */
  readonly name: string
  readonly title: string
  readonly description: string
  /** A metric and its label, from which the values of `$label` are listed. */
  readonly variables: readonly { readonly label: string, readonly metric: string }[]
  readonly rows: readonly Row[]
}

const DATASOURCE = { type: 'prometheus', uid: '${datasource}' }
const COLUMNS = 24
const HEIGHT = { timeseries: 8, heatmap: 8, stat: 4 } as const

export function dashboardJson(dashboard: Dashboard): string {
  return `${JSON.stringify({
    uid: `sluice-${dashboard.name}`,
    title: dashboard.title,
    description: dashboard.description,
    tags: ['sluice'],
    schemaVersion: 39,
    editable: true,
    graphTooltip: 1,
    refresh: '10s',
    time: { from: 'now-1h', to: 'now' },
    links: [{ type: 'dashboards', tags: ['sluice'], title: 'Sluice', asDropdown: true, includeVars: true, keepTime: true }],
    templating: {
      list: [
        { name: 'datasource', type: 'datasource', query: 'prometheus', label: 'Data source' },
        ...dashboard.variables.map(({ label, metric }) => ({
          name: label, label, type: 'query', datasource: DATASOURCE, query: `label_values(${metric}, ${label})`,
          refresh: 2, includeAll: true, allValue: '.*', multi: true, sort: 1, current: { text: 'All', value: '$__all' },
        })),
      ],
    },
    panels: layOut(dashboard.rows),
  }, undefined, 2)}\n`
}

function layOut(rows: readonly Row[]): unknown[] {
  const out: unknown[] = []
  let y = 0
  for (const { title, panels } of rows) {
    out.push({ id: out.length + 1, type: 'row', title, collapsed: false, gridPos: { x: 0, y, w: COLUMNS, h: 1 }, panels: [] })
    y++
    let x = 0, height = 0
    for (const panel of panels) {
      const kind = panel.kind ?? 'timeseries', w = panel.width ?? 8, h = HEIGHT[kind]
      if (x + w > COLUMNS) {
        y += height
        x = height = 0
      }
      out.push(panelJson(panel, kind, out.length + 1, { x, y, w, h }))
      x += w
      height = Math.max(height, h)
    }
    y += height
  }
  return out
}

function panelJson({ title, description, unit, queries, stacked }: Panel, kind: NonNullable<Panel['kind']>, id: number, gridPos: object): unknown {
  return {
    id, type: kind, title, description, datasource: DATASOURCE, gridPos,
    fieldConfig: {
      defaults: {
        unit, ...(unit === 'percentunit' ? { min: 0 } : {}),
        ...(kind === 'timeseries' ? { custom: { fillOpacity: stacked === true ? 30 : 5, showPoints: 'never', ...(stacked === true ? { stacking: { mode: 'normal' } } : {}) } } : {}),
      },
      overrides: [],
    },
    options: kind === 'timeseries' ? { legend: { displayMode: 'list', placement: 'bottom' }, tooltip: { mode: 'multi', sort: 'desc' } }
      : kind === 'stat' ? { reduceOptions: { calcs: ['lastNotNull'] } }
        : { calculate: false, yAxis: { unit: 's' } },
    targets: queries.map(([expr, legendFormat], index) => ({
      refId: String.fromCharCode('A'.charCodeAt(0) + index), expr, legendFormat, datasource: DATASOURCE, ...(kind === 'heatmap' ? { format: 'heatmap' } : {}),
    })),
  }
}
