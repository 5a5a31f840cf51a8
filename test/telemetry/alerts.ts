import { spawnSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import t from 'tap'
import { parse } from 'yaml'
import { configFrom } from '../../src/config/index.js'
import { createTelemetry } from '../../src/telemetry/index.js'
import { isInstalled } from '../helpers/tools.js'
import { metricsIn } from '../helpers/promql.js'

interface Rule { record?: string, alert?: string, expr: string, labels?: { severity: string }, annotations?: { summary: string, description: string, runbook: string } }

const path = (file: string) => fileURLToPath(new URL(`../../${file}`, import.meta.url))
const read = (file: string) => readFileSync(path(file), 'utf8')
const RULES = 'deploy/prometheus/sluice.rules.yml', TESTS = ['test/prometheus/alerts.yml', 'test/prometheus/burn-rates.yml']
const rules = (parse(read(RULES)) as { groups: { rules: Rule[] }[] }).groups.flatMap((group) => group.rules)
const alerts = rules.filter((rule) => rule.alert !== undefined)

t.test('rules name metrics that exist', async (t) => {
  const telemetry = createTelemetry({ config: configFrom({}), version: '1', now: () => 0, wallNow: () => 0, logStream: { write: () => {} } })
  const known = new Set(['up', ...rules.flatMap(({ record }) => record ?? []), ...telemetry.registry.getMetricsAsArray().map(({ name }) => name)])
  for (const { expr, alert, record } of rules) {
    const names = metricsIn(expr)
    t.ok(names.length > 0, `${alert ?? record} reads something`)
    t.same(names.filter((name) => !known.has(name)), [], alert ?? record!)
  }
})

t.test('each alert says what, how much and what to do', async (t) => {
  const headings = new Set([...read('docs/operations.md').matchAll(/^### (Sluice\w+)$/gm)].map(([, name]) => name!))
  t.same([...headings].sort(), alerts.map(({ alert }) => alert).sort(), 'docs/operations.md has a section for each alert, and no other')
  for (const { alert, labels, annotations } of alerts) {
    t.match(labels?.severity, /^(page|ticket)$/, alert!)
    t.match(annotations?.summary, /\S/, alert!)
    t.match(annotations?.description, /\{\{ \$value/, `${alert} gives its figure`)
    t.equal(annotations?.runbook, `docs/operations.md#${alert!.toLowerCase()}`)
  }
})

t.test('each alert has a test in which it fires and one in which it is quiet', async (t) => {
  const tests = TESTS.flatMap((file) => (parse(read(file)) as { tests: { alert_rule_test: { alertname: string, exp_alerts: unknown[] }[] }[] }).tests).flatMap((one) => one.alert_rule_test)
  for (const { alert } of alerts) {
    t.ok(tests.some(({ alertname, exp_alerts }) => alertname === alert && exp_alerts.length > 0), `${alert} fires`)
    t.ok(tests.some(({ alertname, exp_alerts }) => alertname === alert && exp_alerts.length === 0), `${alert} is quiet`)
  }
})

t.test('promtool accepts rules and configuration, and the tests of the rules pass', { skip: isInstalled('promtool') ? false : 'promtool is not installed (Debian: apt-get install prometheus)' }, async (t) => {
  for (const args of [['check', 'config', 'deploy/prometheus/prometheus.yml'], ['test', 'rules', ...TESTS]]) {
    const { status, stdout, stderr } = spawnSync('promtool', args, { cwd: path('.'), encoding: 'utf8' })
    t.equal(status, 0, `promtool ${args.join(' ')}\n${status === 0 ? '' : stdout + stderr}`)
  }
})
