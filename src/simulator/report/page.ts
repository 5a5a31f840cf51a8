import { escapeHtml } from './chart.js'

/** A page that needs nothing else: no script, no font, no address. Charts inside are coloured by their classes `s0`, `s1`, … */
export function htmlPage(title: string, body: string): string {
  return `<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>${escapeHtml(title)}</title>
<style>${STYLE}</style></head><body>
${body}
</body></html>
`
}

const COLOURS = ['#0a7d4f', '#c2410c', '#1d4ed8', '#7e22ce', '#b91c1c', '#0e7490', '#a16207', '#be185d', '#4d7c0f', '#475569']
const STYLE = `:root{color-scheme:light dark;--fg:#1a1a1a;--bg:#fff;--mute:#777;--line:#ddd}
@media(prefers-color-scheme:dark){:root{--fg:#e8e8e8;--bg:#16181b;--mute:#999;--line:#333}}
body{font:15px/1.45 system-ui,sans-serif;max-width:1120px;margin:2rem auto;padding:0 1rem;color:var(--fg);background:var(--bg)}
code{overflow-wrap:anywhere}.charts{display:grid;grid-template-columns:repeat(auto-fit,minmax(420px,1fr));gap:1rem}figure{margin:0}svg{width:100%;height:auto}
svg text{fill:var(--fg);font-size:11px}svg .title{font-size:14px;font-weight:600}svg .tick,svg .axis{fill:var(--mute)}.grid{stroke:var(--line)}.level{stroke:var(--mute);stroke-dasharray:3 4}
polyline{fill:none;stroke-width:2}table{border-collapse:collapse;margin:.5rem 0 1.5rem;font-variant-numeric:tabular-nums}th,td{padding:.2rem .7rem;text-align:right;border-bottom:1px solid var(--line)}th:first-child,td:first-child{text-align:left}
.legend span{margin-right:1rem;font-weight:600}small{font-weight:400;color:var(--mute)}
${COLOURS.map((colour, i) => `polyline.s${i}{stroke:${colour}}circle.s${i}{fill:${colour}}circle.knee.s${i}{fill:none;stroke:${colour};stroke-width:2}.k${i}{color:${colour}}`).join('')}`
