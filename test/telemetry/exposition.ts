import fc from 'fast-check'
import t from 'tap'
import { configFrom } from '../../src/config/index.js'
import { createTelemetry, METRICS } from '../../src/telemetry/index.js'
import { Lines, TextBuffer } from '../../src/telemetry/lines.js'

const textOf = (lines: Lines): string => {
  const text = new TextBuffer(1)
  lines.copyTo(text)
  return text.bytes().toString()
}

t.test('lines keep their heads, whatever becomes of their numbers', async () => {
  const number = fc.oneof(fc.nat(), fc.nat(12), fc.double(), fc.constantFrom(-0, -1, 2 ** 31, 2 ** 53, 1e21, 5e-7, Infinity, -Infinity, NaN))
  fc.assert(fc.property(fc.array(fc.tuple(fc.nat(3), number), { maxLength: 60 }), (changes) => {
    const heads = ['a{le="0.1"} ', 'b ', 'größe{x="\\""} ', 'd ']
    const values = [0, 0, 0, 0]
    const lines = new Lines(heads)
    for (const [line, value] of changes) {
      lines.set(line, value)
      values[line] = value
      const expected = heads.map((head, i) => `${head}${String(values[i]).replace(/^(-?)Infinity$/, (_, sign: string) => `${sign || '+'}Inf`)}\n`).join('')
      if (textOf(lines) !== expected) throw new Error(`expected ${expected} got ${textOf(lines)}`)
    }
  }), { numRuns: 300 })
})

t.test('every family reads as prom-client writes it, scrape after scrape', async (t) => {
  const config = configFrom({ classes: { chat: { ttft: '500ms', tpot: '50ms' }, code: { ttft: '1s' } } })
  const telemetry = createTelemetry({ config, version: '1', now: () => 1000, wallNow: () => 0, logStream: { write: () => {} } })
  for (let scrape = 0; scrape < 4; scrape++) {
    for (const className of Object.keys(config.classes)) {
      telemetry.offered('default', className, undefined)
      telemetry.admission(className, 'reject', 'infeasible')
      telemetry.intervals(className, 'main', 'a').record(10 ** scrape * 1.7)
      if (scrape !== 2) telemetry.intervals(className, 'spare', 'b').record(scrape * 0.001)
    }
    const text = (await telemetry.metricsText()).toString()
    for (const { name } of METRICS) {
      const from = text.indexOf(`# HELP ${name} `), next = text.indexOf('\n# HELP ', from)
      const ours = text.slice(from, next < 0 ? text.length : next + 1)
      t.equal(ours.trimEnd(), (await telemetry.registry.getSingleMetricAsString(name)).trimEnd(), name)
    }
  }
})
