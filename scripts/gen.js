// Writes what is generated from the code; with --check it writes nothing and fails where a file is stale.
import { mkdir, readFile, writeFile } from 'node:fs/promises'
import { dirname } from 'node:path'
import { configurationReference, editorSchema } from '../dist/config/reference.js'
import { dashboardJson } from '../dist/telemetry/grafana/dashboard.js'
import { DASHBOARDS } from '../dist/telemetry/grafana/dashboards.js'
import { metricsReference } from '../dist/telemetry/reference.js'
import { errorsReference } from '../dist/protocol/errors-reference.js'

/** Each file and the function that makes its content. */
const GENERATED = {
  'config/sluice.schema.json': editorSchema,
  'docs/configuration.md': configurationReference,
  'docs/metrics.md': metricsReference,
  'docs/errors.md': errorsReference,
  ...Object.fromEntries(DASHBOARDS.map(dashboard => [`deploy/grafana/${dashboard.name}.json`, () => dashboardJson(dashboard)])),
}

const checking = process.argv.includes('--check')
const stale = []
for (const [file, make] of Object.entries(GENERATED)) {
  const target = new URL(`../${file}`, import.meta.url)
  const now = await readFile(target, 'utf8').catch(() => undefined)
  const next = make()
  if (now === next) continue
  stale.push(file)
  if (!checking) {
    await mkdir(dirname(target.pathname), { recursive: true })
    await writeFile(target, next)
  }
}
if (checking && stale.length > 0) {
  console.error(`stale: ${stale.join(', ')}; run \`npm run gen\` and commit the result`)
  process.exitCode = 1
} else if (!checking) {
  console.log(stale.length === 0 ? 'nothing to do' : `written: ${stale.join(', ')}`)
}
