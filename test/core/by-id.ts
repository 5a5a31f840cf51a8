import t from 'tap'
import fc from 'fast-check'
import { ById } from '../../src/core/index.js'

t.test('ById is a Map but for its order', async t => {
  const step = fc.record({ add: fc.boolean(), id: fc.constantFrom('a', 'b', 'c', 'd', '__proto__') })
  fc.assert(fc.property(fc.array(step, { maxLength: 60 }), steps => {
    const table = new ById<number>()
    const model = new Map<string, number>()
    for (const [at, { add, id }] of steps.entries()) {
      if (add) {
        table.set(id, at)
        model.set(id, at)
      } else if (table.delete(id) !== model.delete(id)) return false
      if (table.size !== model.size || table.has(id) !== model.has(id) || table.get(id) !== model.get(id)) return false
      if ([...table.values()].sort().join() !== [...model.values()].sort().join()) return false
    }
    return true
  }))
  t.pass()
})
