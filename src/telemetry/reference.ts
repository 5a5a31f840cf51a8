import { METRICS, type MetricDefinition, type MetricGroup } from './metrics-table.js'

const GROUPS: Readonly<Record<MetricGroup, string>> = {
  request: 'Requests',
  goodput: 'Goodput and promises',
  admission: 'Admission and queues',
  backend: 'Backends',
  process: 'Process',
}

/** docs/metrics.md, made from the table that the registry is made from. */
export function metricsReference(): string {
  const sections = Object.entries(GROUPS).map(([group, title]) => {
    const metrics: readonly MetricDefinition[] = METRICS.filter((metric) => metric.group === group)
    return `## ${title}\n\n${metrics.map(section).join('\n')}`
  })
  return `# Metrics

<!-- Generated from src/telemetry/metrics-table.ts by \`npm run gen\`. -->

\`GET /metrics\` on the admin plane, in the Prometheus text format. Times are in seconds, and every word is used as the
configuration and the logs use it. Label values come from the configuration (models also from what backends list, up to a
hundred); every other name is \`other\`, and \`none\` is the pool of a request that reached no backend. A value that is
unknown has no series: it is never zero. Besides these, prom-client's defaults tell about the process (\`process_*\`,
\`nodejs_*\`); \`nodejs_active_*\` are counted at most once a minute, for that takes a walk over every socket.

${sections.join('\n')}`
}

function section({ name, type, labels, help, meaning, action, buckets }: MetricDefinition): string {
  const kind = `${type}${labels.length === 0 ? '' : `, by ${labels.map((label) => `\`${label}\``).join(', ')}`}`
  return `### \`${name}\`

${help}

- **Kind**: ${kind}.
- **Meaning**: ${meaning}
- **When it moves**: ${action}
${buckets === undefined ? '' : `- **Buckets**: ${buckets.join(', ')}.\n`}`
}
