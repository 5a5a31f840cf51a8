import { readFileSync } from 'node:fs'
import t from 'tap'
import { parse, parseAllDocuments } from 'yaml'
import { parseConfig, warningsOf } from '../../src/config/index.js'

const read = (file: string) => readFileSync(new URL(`../../deploy/${file}`, import.meta.url), 'utf8')
const environment = { SLUICE_KEY: 'a', SLUICE_ADMIN_TOKEN: 'b' }

t.test('the Kubernetes example: its configuration is valid and its figures fit', async t => {
  const [map, , deployment] = parseAllDocuments(read('kubernetes.yaml')).map(document => document.toJS())
  const config = parseConfig(map.data['sluice.yaml'], { environment })
  t.same(warningsOf(config), [])
  const { spec } = deployment.spec.template
  const [container] = spec.containers
  const pauseMs = Number(/, (\d+)\)$/.exec(container.lifecycle.preStop.exec.command[2])?.[1])
  t.ok(pauseMs >= 1_000 && pauseMs + config.timeouts.drain < spec.terminationGracePeriodSeconds * 1_000, 'pause and drain fit the grace period')
  t.same(container.ports.map((port: { containerPort: number }) => port.containerPort), [config.listen.port, config.admin.port])
})

t.test('the Compose example: its configuration is valid and its figures fit', async t => {
  const config = parseConfig(read('sluice.yaml'), { environment })
  t.same(warningsOf(config), [])
  const { services } = parse(read('compose.yaml'))
  t.ok(config.timeouts.drain < Number.parseInt(services.sluice.stop_grace_period) * 1_000)
})
