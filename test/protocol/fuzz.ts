import fc from 'fast-check'
import t from 'tap'
import { properties } from '../fuzz/properties.js'

// A bounded share with a fixed seed, so that a failure here is the same on every machine; `npm run test:fuzz` goes on.
for (const { name, weight, run } of properties) {
  t.test(name, async t => {
    const details = run(400 * weight, 20260401)
    t.notOk(details.failed, details.failed ? fc.defaultReportMessage(details) : 'held')
  })
}
